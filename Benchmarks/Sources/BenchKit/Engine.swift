import LibpqLoop

/// Plays one scenario against one target, and measures.
public final class Engine {
    public struct Options {
        /// A connection to the server itself, for faults and for counting its connections.
        public var adminURL: String?
        /// Command that restarts the server.
        public var restart: (() throws -> Void)?
        public var countSystemCalls = false
        /// Counts as the server's connections those that were used a moment ago, not all.
        public var countsOnlyUsed = false
        public var progress = true
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
    private(set) var clockOffset = 0.0
    private(set) var isEnding = false
    /// Transactions that clients have taken and not ended.
    var activeJobs = 0

    private var groups: [GroupRun] = []
    private var waitingForLogin = Queue<Client>()
    private var loginsInProgress = 0
    private var began: Int64 = 0
    private var windowStart = Int64.max
    private var windowEnd = Int64.max
    private var seconds: [SecondCount] = []
    private var strangers = 0
    private var strangerWords: [String] = []
    private var notes: [String] = []
    private var lastSign: Int64 = 0
    private var lastTrouble: Failure?
    private var succeededEver = 0
    private var outcome: Outcome = .complete
    private var interval = IntervalCount()
    /// Between due and sent, although a client was free: this program had no CPU.
    private var ownLateness = Measurements.empty
    private var peakServers: Int?
    private let meter: ProcessMeter
    private lazy var arrivalTimer = Timer(on: loop) { [unowned self] in arrivals() }
    private lazy var sweepTimer = Timer(on: loop) { [unowned self] in sweep() }
    private lazy var phaseTimer = Timer(on: loop) { [unowned self] in nextPhase() }
    private lazy var progress = Progress(isOn: options.progress)
    private lazy var faults = ServerSide(engine: self)
    private var phase = Phase.ramp
    private var interrupted: () -> Bool

    private var memoryBefore: Int?
    private var memoryConnected: Int?
    private var memoryAfter: Int?
    private var cpuAtStart: [Int32: Int64] = [:]
    private var cpuSpent: Int64?
    private var connectedAtStart = 0
    private var systemCalls: SystemCallCount?
    private var systemCallTransactions = 0
    private var tracer: SystemCallTracer?

    private enum Phase {
        case ramp
        case settle
        case warmup
        case window
        case trace
        case drain
        case settleAfter
        case over
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
        try probe()
        memoryBefore = meter.memory()
        lastSign = Loop.now
        progress.begin("\(scenario.name) on \(target.name): \(grouped(scenario.clients)) clients")
        for (index, spec) in scenario.groups.enumerated() {
            let group = GroupRun(spec, index: index, seed: scenario.seed)
            group.clients = (0..<spec.clients).map { Client($0, group: group, engine: self) }
            groups.append(group)
        }
        for group in groups where !group.spec.session.isServerless {
            for client in group.clients { wantsLogin(client) }
        }
        let staying = groups.filter { !$0.spec.session.isServerless }.reduce(0) { $0 + $1.clients.count }
        phase = .ramp
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

    /// Sockets and what else a run needs, against what the process may open.
    public static func checkFiles(clients: Int) throws(BenchFailure) {
        let limit = Machine.raiseFileLimit()
        let needed = clients + Machine.openFiles + 32
        if needed > limit {
            throw .unavailable(
                "\(grouped(clients)) clients need \(grouped(needed)) open files, and this process may have \(grouped(limit)): raise the limit (ulimit -n \(needed)), or ask for fewer clients"
            )
        }
    }

