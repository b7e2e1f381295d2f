import LibpqLoop

/// One client program: a connection, and the transaction it is in.
final class Client: ConnectionOwner {
    enum State {
        case offline
        case connecting
        case idle
        case working
        /// Puts its connection in order after an error.
        case rollingBack
        case frozen
        /// Waits before it connects again.
        case waiting
    }

    struct Job {
        /// Nanoseconds of `Loop.now`.
        var due: Int64
        var begun: Int64
        /// When the first message left, on both clocks.
        var sent: Int64 = 0
        var sentWall: Int64 = 0
        /// Transactions still to do after this one, where the client is a function instance.
        var left: Int
        var tag = ""
        var tagBytes: [UInt8] = []
        var steps: [Step] = []
        var step = 0
        /// Answers to the step so far; rows of a COPY so far.
        var answers = 0
        var failure: Failure?
        /// Microseconds between `sent` and the server's clock at the start of the transaction.
        var wait: Double?
    }

    let group: GroupRun
    let number: Int
    private(set) var state = State.offline
    private(set) var job: Job?
    private(set) var deadline = Int64.max
    private var connection: Connection!
    private var random: SeededRandom
    private var prepared: UInt32 = 0
    private var preparing = false
    private var nonce = 0
    private var attempts = 0
    private var connectStarted: Int64 = 0
    /// Until then, a statement that was cancelled may be by our own request.
    private var cancelAskedUntil: Int64 = 0
    private var copyRowsLeft = 0
    private var copyRow = 0
    private lazy var timer = Timer(on: engine.loop) { [unowned self] in timerFired() }
    private unowned let engine: Engine

    init(_ number: Int, group: GroupRun, engine: Engine) {
        self.number = number
        self.group = group
        self.engine = engine
        random = SeededRandom(seed: engine.scenario.seed, stream: group.index * 100_000 + number)
        connection = Connection(on: engine.loop, owner: self)
    }

    private var tenant: Int? { group.spec.tenants > 0 ? number % group.spec.tenants + 1 : nil }

    // MARK: Connecting

    func connect() {
        state = .connecting
        prepared = 0
        connectStarted = Loop.now
        deadline = connectStarted + engine.timeout
        connection.open(engine.target.keywords(tenant: tenant))
    }

    func connected() {
        attempts = 0
        engine.loggedIn(group, started: connectStarted)
        if job != nil {
            begin()
        } else {
            becomeIdle()
        }
    }

    func broken(_ failure: Failure) {
        let was = state
        state = .offline
        deadline = .max
        timer.cancel()
        if was == .connecting { engine.loginEnded(failed: true) }
        if was == .frozen { return engine.left(self) }
        if job != nil {
            finish(failed: failure)
        } else {
            engine.mishap(group, failure)
        }
        // Who asks again at once would do nothing else while the target is down.
        if group.spec.session.isServerless, group.spec.arrival.isOpen || was != .connecting { return engine.left(self) }
        waitAndConnect()
    }

    /// Connects again after a while that grows, each client after its own, so that they do not come all at once.
    private func waitAndConnect() {
        guard !engine.isEnding else { return }
        state = .waiting
        attempts = min(attempts + 1, 6)
        let most = 0.05 * Double(1 << attempts)
        timer.start(after: Int64((0.5 + random.fraction() / 2) * min(most, 2) * 1e9))
    }

    private func timerFired() {
        switch state {
        case .waiting where group.spec.session.isServerless:
            state = .offline
            engine.left(self)
        case .waiting: engine.wantsLogin(self)
        case .working: runStep()
        case .frozen:
            connection.vanish(reset: false)
            state = .offline
            engine.left(self)
        case .idle: engine.ready(self)
        default: break
        }
    }

    // MARK: Working

    /// Takes a transaction that was due at `due`; a function instance connects first.
    func take(due: Int64) {
        timer.cancel()
        engine.activeJobs += 1
        job = Job(due: due, begun: Loop.now, left: 0)
        if case .serverless(let least, let most, _, _) = group.spec.session {
            job!.left = Int.random(in: least...most, using: &random) - 1
            engine.wantsLogin(self)
        } else {
            begin()
        }
    }

