import LibpqLoop

/// What happens beside the load: faults, and a look at how many connections the server has. Talks to the server over a connection of
/// its own, which does not pass the pooler.
final class ServerSide: ConnectionOwner {
    private unowned let engine: Engine
    private var connection: Connection?
    private var timers: [Timer] = []
    private var random: SeededRandom
    private var queue: [String] = []
    private var isBusy = false
    private var isStopped = false
    private lazy var reconnect = Timer(on: engine.loop) { [unowned self] in open() }

    init(engine: Engine) {
        self.engine = engine
        random = SeededRandom(seed: engine.scenario.seed, stream: 2_000_000)
    }

    func start() {
        if engine.options.adminURL != nil {
            connection = Connection(on: engine.loop, owner: self)
            open()
            repeating(0.25) { [unowned self] in
                ask(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = '\(engine.target.database)' AND pid <> pg_backend_pid() AND application_name <> 'sluicebench-admin' AND backend_type = 'client backend'\(engine.options.countsOnlyUsed ? used : "")"
                )
            }
        }
        for fault in engine.scenario.faults {
            switch fault {
            case .killBackends(let count, let every):
                guard engine.options.adminURL != nil else {
                    engine.remark("no backends were killed: that needs --admin-url")
                    continue
                }
                repeating(every) { [unowned self] in
                    ask(
                        "SELECT pg_terminate_backend(pid) IS NULL FROM (SELECT pid FROM pg_stat_activity WHERE datname = '\(engine.target.database)' AND pid <> pg_backend_pid() AND application_name <> 'sluicebench-admin' AND backend_type = 'client backend' ORDER BY md5(pid::text || '\(random.next())') LIMIT \(count)) AS victims"
                    )
                }
            case .restartServer(let at):
                guard let restart = engine.options.restart else {
                    engine.remark("the server was not restarted: that needs --restart-command")
                    continue
                }
                once(at) { [unowned self] in
                    do { try restart() } catch { engine.remark("the server could not be restarted: \(error)") }
                }
            case .clientsVanish(let count, let every):
                repeating(every) { [unowned self] in
                    for _ in 0..<count { engine.everybody.randomElement(using: &random)?.vanish() }
                }
            case .cancels(let count, let every):
                repeating(every) { [unowned self] in
                    let busy = engine.everybody.filter { $0.state == .working && $0.isThere }
                    for _ in 0..<count { busy.randomElement(using: &random)?.cancel() }
                }
            }
        }
    }

    /// Others that stand by for their turn have idle connections, too.
    private let used = " AND (state <> 'idle' OR state_change > clock_timestamp() - interval '0.1 s')"

    func stop() {
        isStopped = true
        timers = []
        reconnect.cancel()
        connection?.close()
    }

    private func repeating(_ seconds: Double, _ action: @escaping () -> Void) {
        let index = timers.count
        let timer = Timer(on: engine.loop) { [unowned self] in
            guard !isStopped else { return }
            action()
            if index < timers.count { timers[index].start(after: Int64(seconds * 1e9)) }
        }
        timers.append(timer)
        timer.start(after: Int64(seconds * 1e9))
    }

    private func once(_ seconds: Double, _ action: @escaping () -> Void) {
        let timer = Timer(on: engine.loop, action)
        timers.append(timer)
        timer.start(after: Int64(seconds * 1e9))
    }

    private func open() {
        guard !isStopped, let url = engine.options.adminURL else { return }
        connection?.open([("dbname", url), ("application_name", "sluicebench-admin"), ("gssencmode", "disable")])
    }

    private func ask(_ text: String) {
        guard let connection, connection.isConnected else { return }
        if isBusy {
            if queue.count < 20 { queue.append(text) }
            return
        }
        isBusy = true
        connection.query(text)
    }

    // MARK: ConnectionOwner

    func connected() { isBusy = false }

    func broken(_ failure: Failure) {
        isBusy = false
        if failure.sqlState.hasPrefix("28") { return engine.remark("--admin-url does not work: \(failure)") }
        if !isStopped { reconnect.start(after: 300_000_000) }
    }

    func answered(_ answer: Answer) {
        if let count = answer.number(row: 0, column: 0), count >= 0, engine.isMeasuring { engine.sawServers(Int(count)) }
    }

    func refused(_ failure: Failure) { engine.remark("on the connection of --admin-url: \(failure)") }

    func finished() {
        isBusy = false
        if !queue.isEmpty { ask(queue.removeFirst()) }
    }

    func copied(_ row: UnsafeRawBufferPointer) {}
    func nextCopyPiece() -> [UInt8]? { nil }
}