    /// One login, and the server's clock against ours, before anything else.
    private func probe() throws(BenchFailure) {
        let session = Dialogue(on: loop)
        defer { session.close() }
        var users: [Int?] = scenario.groups.contains { $0.tenants == 0 } ? [nil] : []
        if scenario.tenants > 0 { users.append(1) }
        for tenant in users {
            do {
                try session.open(target.keywords(tenant: tenant), seconds: options.patience, interrupted: interrupted)
            } catch let failure as Failure {
                throw explain(failure, tenant: tenant)
            } catch { throw (error as? BenchFailure) ?? .unavailable("\(error)") }
        }
        do {
            if scenario.needsTables {
                let rows = try session.rows(
                    "SELECT to_regclass('sluicebench.history')", seconds: options.patience, interrupted: interrupted)
                if rows.first?.first ?? nil == nil {
                    throw BenchFailure.unavailable(
                        "the database \(target.database) has no tables for this scenario: make them with `sluicebench prepare --target URL`"
                    )
                }
            }
            var best = Double.infinity
            for _ in 0..<10 {
                let before = Double(Loop.wallMicroseconds)
                let rows = try session.rows(
                    "SELECT extract(epoch FROM clock_timestamp()) * 1000000", seconds: options.patience, interrupted: interrupted)
                let after = Double(Loop.wallMicroseconds)
                guard let text = rows.first?.first ?? nil, let server = Double(text), after - before < best else { continue }
                best = after - before
                let offset = server - (before + after) / 2
                // Less than a round trip: that is what cannot be told from nothing.
                clockOffset = abs(offset) < best ? 0 : offset
            }
        } catch let failure as Failure {
            throw explain(failure, tenant: nil)
        } catch { throw (error as? BenchFailure) ?? .unavailable("\(error)") }
        if clockOffset != 0 {
            notes.append("the server's clock is \(fixed(clockOffset / 1000, 2)) ms ahead of ours; waits are corrected by that")
        }
    }

    private func explain(_ failure: Failure, tenant: Int?) -> BenchFailure {
        let user = tenant.map(Target.tenantName) ?? target.user
        let at = "\(target.address), database \(target.database), user \(user)"
        switch failure.sqlState {
        case Failure.cannotConnect, Failure.timedOut: return .unavailable("cannot reach \(target.name) at \(at): \(failure.message)")
        case "28P01", "28000":
            let hint = tenant == nil ? "" : " (this scenario needs the users of `sluicebench prepare`, with the target's password)"
            return .unavailable("\(target.name) refuses the login at \(at): \(failure)\(hint)")
        default: return .unavailable("\(target.name) does not work at \(at): \(failure)")
        }
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
        loginEnded(failed: false)
    }

    func loginEnded(failed: Bool) {
        loginsInProgress -= 1
        startLogins()
        if phase == .ramp, !failed, groups.allSatisfy({ $0.spec.session.isServerless || $0.clients.allSatisfy(\.isThere) }) {
            phaseTimer.start(after: 0)
        }
    }

    // MARK: Phases

    private func nextPhase() {
        switch phase {
        case .ramp:
            let (there, wanted) = presence()
            if there < wanted {
                let trouble = lastTrouble.map { "; the last said: \($0)" } ?? ""
                notes.append("only \(grouped(there)) of \(grouped(wanted)) clients could log in\(trouble)")
                if there == 0 { return end(.died("nobody could log in\(trouble)")) }
            }
            connectedAtStart = there
            phase = .settle
            phaseTimer.start(after: isIdleScenario ? 1_500_000_000 : 0)
        case .settle:
            memoryConnected = meter.memory()
            phase = .warmup
            began = Loop.now
            lastSign = began
            phaseTimer.start(after: Int64(scenario.warmup * 1e9))
            for group in groups {
                switch (group.spec.session.isServerless, group.spec.arrival.isOpen) {
                case (true, true): for client in group.clients { group.addFree(client) }
                case (true, false): for client in group.clients { client.take(due: Loop.now) }
                case (false, true): break
                case (false, false): for client in group.clients where client.state == .idle { client.take(due: Loop.now) }
                }
            }
            arrivals()
        case .warmup:
            phase = .window
            windowStart = Loop.now
            windowEnd = windowStart + Int64(scenario.seconds * 1e9)
            seconds = Array(repeating: SecondCount(), count: Int(scenario.seconds.rounded(.up)))
            for group in groups { group.measured = Measurements() }
            cpuAtStart = meter.cpu()
            faults.start()
            phaseTimer.start(after: windowEnd - Loop.now)
            arrivals()
        case .window:
            windowEnd = min(windowEnd, Loop.now)
            cpuSpent = target.pids.isEmpty ? nil : meter.cpu(since: cpuAtStart)
            faults.stop()
            if options.countSystemCalls, !target.pids.isEmpty, outcome == .complete {
                phase = .trace
                do {
                    tracer = try SystemCallTracer(meter.family)
                    phaseTimer.start(after: 2_500_000_000)
                    return
                } catch { notes.append("system calls were not counted: \(error)") }
            }
            startDrain()
        case .trace:
            systemCalls = tracer?.stop()
            tracer = nil
            startDrain()
        case .drain:
            phase = .settleAfter
            isEnding = true
            giveUpRest()
            phaseTimer.start(after: isIdleScenario && outcome == .complete ? 1_500_000_000 : 0)
        case .settleAfter:
            memoryAfter = meter.memory()
            phase = .over
            loop.stop()
        case .over: loop.stop()
        }
    }

