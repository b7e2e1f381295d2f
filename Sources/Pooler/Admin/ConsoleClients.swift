import Bytes
import Configuration
import Console
import EventLoop
import PoolCore
import PostgresWire
import Statistics
import Synchronization
import Telemetry

/// What a client of the console has beyond a socket.
final class ConsoleClient {
    /// The name that it asked for: pgbouncer or sluice.
    let database: String
    let applicationName: String?
    var session: ConsoleSession
    var commandStart: Int64 = 0
    /// Whether it stands in the statistics.
    var isCounted = false

    init(database: String, applicationName: String?, rights: Rights) {
        self.database = database
        self.applicationName = applicationName
        session = ConsoleSession(rights: rights)
    }
}

/// The console: clients of one worker that talk to the pooler itself.
final class ConsoleClients: WorkerPart {
    unowned let worker: WorkerCore
    /// How many there are.
    private(set) var count = 0
    /// What they did.
    private var counters = PoolCounters()
    private var tally = PeriodTally()

    init(of worker: WorkerCore) { self.worker = worker }

    // MARK: Login

    /// Whether a database name means the console. A database of the file that is called `sluice` is a database.
    func isConsole(_ database: String) -> Bool {
        database == ShowTopic.consoleDatabase || (database == "sluice" && worker.configuration.databases[database] == nil)
    }

    /// User pgbouncer on the Unix socket, from a process of the same system user: nobody else could be asked for a password.
    func isOwnOperator(_ client: ClientConnection) -> Bool {
        client.user == ShowTopic.consoleDatabase && PeerIdentity(of: client.channel.descriptor)?.isOwnUser == true
    }

    /// The client is who it says. Whether it may use the console, and how, is decided here.
    func enter(
        _ client: ClientConnection, database: String, applicationName: String?, _ answer: MessageWriter, isOwnOperator: Bool = false
    ) {
        let rights: Rights
        if isOwnOperator || settings.adminUsers.containsName(client.user) {
            rights = .admin
        } else if settings.statsUsers.containsName(client.user) || settings.authType == .any {
            rights = .stats
        } else {
            worker.fail(client, .consoleNotAllowed)
            return
        }
        // Whoever has to repair things must not be kept out by the limits.
        let limits =
            rights == .admin
            ? CapacityLedger.ClientLimits()
            : CapacityLedger.ClientLimits(
                database: settings.maxDbClientConnections, user: worker.configuration.maxUserClientConnections(user: client.user))
        let refusal = shared.capacity.withLock {
            $0.admitClient(database: ShowTopic.consoleDatabase, user: client.user, limits: limits)
        }
        if let refusal {
            worker.fail(client, refusal)
            return
        }
        client.console = ConsoleClient(database: database, applicationName: applicationName, rights: rights)
        count += 1
        if settings.logConnections {
            shared.log.info(worker.logins.loginEvent(client, database: database), about: client.subject)
        }
        var writer = answer
        for (name, value) in SessionParameters.greeting { writer.parameterStatus(name: name, value: value) }
        worker.cancels.giveCancelKey(to: client, &writer)
        writer.readyForQuery(.idle)
        client.login = nil
        worker.logins.isOver()
        counters.totals.logins &+= 1
        client.move(to: .console)
        client.requestTime = now
        worker.send(writer.bytes, to: client)
    }

    func left(_ client: ClientConnection) {
        count -= 1
        shared.capacity.withLock { $0.dismissClient(database: ShowTopic.consoleDatabase, user: client.user) }
        if client.console?.session.isBusy == true { shared.adminRequests.post(.forget, for: client.id) }
        client.console = nil
    }

    // MARK: Messages

    /// Handles bytes of a console client; returns up to where.
    func receive(_ client: ClientConnection, _ bytes: Span<UInt8>, from offset: Int) -> Int {
        guard let console = client.console else { return bytes.count }
        // Who does not take the answers gets no more of them: what is asked in one burst may be answered by gigabytes.
        guard !client.channel.hasPendingOutput else { return offset }
        var at = offset
        var replies: [UInt8] = []
        client.requestTime = now
        loop: while at < bytes.count, !console.session.isBusy {
            if client.passThrough > 0 {
                let take = min(client.passThrough, bytes.count - at)
                client.passThrough -= take
                at += take
                continue
            }
            switch peekFrame(bytes, at: at) {
            case .short:
                break loop
            case .malformed:
                worker.send(replies, to: client)
                worker.fail(client, .badHeader(headerDigits(bytes, at: at)))
                return bytes.count
            case .frame(let frame):
                if frame.length > ConsoleSession.messageLimit {
                    replies += console.session.refuseLong(frame)
                    client.passThrough = frame.length
                    client.dropsPassThrough = true
                    continue
                }
                guard bytes.count - at >= frame.length else { break loop }
                let action = console.session.receive(frame, bytes, at: at)
                at += frame.length
                switch action {
                case .reply(let messages):
                    if frame.type == Frontend.query || frame.type == Frontend.execute { countCommand(of: console) }
                    replies += messages
                    if replies.count > Self.repliesLimit { break loop }
                case .run(let command, let first):
                    replies += first
                    console.commandStart = now
                    countCommand(of: console)
                    run(command, client)
                case .terminate:
                    worker.close(client, .terminated)
                    return bytes.count
                case .refuse(let text):
                    worker.send(replies, to: client)
                    worker.fail(client, .consoleRefused(text))
                    return bytes.count
                }
            }
        }
        reply(replies, to: client)
        return at
    }

