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
        /// Draws what is asked.
        var random: SeededRandom
        /// When the first message left, on both clocks.
        var sent: Int64 = 0
        var sentWall: Int64 = 0
        /// Transactions still to do after this one, where the client is a function instance.
        var left: Int
        /// A function instance falls silent at its end, instead of leaving.
        var freezes = false
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
    /// Stands in its group's list of free clients.
    var isListedAsFree = false
    private var connection: Connection!
    /// For what no figure depends on: pauses, ways to vanish.
    private var random: SeededRandom
    private var questions = 0
    private var freezesAfter = false
    private var prepared: UInt32 = 0
    private var preparing = false
    private var nonce = 0
    private var attempts = 0
    private var connectStarted: Int64 = 0
    /// Own requests that may still end a statement.
    private var cancels: [CancelRequest] = []
    private var stepSent: Int64 = 0
    private var copyRowsLeft = 0
    private var copyRow = 0
    /// Why its last login failed; nil after one that did not.
    private(set) var loginFailure: Failure?
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
        loginFailure = nil
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
        if was == .connecting {
            loginFailure = failure
            engine.loginEnded()
        }
        if was == .frozen { return engine.ready(self) }
        if job != nil {
            finish(failed: failure)
        } else {
            engine.mishap(group, failure)
        }
        // Who asks again at once would do nothing else while the target is down.
        if group.spec.session.isServerless, group.spec.arrival.isOpen || was != .connecting { return engine.ready(self) }
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
            engine.ready(self)
        case .waiting: engine.wantsLogin(self)
        case .working: runStep()
        case .frozen:
            connection.vanish(reset: false)
            state = .offline
            engine.ready(self)
        case .idle: engine.ready(self)
        default: break
        }
    }

    // MARK: Working

    /// Takes a transaction of open arrivals.
    func take(_ due: GroupRun.Due) { take(due: due.time, random: group.random(ofArrival: due.number)) }

    /// Takes the next transaction of closed arrivals, which is due now.
    func takeNext() {
        questions += 1
        take(due: Loop.now, random: group.random(ofClient: number, question: questions))
    }

    /// A function instance connects first.
    private func take(due: Int64, random: SeededRandom) {
        timer.cancel()
        engine.activeJobs += 1
        var random = random
        if case .serverless(let least, let most, let share, _) = group.spec.session {
            let left = Int.random(in: least...most, using: &random) - 1
            let freezes = random.fraction() < share
            job = Job(due: due, begun: Loop.now, random: random, left: left, freezes: freezes)
            engine.wantsLogin(self)
        } else {
            job = Job(due: due, begun: Loop.now, random: random, left: 0)
            begin()
        }
    }

    private func begin() {
        nonce += 1
        let tag = "\(engine.mark)g\(group.index)c\(number)n\(nonce)"
        job!.tag = tag
        job!.tagBytes = Array(tag.utf8)
        var random = job!.random
        job!.steps = group.spec.work.steps(tag: tag, random: &random, mode: group.spec.mode)
        job!.random = random
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
        stepSent = Loop.now
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
                "COPY (SELECT '\(job!.tag)', repeat('x', \(Self.filler.count)), i FROM generate_series(1, \(rows)) AS i) TO STDOUT")
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
        case .ask(_, let parameters, let check):
            job!.answers += 1
            if job!.answers > 1 { return engine.stranger(self, "more results than statements") }
            verify(answer, check, mark: parameters.first ?? "")
        case .askTogether(let statements):
            if answer.kind == .skipped { return }
            let part = job!.answers
            job!.answers += 1
            guard part < statements.count else { return engine.stranger(self, "more results than statements") }
            verify(answer, .rows(1), mark: statements[part].parameters[0])
        case .copyOut, .copyIn, .think: break
        }
    }

    private func verify(_ answer: Answer, _ check: Check, mark: String) {
        let expected = Array(mark.utf8)
        engine.rowsChecked += answer.rowCount
        switch check {
        case .done(let tag):
            if answer.kind != .command || answer.commandTag != tag {
                engine.stranger(self, "\(answer.commandTag.isEmpty ? "rows" : answer.commandTag) instead of \(tag)")
            }
        case .rows(let count), .numberedRows(let count):
            if answer.rowCount != count { return engine.stranger(self, "\(answer.rowCount) rows instead of \(count)") }
            for row in 0..<count where !answer.holds(expected, row: row, column: 0) { return mismatch(answer, row: row, mark) }
            if case .numberedRows = check {
                for row in 0..<count where answer.digits(row: row, column: 3) != row + 1 {
                    return engine.stranger(self, "row \(row + 1) says it is \(answer.text(row: row, column: 3) ?? "none")")
                }
            }
            learnWait(answer)
        case .sink(let rows):
            let sum = Double(rows) * Double(rows + 1) / 2
            let right =
                answer.rowCount == 1 && answer.holds(expected, row: 0, column: 0) && answer.number(row: 0, column: 2) == Double(rows)
                && answer.number(row: 0, column: 3) == 1 && answer.holds(expected, row: 0, column: 4)
                && answer.number(row: 0, column: 5) == sum
            if !right { return mismatch(answer, row: 0, mark) }
            learnWait(answer)
        }
    }

    private func mismatch(_ answer: Answer, row: Int, _ mark: String) {
        engine.stranger(self, "asked as \(mark), the answer says \(answer.text(row: row, column: 0) ?? "nothing")")
    }

    /// now() in an answer is when the server received the transaction's first message.
    private func learnWait(_ answer: Answer) {
        guard job!.wait == nil, answer.columnCount > 1, let began = answer.number(row: 0, column: 1), began > 1e9 else { return }
        job!.wait = max(0, began * 1e6 - Double(job!.sentWall) - engine.clockOffset)
    }

    func copied(_ row: UnsafeRawBufferPointer) {
        guard state == .working, job != nil, case .copyOut = job!.steps[job!.step] else { return }
        job!.answers += 1
        engine.rowsChecked += 1
        let tag = job!.tagBytes
        // who, filler and number, between tabs; a line's end
        let numberAt = tag.count + 1 + Self.filler.count + 1
        let right =
            row.count > numberAt + 1 && tag.indices.allSatisfy { row[$0] == tag[$0] } && row[tag.count] == UInt8(ascii: "\t")
            && Answer.digits(UnsafeRawBufferPointer(rebasing: row[numberAt..<row.count - 1])) == job!.answers
        if !right {
            engine.stranger(
                self, "asked as \(job!.tag), copied row \(job!.answers) says \(String(decoding: row.prefix(160), as: UTF8.self))")
        }
    }

    private static let filler = [UInt8](repeating: UInt8(ascii: "x"), count: 80)

    func nextCopyPiece() -> [UInt8]? {
        guard state == .working, job != nil, copyRowsLeft > 0 else { return nil }
        var piece: [UInt8] = []
        for _ in 0..<min(100, copyRowsLeft) {
            copyRow += 1
            copyRowsLeft -= 1
            piece += job!.tagBytes
            piece.append(UInt8(ascii: "\t"))
            piece += Self.filler
            piece += "\t\(copyRow)\n".utf8
        }
        return piece
    }

    func refused(_ failure: Failure) {
        preparing = false
        if failure.sqlState == "57014", !mayBeCancelled {
            engine.stranger(self, "a cancel reached a statement that nobody had asked to cancel")
        }
        if state == .working, job != nil, job!.failure == nil { job!.failure = failure }
    }

    /// Whether one of our own requests can have reached the statement in progress: it was sent before the request had been dealt
    /// with. A second is allowed for those who close a request's connection before they have.
    private var mayBeCancelled: Bool {
        cancels.removeAll { $0.end.map { stepSent > $0 + 1_000_000_000 } ?? false }
        return !cancels.isEmpty
    }

    func finished() {
        switch state {
        case .rollingBack:
            deadline = .max
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
                deadline = Loop.now + engine.timeout
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
        freezesAfter = job.freezes
        deadline = .max
        engine.ended(group, job, failure)
    }

    /// What comes after a transaction.
    private func proceed() {
        guard connection.isConnected else { return }
        guard case .serverless(_, _, _, let seconds) = group.spec.session else { return becomeIdle() }
        if freezesAfter {
            state = .frozen
            connection.freeze()
            timer.start(after: Int64(seconds * 1e9))
            return
        }
        connection.close()
        state = .offline
        engine.ready(self)
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
        if group.spec.session.isServerless { engine.ready(self) } else { waitAndConnect() }
    }

    func cancel() {
        guard state == .working, connection.isConnected else { return }
        _ = mayBeCancelled
        if let request = connection.cancel() { cancels.append(request) }
    }

    func shutDown() {
        timer.cancel()
        state = .offline
        job = nil
        connection.close()
    }
}