    private func begin() {
        nonce += 1
        let tag = "\(engine.mark)g\(group.index)c\(number)n\(nonce)"
        job!.tag = tag
        job!.tagBytes = Array(tag.utf8)
        job!.steps = group.spec.work.steps(tag: tag, random: &random, mode: group.spec.mode)
        job!.step = 0
        state = .working
        deadline = Loop.now + engine.timeout
        if job!.sent == 0 {
            job!.sent = Loop.now
            job!.sentWall = Loop.wallMicroseconds
        }
        runStep()
    }

    private func runStep() {
        job!.answers = 0
        switch job!.steps[job!.step] {
        case .think(let nanoseconds):
            job!.step += 1
            timer.start(after: nanoseconds)
        case .ask(let statement, let parameters, _):
            switch group.spec.mode {
            case .simple: connection.query(statement.inline(parameters))
            case .extended, .pipeline: connection.query(statement.text, parameters)
            case .prepared:
                if prepared & 1 << statement.number == 0 {
                    preparing = true
                    connection.prepare(statement.name, statement.text)
                } else {
                    connection.execute(statement.name, parameters)
                }
            }
        case .askTogether(let statements):
            connection.beginPipeline()
            for each in statements { connection.query(each.statement.text, each.parameters) }
            connection.endPipeline()
        case .copyOut(let rows):
            connection.query(
                "COPY (SELECT '\(job!.tag)', repeat('x', 80), i FROM generate_series(1, \(rows)) AS i) TO STDOUT")
        case .copyIn(let rows):
            copyRowsLeft = rows
            copyRow = 0
            connection.query("COPY sluicebench_sink FROM STDIN")
        }
    }

    func answered(_ answer: Answer) {
        guard state == .working, job != nil else { return }
        if preparing { return }
        switch job!.steps[job!.step] {
        case .ask(_, _, let check):
            job!.answers += 1
            if job!.answers > 1 { return engine.stranger(self, "more results than statements") }
            verify(answer, check)
        case .askTogether(let statements):
            if answer.kind == .skipped { return }
            let part = job!.answers
            job!.answers += 1
            guard part < statements.count else { return engine.stranger(self, "more results than statements") }
            let expected = Array(Work.tag(job!.tag, part: part).utf8)
            if answer.rowCount != 1 || !answer.holds(expected, row: 0, column: 0) { mismatch(answer, row: 0) }
            learnWait(answer)
        case .copyOut, .copyIn, .think: break
        }
    }

    private func verify(_ answer: Answer, _ check: Check) {
        switch check {
        case .done:
            if answer.kind != .command || answer.rowCount != 0 { mismatch(answer, row: 0) }
        case .rows(let count):
            if answer.rowCount != count { return engine.stranger(self, "\(answer.rowCount) rows instead of \(count)") }
            for row in 0..<count where !answer.holds(job!.tagBytes, row: row, column: 0) { return mismatch(answer, row: row) }
            learnWait(answer)
        case .sink(let rows):
            let sum = Double(rows) * Double(rows + 1) / 2
            let right =
                answer.rowCount == 1 && answer.holds(job!.tagBytes, row: 0, column: 0) && answer.number(row: 0, column: 2) == Double(rows)
                && answer.number(row: 0, column: 3) == 1 && answer.holds(job!.tagBytes, row: 0, column: 4)
                && answer.number(row: 0, column: 5) == sum
            if !right { return mismatch(answer, row: 0) }
            learnWait(answer)
        }
    }

    private func mismatch(_ answer: Answer, row: Int) {
        engine.stranger(self, "asked as \(job!.tag), the answer says \(answer.text(row: row, column: 0) ?? "nothing")")
    }

    /// now() in an answer is when the server received the transaction's first message.
    private func learnWait(_ answer: Answer) {
        guard job!.wait == nil, answer.columnCount > 1, let began = answer.number(row: 0, column: 1), began > 1e9 else { return }
        job!.wait = max(0, began * 1e6 - Double(job!.sentWall) - engine.clockOffset)
    }

    func copied(_ row: UnsafeRawBufferPointer) {
        guard state == .working, job != nil, case .copyOut = job!.steps[job!.step] else { return }
        job!.answers += 1
        let tag = job!.tagBytes
        let right = row.count > tag.count && row[tag.count] == UInt8(ascii: "\t") && tag.indices.allSatisfy { row[$0] == tag[$0] }
        if !right { engine.stranger(self, "asked as \(job!.tag), a copied row says \(String(decoding: row.prefix(60), as: UTF8.self))") }
    }