    /// Answers to messages of one burst that leave together.
    private static let repliesLimit = 64 * 1024

    private func reply(_ messages: [UInt8], to client: ClientConnection) {
        guard !messages.isEmpty else { return }
        worker.send(messages, to: client)
    }

    /// A client of the console counts as one query and one transaction of database pgbouncer, without bytes and times, as in PgBouncer:
    /// whoever watches the totals must not find himself in them.
    private func countCommand(of console: ConsoleClient) {
        guard !console.isCounted else { return }
        console.isCounted = true
        counters.totals.queries &+= 1
        counters.totals.transactions &+= 1
    }

    // MARK: Commands

    /// Starts a command. Its outcome comes as a message, whoever finds it: another worker, the main thread.
    private func run(_ command: ConsoleCommand, _ client: ClientConnection) {
        let (mailbox, slot, id) = (worker.mailbox, client.slot, client.id)
        let (workers, requests) = (worker.admin.workers, shared.adminRequests)
        let question = question(command)
        let facts = facts()
        let rights = client.console?.session.rights ?? .stats
        Task(executorPreference: shared.tasks) {
            let outcome: ConsoleOutcome
            if let question {
                outcome = await requests.ask(question, for: id)
            } else {
                outcome = await ConsoleReport.outcome(of: command, for: rights, facts, workers)
            }
            mailbox.post(.consoleDone(slot: slot, id: id, outcome))
        }
    }

    /// What is asked of the main thread; nil for a command that only looks.
    private func question(_ command: ConsoleCommand) -> AdminRequestQueue.Request? {
        switch command {
        case .set(let key, let value): .set(key: key, value: value)
        case .reset(let key): .reset(key: key)
        case .reload: .reload
        case .pause(let name): .pause(name)
        case .resume(let name): .resume(name)
        case .disable(let name): .disable(name)
        case .enable(let name): .enable(name)
        case .reconnect(let name): .reconnect(name)
        case .kill(let name): .kill(name)
        case .killClient(let id): .killClient(id)
        case .waitClose(let name): .waitClose(name)
        case .shutdown(let kind): .shutdown(kind)
        case .empty, .help, .show, .showSession, .setSession, .whyClient, .whyPool, .courtesy, .deallocate: nil
        }
    }

    /// A command has been carried out, unless the client has left meanwhile.
    func done(slot: UInt32, id: UInt64, _ outcome: ConsoleOutcome) {
        guard let client = worker.clients[slot], client.id == id, let console = client.console else { return }
        if case .failed(let error) = outcome, settings.logPoolerErrors {
            shared.log.warning(.poolerError(message: error.message, code: error.code), about: client.subject)
        }
        reply(console.session.finish(outcome), to: client)
        guard client.isOpen else { return }
        worker.consumeHeld(client)
        if client.isOpen { worker.resumeReading(client) }
    }

    /// What every SHOW may need and is at hand.
    private func facts() -> ConsoleFacts { ConsoleFacts(shared, worker.configuration, worker.admin.state, now: now) }

    /// A `stats_period` of this length has ended.
    func endPeriod(length: Int64) { tally.end(counters.totals, length: length) }

    /// A client of the console is gone.
    func count(_ reason: ClientCloseReason) { counters.clientDisconnects.add(reason.cause) }

    /// The console's part of the statistics.
    func statistics() -> PoolStatistics {
        var gauges = PoolGauges()
        gauges.clientsLinked = count
        return PoolStatistics(
            database: ShowTopic.consoleDatabase, user: ShowTopic.consoleDatabase, counters: counters, period: tally.last,
            recent: tally.recent(counters.totals, duration: worker.snapshots.period.recent(at: now)), gauges: gauges, poolSize: 2,
            poolMode: PoolMode.statement.rawValue)
    }
}