    private var isIdleScenario: Bool {
        scenario.groups.contains { if case .once = $0.arrival { true } else { false } }
    }

    private func startDrain() {
        phase = .drain
        // What is on its way may come to an end, but nobody waits for ever.
        phaseTimer.start(after: Int64(min(scenario.timeout, 5) * 1e9))
        arrivalTimer.cancel()
        finishIfDrained()
    }

    private func finishIfDrained() {
        guard phase == .drain, activeJobs == 0, groups.allSatisfy({ $0.backlogCount == 0 }) else { return }
        phaseTimer.start(after: 0)
    }

    /// What was due in the window and is not answered is not forgotten: its age is a latency already.
    private func giveUpRest() {
        let now = Loop.now
        for group in groups {
            var open = group.backlogTimes
            for client in group.clients { if let job = client.job { open.append(job.due) } }
            for due in open where due >= windowStart && due < windowEnd {
                group.measured.giveUp(due: due, now: now)
                count(due) { $0.due += 1 }
            }
        }
    }

    /// Ends early, with what there is.
    func end(_ how: Outcome) {
        guard outcome == .complete, phase != .over else { return }
        outcome = how
        if windowEnd > Loop.now { windowEnd = Loop.now }
        if phase == .window { cpuSpent = target.pids.isEmpty ? nil : meter.cpu(since: cpuAtStart) }
        isEnding = true
        faults.stop()
        arrivalTimer.cancel()
        giveUpRest()
        phase = .over
        phaseTimer.cancel()
        loop.stop()
    }