    func nextCopyPiece() -> [UInt8]? {
        guard state == .working, job != nil, copyRowsLeft > 0 else { return nil }
        var piece: [UInt8] = []
        let filler = Array("\t\(String(repeating: "x", count: 80))\t".utf8)
        for _ in 0..<min(100, copyRowsLeft) {
            copyRow += 1
            copyRowsLeft -= 1
            piece += job!.tagBytes
            piece += filler
            piece += "\(copyRow)\n".utf8
        }
        return piece
    }

    func refused(_ failure: Failure) {
        preparing = false
        if failure.sqlState == "57014", Loop.now > cancelAskedUntil {
            engine.stranger(self, "a cancel reached a statement that nobody had asked to cancel")
        }
        if state == .working, job != nil, job!.failure == nil { job!.failure = failure }
    }

    func finished() {
        switch state {
        case .rollingBack:
            if connection.isInTransaction {
                connection.close()
                return broken(Failure(sqlState: Failure.connectionLost, message: "still in a transaction after ROLLBACK"))
            }
            proceed()
        case .working:
            guard job != nil else { return }
            if let failure = job!.failure {
                finish(failed: failure)
                if !connection.isInTransaction { return proceed() }
                state = .rollingBack
                connection.query("ROLLBACK")
                return
            }
            if preparing, case .ask(let statement, let parameters, _) = job!.steps[job!.step] {
                preparing = false
                prepared |= 1 << statement.number
                return connection.execute(statement.name, parameters)
            }
            checkCompleteness()
            job!.step += 1
            if job!.step < job!.steps.count { return runStep() }
            if job!.left > 0 {
                job!.left -= 1
                return begin()
            }
            finish(failed: nil)
            proceed()
        default: break
        }
    }

    private func checkCompleteness() {
        let expected: Int
        switch job!.steps[job!.step] {
        case .ask: expected = 1
        case .askTogether(let statements): expected = statements.count
        case .copyOut(let rows): expected = rows
        case .copyIn, .think: return
        }
        if job!.answers != expected { engine.stranger(self, "\(job!.answers) answers instead of \(expected)") }
    }

    private func finish(failed failure: Failure?) {
        guard let job else { return }
        self.job = nil
        deadline = .max
        engine.ended(group, job, failure)
    }

    /// What comes after a transaction.
    private func proceed() {
        guard connection.isConnected else { return }
        guard case .serverless(_, _, let share, let seconds) = group.spec.session else { return becomeIdle() }
        if random.fraction() < share {
            state = .frozen
            connection.freeze()
            timer.start(after: Int64(seconds * 1e9))
            return
        }
        connection.close()
        state = .offline
        engine.left(self)
    }

    private func becomeIdle() {
        state = .idle
        deadline = .max
        if case .closed(let think) = group.spec.arrival, think > 0 {
            timer.start(after: Int64(think * 1e9))
        } else {
            engine.ready(self)
        }
    }

    // MARK: From outside

    var isThere: Bool { connection.isConnected }

    /// Gives up a transaction or a login that takes too long.
    func checkDeadline(now: Int64) {
        guard now > deadline else { return }
        connection.vanish(reset: false)
        broken(Failure(sqlState: Failure.timedOut, message: "no answer in \(fixed(Double(engine.timeout) / 1e9, 0)) s"))
    }

    /// Is gone at once, as when its machine lost power; whatever it asked is lost.
    func vanish() {
        guard connection.isConnected, state == .working || state == .idle else { return }
        connection.vanish(reset: random.next() & 1 == 0)
        if job != nil { engine.activeJobs -= 1 }
        job = nil
        deadline = .max
        timer.cancel()
        state = .offline
        if group.spec.session.isServerless { engine.left(self) } else { waitAndConnect() }
    }

    func cancel() {
        guard state == .working, connection.isConnected else { return }
        cancelAskedUntil = Loop.now + 10_000_000_000
        connection.cancel()
    }

    func shutDown() {
        timer.cancel()
        state = .offline
        job = nil
        connection.close()
    }
}
