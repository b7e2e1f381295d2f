import Bytes
import Configuration
import Console
import PoolCore
import Statistics

/// What the worker has counted, and how things stand, for whoever asks.
final class Snapshots: WorkerPart {
    unowned let worker: WorkerCore
    /// What belongs to no pool.
    var counters = WorkerCounters()
    /// The tick in which the statistics of the last period are logged.
    private var statisticsDue: Int?
    /// The present `stats_period`.
    private(set) var period = PeriodClock()

    init(of worker: WorkerCore) { self.worker = worker }

    func statistics() -> WorkerStatistics {
        let gauges = gauges()
        let known = worker.shards.values.map { shard in
            let limits = shard.settings.limits
            return PoolStatistics(
                database: shard.databaseName, user: shard.shared.key.user, counters: shard.counters, period: shard.tally.last,
                recent: shard.tally.recent(shard.counters.totals, duration: period.recent(at: now)),
                gauges: gauges[ObjectIdentifier(shard)] ?? PoolGauges(), poolSize: limits.pool, reserveSize: limits.reserve,
                poolMode: shard.settings.policy.mode.rawValue, isPaused: shard.machine.isPaused)
        }
        var statistics = WorkerStatistics(
            pools: known + worker.pools.forgotten.values.filter(\.isNeeded).map(statistics), counters: counters,
            clientsLoggingIn: worker.logins.underWay,
            clients: worker.clients.count, servers: worker.servers.count)
        statistics.objects = objects()
        statistics.peerRequests = worker.cancels.peers.counts()
        statistics.lookups = worker.opener.hosts.pending
        return statistics
    }

    /// What was counted here for a pool that only others still have, with the settings of today.
    private func statistics(_ forgotten: ForgottenShard) -> PoolStatistics {
        var statistics = forgotten.statistics
        statistics.isPaused = worker.admin.state.pauses(statistics.database)
        if let database = configuration.database(named: statistics.database) {
            let settings = PoolSettings(configuration, database: database, user: statistics.user)
            statistics.poolSize = settings.limits.pool
            statistics.reserveSize = settings.limits.reserve
            statistics.poolMode = settings.policy.mode.rawValue
        }
        return statistics
    }

    /// What SHOW MEM tells of this worker.
    private func objects() -> [String: ObjectUse] {
        var requests = 0
        var statements = 0
        // What is received, and what is put together for either side.
        var buffers = [Transport.receiveSize, Transport.receiveSize + 4096, Transport.receiveSize + 4096]
        func add(_ held: Int, _ outgoing: Int) {
            if held > 0 { buffers.append(held) }
            if outgoing > 0 { buffers.append(outgoing) }
        }
        worker.clients.visit { add($0.held.count, $0.channel.pendingOutput) }
        worker.servers.visit { server in
            add(server.held.count, server.channel.pendingOutput)
            requests += server.session.ledger.count
            statements += server.session.statements.count
        }
        return [
            "client": ObjectUse(count: worker.clients.count, size: worker.clients.any.map(ObjectSize.of) ?? 0),
            "server": ObjectUse(count: worker.servers.count, size: worker.servers.any.map(ObjectSize.of) ?? 0),
            "pool": ObjectUse(count: worker.shards.count, size: worker.shards.values.first.map(ObjectSize.of) ?? 0),
            "outstanding_request": ObjectUse(count: requests, size: MemoryLayout<ReplyLedger.Owed>.stride),
            "server_prepared_statement": ObjectUse(count: statements, size: 5 * MemoryLayout<UInt64>.stride),
            "iobuf": ObjectUse(count: buffers.count, size: Transport.receiveSize, total: buffers.reduce(0, +)),
        ]
    }

