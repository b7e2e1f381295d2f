import LibpqLoop

/// Plays one scenario against one target, and measures.
public final class Engine {
    public struct Options {
        /// A connection to the server itself, for faults and for counting its connections.
        public var adminURL: String?
        /// Command that restarts the server.
        public var restart: (() throws -> Void)?
        /// Why the target cannot answer any more, where that is known; nil as long as it can.
        public var obituary: (() -> String?)?
        public var countSystemCalls = false
        /// Counts as the server's connections those that were used a moment ago, not all.
        public var countsOnlyUsed = false
        public var progress = true
        /// Seconds that what comes behind this run will take, for the progress.
        public var secondsBehind = 0.0
        /// What the progress calls this run; nil: the scenario's name and the target's.
        public var title: String?
        /// Seconds without a single answer after which the target counts as dead.
        public var patience = 10.0
        /// Answers later than this do not count for `RunResult.seconds`.
        public var servedWithin = 1.0

        public init() {}
    }

    let loop: Loop
    let scenario: Scenario
    let target: Target
    let options: Options
    let timeout: Int64
    /// Marks this run's questions, so that an answer to an earlier run's is told apart.
    let mark: String
    /// Microseconds that the server's clock is ahead of ours; 0 on the same machine.
    var clockOffset = 0.0
    /// Transactions that clients have taken and not ended.
    var activeJobs = 0

    var groups: [GroupRun] = []
    var phase = Phase.ramp
    var isEnding = false
    var outcome: Outcome = .complete
    let interrupted: () -> Bool
    private var waitingForLogin = Queue<Client>()
    private var loginsInProgress = 0

    /// When the load began; schedules count from here.
    var began: Int64 = 0
    /// The measured window, by when transactions are due. It begins and ends at times of the schedule, so that the same seed has
    /// the same transactions in it.
    var windowStart = Int64.max
    var windowEnd = Int64.max
    /// Between the two looks at the CPU's clocks, which come a moment later.
    var meteredFrom: Int64?
    var meteredUntil: Int64?
    var seconds: [SecondCount] = []
    var lastSign: Int64 = 0
    var lastTrouble: Failure?
    var interval = IntervalCount()
    /// Between due and sent, although a client was free: this program had no CPU.
    var ownLateness = Measurements.empty
    var peakServers: Int?
    var strangers = 0
    var strangerWords: [String] = []
    var rowsChecked = 0
    var notes: [String] = []
    var connectedAtStart = 0
    var connectedAtEnd: Int?
    var memoryBefore: Int?
    var memoryConnected: Int?
    var memoryAfter: Int?
    var cpuSpent: Int64?
    var ownCPUSpent: Int64?
    var systemCalls: SystemCallCount?
    var systemCallTransactions = 0

    private let meter: ProcessMeter
    private var cpuAtStart: Int64?
    private var ownCPUAtStart: Int64 = 0
    private var tracer: SystemCallTracer?
    private lazy var arrivalTimer = Timer(on: loop) { [unowned self] in arrivals() }
    private lazy var sweepTimer = Timer(on: loop) { [unowned self] in sweep() }
    private lazy var phaseTimer = Timer(on: loop) { [unowned self] in nextPhase() }
    private lazy var progress = Progress(isOn: options.progress)
    private lazy var faults = ServerSide(engine: self)

    enum Phase {
        case ramp
        case settle
        case warmup
        case window
        /// The load goes on without being measured, until what was due in the window has been answered as if nobody traced.
        case beforeTrace
        case attach
        case trace
        case drain
        case settleAfter
        case over

        /// Transactions come due.
        var hasLoad: Bool {
            switch self {
            case .warmup, .window, .beforeTrace, .attach, .trace: true
            case .ramp, .settle, .drain, .settleAfter, .over: false
            }
        }
    }

    /// `interrupted` is asked four times a second; the run ends early once it is true, and gives what it has.
    public init(_ scenario: Scenario, target: Target, options: Options, loop: Loop, interrupted: @escaping () -> Bool) throws(BenchFailure)
    {
        if let problem = scenario.problem { throw .usage("scenario \"\(scenario.name)\": \(problem)") }
        self.scenario = scenario
        self.target = target
        self.options = options
        self.loop = loop
        self.interrupted = interrupted
        timeout = Int64(scenario.timeout * 1e9)
        mark = "r" + String(Loop.wallMicroseconds & 0xffff_ffff, radix: 36)
        meter = ProcessMeter(target.pids)
    }