    private func sweep() {
        let now = Loop.now
        if interrupted() { return end(.interrupted) }
        for group in groups {
            for client in group.clients { client.checkDeadline(now: now) }
        }
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

    private func report(_ now: Int64) {
        guard progress.isDue(now) else { return }
        let (there, _) = presence()
        progress.show(
            phase: "\(phase)", elapsed: windowStart < now ? Double(now - windowStart) / 1e9 : 0, length: scenario.seconds, connected: there,
            backlog: groups.reduce(0) { $0 + $1.backlogCount }, interval: interval, now: now)
        interval = IntervalCount()
    }

    private func presence() -> (there: Int, wanted: Int) {
        var there = 0
        var wanted = 0
        for group in groups where !group.spec.session.isServerless {
            wanted += group.clients.count
            for client in group.clients where client.isThere { there += 1 }
        }
        return (there, wanted)
    }

    // MARK: Arrivals

    private func arrivals() {
        guard !isEnding, phase == .warmup || phase == .window || phase == .trace else { return }
        var next = Int64.max
        for group in groups {
            guard let origin = origin(of: group) else { continue }
            while let due = group.nextDue, due + origin <= Loop.now {
                let time = due + origin
                group.nextDue = group.schedule.next()
                if let client = group.takeFree() {
                    if phase == .window { ownLateness.record(UInt64(max(0, Loop.now - time) / 1000)) }
                    client.take(due: time)
                } else {
                    group.addBacklog(time)
                }
            }
            if let due = group.nextDue { next = min(next, due + origin) }
        }
        if next < .max { arrivalTimer.start(after: next - Loop.now) }
    }

    /// A burst counts from the window, so it has no time before that; all else begins with the warm-up.
    private func origin(of group: GroupRun) -> Int64? {
        if case .once = group.spec.arrival { return windowStart == .max ? nil : windowStart }
        return began
    }

    /// A client that stays has nothing to do.
    func ready(_ client: Client) {
        let group = client.group
        switch phase {
        case .warmup, .window, .trace, .drain:
            if let due = group.takeBacklog() { return client.take(due: due) }
            if phase != .drain, !group.spec.arrival.isOpen { return client.take(due: Loop.now) }
            group.addFree(client)
        default: group.addFree(client)
        }
        finishIfDrained()
    }

    /// A function instance has come to its end; its place is free.
    func left(_ client: Client) { ready(client) }

    // MARK: What clients report

    private func count(_ due: Int64, _ change: (inout SecondCount) -> Void) {
        guard due >= windowStart, due < windowEnd else { return }
        let index = Int((due - windowStart) / 1_000_000_000)
        if index < seconds.count { change(&seconds[index]) }
    }

    func ended(_ group: GroupRun, _ job: Client.Job, _ failure: Failure?) {
        let now = Loop.now
        activeJobs -= 1
        interval.add(latency: now - job.due, failed: failure != nil)
        if let failure {
            trouble(failure)
        } else {
            lastSign = now
            succeededEver += 1
            if phase == .trace { systemCallTransactions += 1 }
            if now >= windowStart, now < windowEnd { group.measured.succeededInside += 1 }
        }
        if job.due >= windowStart, job.due < windowEnd {
            if let failure {
                group.measured.fail(failure.sqlState, failure.message)
            } else {
                // A function's work begins with its login; its wait is that of the login, and of no use as a time in the queue.
                let sent = group.spec.session.isServerless ? job.begun : job.sent
                group.measured.succeed(due: job.due, sent: sent, done: now, wait: job.wait)
            }
            let isServed = failure == nil && Double(now - job.due) <= options.servedWithin * 1e9
            count(job.due) {
                $0.due += 1
                if failure != nil { $0.failed += 1 }
                if isServed { $0.served += 1 }
            }
        }
        finishIfDrained()
    }

    /// An error outside a transaction.
    func mishap(_ group: GroupRun, _ failure: Failure) {
        trouble(failure)
        interval.failed += 1
        if phase == .window { group.measured.note(failure.sqlState, failure.message) }
    }

    /// A client in the wrong: the login that can't work in the middle of a run is said, not hidden.
    private func trouble(_ failure: Failure) {
        lastTrouble = failure
        // An error of the server's is a sign of life, a lost connection is not.
        if ![Failure.cannotConnect, Failure.connectionLost, Failure.timedOut].contains(failure.sqlState), phase != .ramp {
            lastSign = Loop.now
        }
    }

    /// Somebody else's answer, or none's: what must never happen.
    func stranger(_ client: Client, _ words: String) {
        strangers += 1
        if strangerWords.count < 10 { strangerWords.append("client \(client.group.spec.name) \(client.number): \(words)") }
    }

    // MARK: For the faults

    var everybody: [Client] { groups.flatMap(\.clients) }
    func remark(_ text: String) { if !notes.contains(text) { notes.append(text) } }
    func sawServers(_ count: Int) { peakServers = max(peakServers ?? 0, count) }
    var isMeasuring: Bool { phase == .window }

    // MARK: The result

    private func result() -> RunResult {
        var total = Measurements()
        for group in groups { total.add(group.measured) }
        let length = windowStart == .max ? 0 : Double(windowEnd - windowStart) / 1e9
        var result = RunResult(
            scenario: scenario.name, summary: scenario.summary, target: target.name, seed: scenario.seed, length: length, outcome: outcome)
        result.isOpenLoop = scenario.groups.allSatisfy(\.arrival.isOpen)
        result.isOnlyClosed = scenario.groups.allSatisfy { !$0.arrival.isOpen }
        result.total = GroupResult("total", clients: scenario.clients, total, length: length)
        result.groups =
            groups.count < 2 ? [] : groups.map { GroupResult($0.spec.name, clients: $0.clients.count, $0.measured, length: length) }
        result.connected = connectedAtStart
        result.strangers = strangers
        result.strangerWords = strangerWords
        result.seconds = Array(seconds.prefix(Int(length.rounded(.up))))
        result.peakServers = peakServers
        if let cpuSpent {
            result.cpuSeconds = Double(cpuSpent) / 1e9
            if total.succeededInside > 0 { result.cpuPerTransaction = Double(cpuSpent) / 1000 / Double(total.succeededInside) }
        }
        result.memory =
            target.pids.isEmpty
            ? nil : MemoryResult(before: memoryBefore, connected: memoryConnected, after: memoryAfter, clients: connectedAtStart)
        if let systemCalls { result.systemCalls = systemCalls.result(transactions: systemCallTransactions) }
        if let late = Percentiles(ownLateness), late.p99 > 1000 { result.generatorLate = late.p99 }
        if windowStart == .max { notes.append("the measured window had not begun") }
        result.notes = notes
        return result
    }
}