    /// How many connections of each pool are in which state.
    private func gauges() -> [ObjectIdentifier: PoolGauges] {
        var result: [ObjectIdentifier: PoolGauges] = [:]
        for shard in worker.shards.values {
            var gauges = PoolGauges()
            gauges.clientsWaiting = shard.machine.clientsWaiting
            gauges.longestWait = longestWait(shard)
            gauges.clientsIdle = shard.clients - gauges.clientsWaiting
            gauges.serversLent = shard.machine.serversLent
            result[ObjectIdentifier(shard)] = gauges
        }
        worker.servers.visit { server in
            result[ObjectIdentifier(server.shard), default: PoolGauges()].count(
                server.state(now: now, checkDelay: checkDelay), hasClient: server.client != nil,
                isInIdleTransaction: server.isInIdleTransaction)
            if let cancels = server.cancels { result[ObjectIdentifier(server.shard)]?.cancelRequestsWaiting += cancels.requesters.count }
        }
        worker.cancels.connections.visit { connection in
            let pool = ObjectIdentifier(connection.server.shard)
            result[pool]?.serversCanceling += 1
            let requests = connection.requesters.count
            if connection.isSent { result[pool]?.cancelRequests += requests } else { result[pool]?.cancelRequestsWaiting += requests }
        }
        return result
    }

    /// How long the longest waiting client of a pool has waited here.
    private func longestWait(_ shard: PoolShard) -> Int64 {
        var since = shard.machine.queue.head?.since ?? .max
        for waiter in shard.machine.awaitingGreeting + shard.machine.awaitingDedicated {
            since = min(since, worker.clients[waiter.client]?.connectTime ?? .max)
        }
        return since == .max ? 0 : max(0, now - since)
    }

    /// Idle time after which a server is checked before use; nil when none ever is.
    var checkDelay: Int64? { settings.serverCheckQuery.isEmpty ? nil : settings.serverCheckDelay }

    // MARK: Periods

    /// Ends a `stats_period` when it is over.
    func rollPeriod() {
        guard let length = period.advance(to: now, period: Int64(settings.statsPeriod) * 1_000_000) else { return }
        for shard in worker.shards.values { shard.tally.end(shard.counters.totals, length: length) }
        worker.admin.console.endPeriod(length: length)
        // The other workers end their period at a tick of their own.
        if worker.index == 0 { statisticsDue = worker.janitor.ticks + 2 }
    }

    /// Once a `stats_period` the log gets a line, in PgBouncer's format.
    func logStatistics() {
        guard let due = statisticsDue, worker.janitor.ticks >= due else { return }
        statisticsDue = nil
        guard settings.logStats else { return }
        let (workers, log) = (worker.admin.workers, shared.log)
        Task(executorPreference: shared.tasks) {
            let statistics = await ConsoleReport.statistics(workers)
            log.info("\(ShowTopic.logLine(statistics.total.period))")
        }
    }

    // MARK: Reasons

    func count(_ reason: ClientCloseReason, of client: ClientConnection) {
        if let shard = client.shard {
            shard.counters.clientDisconnects.add(reason.cause)
        } else if client.console != nil {
            worker.admin.console.count(reason)
        } else {
            counters.disconnects.add(reason.cause)
        }
    }
}

extension ServerConnection {
    /// How SHOW SERVERS calls the state of a server.
    enum State: String, Sendable {
        case active, idle, used, tested, new
        case beingCanceled = "being_canceled"
    }

    /// Its client has a transaction open and asks for nothing.
    var isInIdleTransaction: Bool { phase == .linked && session.status != .idle && !session.ledger.isRunning }

    func state(now: Int64, checkDelay: Int64?) -> State {
        switch phase {
        case .connecting, .encrypting, .authenticating, .settingUp: .new
        case .linked, .trying, .abandoned, .lookingUp: .active
        case .testing, .resetting: .tested
        case .beingCanceled: .beingCanceled
        case .idle: checkDelay.map { now - lastActivity >= $0 } == true ? .used : .idle
        case .freed, .closed: .idle
        }
    }
}

extension PoolGauges {
    fileprivate mutating func count(_ state: ServerConnection.State, hasClient: Bool, isInIdleTransaction: Bool) {
        switch state {
        case .active: serversActive += 1
        case .idle: serversIdle += 1
        case .used: serversUsed += 1
        case .tested: serversTested += 1
        case .new: serversLogin += 1
        case .beingCanceled: serversBeingCanceled += 1
        }
        if hasClient {
            if isInIdleTransaction { clientsIdleInTransaction += 1 } else { clientsLinked += 1 }
            clientsIdle -= 1
        }
    }
}