    // MARK: The run

    /// Runs to the end. Throws when it cannot even begin: nothing listens, the login is refused, too few files may be opened.
    public func run() throws(BenchFailure) -> RunResult {
        try Self.checkFiles(clients: scenario.clients)
        for pid in target.pids where !meter.family.contains(pid) { throw .usage("there is no process \(pid) to measure") }
        do { try probe() } catch {
            if case .unavailable = error, let words = awaitObituary() { throw .unavailable(words) }
            throw error
        }
        memoryBefore = meter.memory()
        lastSign = Loop.now
        progress.begin((options.title ?? "\(scenario.name) on \(target.name)") + ": \(grouped(scenario.clients)) clients")
        for (index, spec) in scenario.groups.enumerated() {
            let group = GroupRun(spec, index: index, seed: scenario.seed)
            group.clients = (0..<spec.clients).map { Client($0, group: group, engine: self) }
            groups.append(group)
        }
        for group in groups where !group.spec.session.isServerless {
            for client in group.clients { wantsLogin(client) }
        }
        let staying = presence().wanted
        // Even a slow login (SCRAM of libpq takes milliseconds of CPU on this side) gets its turn.
        phaseTimer.start(after: staying == 0 ? 0 : Int64((10 + Double(staying) / 50) * 1e9))
        sweepTimer.start(after: 0)
        loop.run()
        progress.end()
        faults.stop()
        tracer?.stop()
        for group in groups {
            for client in group.clients { client.shutDown() }
        }
        return result()
    }

    // MARK: Logins

    func wantsLogin(_ client: Client) {
        waitingForLogin.append(client)
        startLogins()
    }

    /// A few at a time, so that the first do not time out while the last are begun. Functions come as they come.
    private func startLogins() {
        let most = groups.contains { $0.spec.session.isServerless } ? 2000 : 64
        while loginsInProgress < most, let client = waitingForLogin.popFirst() {
            guard !isEnding || client.job != nil else { continue }
            loginsInProgress += 1
            client.connect()
        }
    }

    func loggedIn(_ group: GroupRun, started: Int64) {
        let now = Loop.now
        lastSign = now
        if now >= windowStart, now < windowEnd { group.measured.logIn(started: started, done: now) }
        loginEnded()
    }

    func loginEnded() {
        loginsInProgress -= 1
        startLogins()
        if phase == .ramp, loginsInProgress == 0, isEverybodyThere { phaseTimer.start(after: 0) }
    }

    private var isEverybodyThere: Bool {
        groups.allSatisfy { $0.spec.session.isServerless || $0.clients.allSatisfy(\.isThere) }
    }

    /// Clients that stay, and how many of them are logged in.
    private func presence() -> (there: Int, wanted: Int) {
        var there = 0
        var wanted = 0
        for group in groups where !group.spec.session.isServerless {
            wanted += group.clients.count
            for client in group.clients where client.isThere { there += 1 }
        }
        return (there, wanted)
    }

    /// Why those could not log in who are not there: each client's last failure, the most frequent first.
    private func loginReasons() -> String {
        var counts: [String: Int] = [:]
        for group in groups where !group.spec.session.isServerless {
            for client in group.clients where !client.isThere {
                counts[client.loginFailure.map(\.description) ?? "its turn had not come", default: 0] += 1
            }
        }
        let sorted = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        guard !sorted.isEmpty else { return "" }
        let rest = sorted.dropFirst(3).reduce(0) { $0 + $1.value }
        return ": " + sorted.prefix(3).map { "\(grouped($0.value)) because of \($0.key)" }.joined(separator: "; ")
            + (rest > 0 ? "; \(grouped(rest)) for other reasons" : "")
    }

    // MARK: Phases

