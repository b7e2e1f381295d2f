import EventLoop
import PoolCore
import PostgresWire
import Synchronization

/// What happens because time passes. Runs three times a second; walks what is short, and what is long only when a setting asks for it.
final class Janitor: WorkerPart {
    unowned let worker: WorkerCore
    let waits: WaitNotices
    /// How often `tick` has been called.
    private(set) var ticks = 0
    /// Not before this is it looked again which texts of statements nobody uses.
    private var nextStatementSweep: Int64 = 0
    /// Clients in the middle of a message of which the rest has to come soon.
    var slowMessages: Set<UInt32> = []
    /// Some client has brought an `idle_session_timeout`.
    var hasIdleSessionTimeouts = false

    init(of worker: WorkerCore) {
        self.worker = worker
        waits = WaitNotices(of: worker)
    }

    func tick() {
        waits.checkWaiting()
        waits.checkLogins()
        checkServers()
        checkIdleClients()
        checkSlowMessages()
        worker.departures.checkLeaving()
        worker.cancels.expireCancels()
        for shard in worker.shards.values {
            advanceStatements(shard)
            worker.opener.keepMinimum(shard)
            shard.machine.roomChanged()
            worker.opener.takeMoreIdle(shard)
            if shard.machine.hasDemand { worker.opener.serve(shard) }
        }
        worker.snapshots.rollPeriod()
        worker.snapshots.logStatistics()
        ticks += 1
        if ticks % 3 == 0 {
            checkUnfinished()
            worker.pools.forgetUnused()
            worker.opener.hosts.sweep()
        }
        if worker.listeners.isShort { worker.listeners.resume() }
        if worker.index == 0 {
            shared.logFaults()
            checkShutdown()
            sweepStatements()
            if ticks % (3 * max(1, settings.statsPeriod)) == 0 { notifyStatus() }
        }
    }

    /// Plans grow old.
    func advanceStatements(_ shard: PoolShard) {
        let second: Int64 = 1_000_000
        shard.statements.advance(to: Int(now / second), maxAge: Int((settings.statementMaxAge + second - 1) / second))
    }

    /// A line for `systemctl status`.
    private func notifyStatus() {
        let (clients, servers) = shared.capacity.withLock { ($0.clients, $0.servers) }
        ServiceManager.notify(.status("\(clients) clients, \(servers) servers"))
    }

    /// What those who have left used is dropped where there is much of it.
    private func sweepStatements() {
        guard now >= nextStatementSweep, shared.statementMemory.isOver else { return }
        let start = MonotonicClock.now()
        shared.statementMemory.sweep()
        // If all of it is in use, looking costs less than a percent of the time.
        nextStatementSweep = now + 100 * (MonotonicClock.now() - start)
    }

    /// A shutdown that waits is over when nobody is left.
    private func checkShutdown() {
        let left = shared.capacity.withLock { ($0.clients, $0.servers) }
        switch shared.shutdown.load(ordering: .relaxed) {
        case .waitForClients where left.0 == 0, .waitForServers where left.1 == 0:
            shared.log.info("nobody is left, going down")
            Signals.raise(.quit)
        default: break
        }
    }

    // MARK: Clients

    private func checkIdleClients() {
        let isSet = settings.clientIdleTimeout > 0 || configuration.users.values.contains { ($0.clientIdleTimeout ?? 0) > 0 }
        guard isSet || hasIdleSessionTimeouts else { return }
        for client in worker.clients.all {
            switch client.phase {
            case .idle, .skipping: break
            default: continue
            }
            guard !client.channel.hasPendingOutput else { continue }
            let limit = configuration.clientIdleTimeout(user: client.user)
            if limit > 0, now - client.requestTime > limit {
                worker.fail(client, .clientIdleTimeout)
            } else if client.idleSessionTimeout > 0, now - client.requestTime > client.idleSessionTimeout {
                worker.fail(client, .idleSessionTimeout)
            }
        }
    }

    /// A message that is forwarded in pieces holds a server: its rest has to come.
    private func checkSlowMessages() {
        for slot in slowMessages {
            guard let client = worker.clients[slot], client.passThrough > 0 else {
                slowMessages.remove(slot)
                continue
            }
            // The server's slowness is not the client's fault.
            guard client.server?.channel.hasPendingOutput == false, !client.hasUnread else { continue }
            if settings.clientMessageTimeout > 0, now - client.requestTime > settings.clientMessageTimeout {
                worker.fail(client, .stalledMessage)
            }
        }
    }

    // MARK: Servers

    private func checkServers() {
        for server in worker.servers.all {
            switch server.phase {
            case .connecting, .encrypting, .authenticating:
                if isOverdue(server) { worker.opener.openingFailed(server, .connectTimeout) }
            case .idle:
                checkIdle(server)
            case .linked:
                checkLinked(server)
            case .testing, .resetting, .settingUp, .trying, .abandoned, .lookingUp:
                probe(server)
                if server.isOpen, isOverdue(server) {
                    worker.close(server, .tookTooLong(server.phase))
                } else if server.phase == .lookingUp, server.shard.machine.isLookupOverdue(since: server.lastActivity, now: now) {
                    worker.close(server, .queryTimeout)
                }
            case .beingCanceled:
                probe(server)
            case .freed, .closed:
                break
            }
        }
    }

    private func isOverdue(_ server: ServerConnection) -> Bool {
        server.shard.machine.isOverdue(since: server.lastActivity, now: now)
    }

    /// A client that sent half a message and then a reset looks like one that is still writing: no event tells the two apart.
    private func checkUnfinished() {
        for client in worker.clients.all
        where client.server == nil && !client.isLeaving && (!client.held.isEmpty || client.tls?.isUnfinished == true)
            && client.channel.isDead()
        {
            worker.departures.leave(client, .endOfStream)
        }
    }

    private func checkIdle(_ server: ServerConnection) {
        let shard = server.shard
        let isStopping = shared.isStopping
        let unfitness = shard.machine.unfitness(
            ofIdle: server.condition, total: worker.totalServers(shard), now: now, isStopping: isStopping, shard.shared)
        if let unfitness { worker.close(server, unfitness.closeReason) }
    }

    private func checkLinked(_ server: ServerConnection) {
        if server.isDedicated {
            // A stream is no query, however long it takes.
            if worker.isObsolete(server) { worker.close(server, .configurationChangedInUse) } else { probe(server) }
            return
        }
        let use = PoolStateMachine.Use(
            isRunning: server.session.ledger.isRunning, isReusable: server.session.isReusable, queryStart: server.queryStart,
            transactionStart: server.transactionStart, lastActivity: max(server.lastActivity, server.client?.requestTime ?? 0))
        let shard = server.shard
        if let reason = shard.machine.timeout(of: use, generation: server.generation, now: now, shard.shared) {
            worker.close(server, reason)
        } else {
            probe(server)
        }
    }

    /// Looks at sockets that have been silent: an end of stream that was merged with the data before it makes no event.
    private func probe(_ server: ServerConnection) {
        guard now - server.lastActivity > 300_000 else { return }
        if !server.hasUnread, server.channel.isDead() {
            worker.read(server, toEnd: true)
            return
        }
        if let client = server.client, !client.isLeaving, !client.hasUnread, client.channel.isDead() {
            worker.departures.leave(client, .endOfStream)
        }
    }
}