    private func nextPhase() {
        switch phase {
        case .ramp:
            let (there, wanted) = presence()
            if there < wanted {
                let reasons = loginReasons()
                notes.append("only \(grouped(there)) of \(grouped(wanted)) clients could log in\(reasons)")
                if there == 0 { return end(.died("nobody could log in\(reasons)")) }
            }
            connectedAtStart = there
            phase = .settle
            phaseTimer.start(after: scenario.isBurst ? 1_500_000_000 : 0)
        case .settle:
            memoryConnected = meter.memory()
            startLoad()
        case .warmup: startWindow()
        case .window: endWindow()
        case .beforeTrace: attachTracer()
        case .attach:
            // A few hundred processes take a while; without any, there is nothing to count.
            if let tracer, !tracer.isAttached, Loop.now < tracer.deadline { return phaseTimer.start(after: 20_000_000) }
            if tracer?.isAttached != true {
                notes.append("system calls were not counted: \(tracer?.words ?? "no strace")")
                return startDrain()
            }
            phase = .trace
            phaseTimer.start(after: 2_000_000_000)
        case .trace:
            systemCalls = tracer?.stop()
            tracer = nil
            startDrain()
        case .drain:
            phase = .settleAfter
            isEnding = true
            giveUpRest()
            phaseTimer.start(after: scenario.isBurst && outcome == .complete ? 1_500_000_000 : 0)
        case .settleAfter:
            memoryAfter = meter.memory()
            phase = .over
            loop.stop()
        case .over: loop.stop()
        }
    }

    private func startLoad() {
        began = Loop.now
        lastSign = began
        windowStart = began + Int64(scenario.warmup * 1e9)
        windowEnd = windowStart + Int64(scenario.seconds * 1e9)
        seconds = Array(repeating: SecondCount(), count: Int(scenario.seconds.rounded(.up)))
        phase = .warmup
        if scenario.warmup == 0 { startWindow() } else { phaseTimer.start(after: windowStart - Loop.now) }
        for group in groups {
            switch (group.spec.session.isServerless, group.spec.arrival.isOpen) {
            case (true, true): for client in group.clients { group.addFree(client) }
            case (true, false): for client in group.clients { client.takeNext() }
            case (false, true): break
            case (false, false): for client in group.clients where client.state == .idle { client.takeNext() }
            }
        }
        arrivals()
    }

    private func startWindow() {
        phase = .window
        cpuAtStart = target.pids.isEmpty ? nil : meter.cpu()
        ownCPUAtStart = ProcessMeter.own
        meteredFrom = Loop.now
        faults.start()
        phaseTimer.start(after: windowEnd - Loop.now)
        report(Loop.now, at: true)
    }

    /// What it cost, and whether everybody is still there.
    private func meterWindow() {
        guard phase == .window else { return }
        meteredUntil = Loop.now
        ownCPUSpent = ProcessMeter.own - ownCPUAtStart
        connectedAtEnd = presence().there
        if let cpuAtStart {
            cpuSpent = meter.cpu().map { $0 - cpuAtStart }
            if cpuSpent == nil { notes.append("a process to measure ended during the window: its CPU is not known") }
        }
    }

    private func endWindow() {
        // What was due in the last moments counts, even where this program is late itself.
        arrivals()
        meterWindow()
        faults.stop()
        if options.countSystemCalls, !target.pids.isEmpty {
            phase = .beforeTrace
            phaseTimer.start(after: 1_000_000_000)
        } else {
            startDrain()
        }
    }

    private func attachTracer() {
        do {
            tracer = try SystemCallTracer(meter.family)
            phase = .attach
            phaseTimer.start(after: 20_000_000)
        } catch {
            notes.append("system calls were not counted: \(error)")
            startDrain()
        }
    }

    private func startDrain() {
        phase = .drain
        // What is on its way may come to an end, but nobody waits for ever.
        phaseTimer.start(after: Int64(min(scenario.timeout, 5) * 1e9))
        arrivalTimer.cancel()
        finishIfDrained()
    }

    func finishIfDrained() {
        guard phase == .drain, activeJobs == 0, groups.allSatisfy({ $0.backlogCount == 0 }) else { return }
        phaseTimer.start(after: 0)
    }

    /// Ends early, with what there is.
    func end(_ how: Outcome) {
        guard outcome == .complete, phase != .over else { return }
        outcome = how
        meterWindow()
        windowEnd = min(windowEnd, Loop.now)
        isEnding = true
        faults.stop()
        arrivalTimer.cancel()
        giveUpRest()
        phase = .over
        phaseTimer.cancel()
        loop.stop()
    }

    // MARK: Arrivals

    private func arrivals() {
        guard !isEnding, phase.hasLoad else { return }
        var next = Int64.max
        for group in groups {
            let origin = origin(of: group)
            while var due = group.next, due.time + origin <= Loop.now {
                due.time += origin
                group.advance()
                if let client = group.takeFree() {
                    if isInWindow(due.time) { ownLateness.record(UInt64(max(0, Loop.now - due.time) / 1000)) }
                    client.take(due)
                } else {
                    group.addBacklog(due)
                }
            }
            if let due = group.next { next = min(next, due.time + origin) }
        }
        if next < .max { arrivalTimer.start(after: next - Loop.now) }
    }

    /// A burst counts from the window; all else begins with the warm-up.
    private func origin(of group: GroupRun) -> Int64 {
        if case .once = group.spec.arrival { windowStart } else { began }
    }

    func isInWindow(_ due: Int64) -> Bool { due >= windowStart && due < windowEnd }

    /// A client that stays has nothing to do, or a function instance has come to its end and its place is free.
    func ready(_ client: Client) {
        let group = client.group
        if phase.hasLoad || phase == .drain {
            if let due = group.takeBacklog() { return client.take(due) }
            if phase != .drain, !group.spec.arrival.isOpen { return client.takeNext() }
        }
        group.addFree(client)
        finishIfDrained()
    }

    /// What was due in the window and is not answered is not forgotten: its age is a latency already.
    private func giveUpRest() {
        guard windowStart < .max else { return }
        let now = Loop.now
        for group in groups {
            var open = group.backlogTimes
            for client in group.clients { if let job = client.job { open.append(job.due) } }
            // Due, and not even looked at.
            while let due = group.next, due.time + origin(of: group) < min(now, windowEnd) {
                open.append(due.time + origin(of: group))
                group.advance()
            }
            for due in open where isInWindow(due) {
                group.measured.giveUp(due: due, now: now)
                count(due) { $0.due += 1 }
            }
        }
    }

    // MARK: Four times a second

    private func sweep() {
        let now = Loop.now
        if interrupted() { return end(.interrupted) }
        for group in groups {
            for client in group.clients { client.checkDeadline(now: now) }
        }
        if let words = options.obituary?() { return end(.died(words)) }
        let silent = Double(now - lastSign) / 1e9
        let asking = groups.contains {
            $0.backlogCount > 0 || $0.clients.contains { $0.job != nil || $0.state == .waiting || $0.state == .connecting }
        }
        if !asking { lastSign = now }
        // While they log in, some may have to wait for long; that nobody gets in at all is another thing.
        let isStuck = phase == .ramp ? presence().there == 0 : phase != .settle && phase != .settleAfter
        if silent > options.patience, asking, isStuck {
            let trouble = lastTrouble.map { "; the last said: \($0)" } ?? ""
            return end(.died("nobody got an answer for \(fixed(silent, 0)) s\(trouble)"))
        }
        report(now)
        sweepTimer.start(after: 250_000_000)
    }

    /// Until all is over, as far as it is known: the logins take as long as they take.
    private func secondsLeft(_ now: Int64) -> Double {
        let ownEnd = windowEnd < .max ? Double(windowEnd - now) / 1e9 : scenario.warmup + scenario.seconds
        return max(0, ownEnd) + options.secondsBehind
    }

    /// `at`: now, whether or not it is time for it.
    private func report(_ now: Int64, at isSpecial: Bool = false) {
        guard isSpecial || progress.isDue(now) else { return }
        progress.show(
            phase: "\(phase)", elapsed: windowStart < now ? Double(min(now, windowEnd) - windowStart) / 1e9 : 0, length: scenario.seconds,
            left: secondsLeft(now), connected: presence().there, backlog: groups.reduce(0) { $0 + $1.backlogCount }, interval: interval,
            now: now)
        interval = IntervalCount()
    }
}
