import EventLoop
import PoolCore
import PostgresWire
import Synchronization

/// Who gets which server, and when it is free again.
extension WorkerCore {
    // MARK: A client asks

    /// Gives the client an idle server, or a place in the queue.
    func requestServer(_ client: ClientConnection) {
        guard let shard = client.shard else { return }
        if shared.shutdown.load(ordering: .relaxed) == .waitForServers {
            fail(client, .serverShuttingDown)
            return
        }
        if let server = takeIdle(shard) {
            shard.publish()
            link(client, server)
            return
        }
        if let failure = shard.shared.failure, shard.shared.connected.load(ordering: .relaxed) == 0, now < failure.time + settings.serverLoginRetry {
            fail(client, .serverLoginFailing(String((failure.fields.message ?? "connect failed").prefix(99))))
            return
        }
        client.phase = .waiting(shard.queue.enqueue(client.slot, now: now))
        shard.publish()
        serve(shard)
    }

    /// Servers of the pool in all workers.
    func totalServers(_ shard: PoolShard) -> Int {
        shared.capacity.withLock { $0.servers(of: shard.shared.key) }
    }

    /// The next idle server that is fit for use. Those that rested long are tested first; those that are not to be used any more are
    /// closed.
    func takeIdle(_ shard: PoolShard) -> ServerConnection? {
        while let slot = shard.queue.takeIdle() {
            guard let server = servers[slot] else { continue }
            if isObsolete(server) {
                close(server, .obsolete("obsolete connection"))
                continue
            }
            if needsCheck(server) {
                test(server)
                continue
            }
            return server
        }
        return nil
    }

    func isObsolete(_ server: ServerConnection) -> Bool {
        server.generation != server.shard.shared.generation.load(ordering: .relaxed)
    }

    private func needsCheck(_ server: ServerConnection) -> Bool {
        !settings.serverCheckQuery.isEmpty && now - server.lastActivity > settings.serverCheckDelay
    }

    private func test(_ server: ServerConnection) {
        server.phase = .testing
        let query = settings.serverCheckQuery == "<empty>" ? "" : settings.serverCheckQuery
        run(.checkQuery, query, on: server)
    }

    /// Sends a query of the pooler's own.
    func run(_ errand: ServerSession.Errand, _ query: String, on server: ServerConnection) {
        server.session.owe(errand)
        var writer = MessageWriter()
        writer.query(query)
        server.lastActivity = now
        send(writer.bytes.span, to: server)
    }

    // MARK: Linking

    /// Connects a client with a server and sees to the server's settings; the client's messages are the caller's business.
    func link(_ client: ClientConnection, _ server: ServerConnection) {
        client.phase = .linked
        client.server = server
        client.wasNotified = false
        server.client = client
        server.phase = .linked
        server.wasUsed = true
        server.lastActivity = now
        guard let wanted = client.session.parameters, wanted !== server.session.parameters else { return }
        adjust(server, client, to: wanted)
    }

    private func adjust(_ server: ServerConnection, _ client: ClientConnection, to wanted: ParameterSet) {
        let changes = server.session.parameters.changes(to: wanted)
        if changes.isEmpty {
            server.session.parameters = wanted
            return
        }
        var writer = MessageWriter()
        if wanted.isProven {
            // Same send as the query: nothing is waited for.
            writer.query(changes.map(\.sql).joined(separator: ";"))
            server.session.owe(.parameter(changes[0], isTrial: false))
            server.session.parameters = wanted
            toServer.append(writer.bytes)
            return
        }
        for change in changes {
            writer.query(change.sql)
            server.session.owe(.parameter(change, isTrial: true))
        }
        server.phase = .trying
        server.trialsLeft = changes.count
        server.trialFailed = nil
        send(writer.bytes.span, to: server)
    }

    /// All trials have been answered.
    private func finishTrial(_ server: ServerConnection) {
        guard let client = server.client else { return }
        let table = server.shard.shared.parameters
        if let refused = server.trialFailed {
            server.trialFailed = nil
            fail(client, .invalidServerParameter(refused))
            return
        }
        let wanted = client.session.parameters?.unreported.filter { !table.isRefused($0.name) } ?? []
        let settled = table.intern(reported: server.session.parameters.reported, unreported: wanted, byServer: true)
        table.accept(settled)
        server.session.parameters = settled
        client.session.parameters = settled
        server.phase = .linked
        consumeHeld(client)
        if client.isOpen { resumeReading(client) }
    }

    func errandFailed(_ server: ServerConnection, _ errand: ServerSession.Errand, _ fields: ErrorFields) {
        let reason = fields.message ?? "unknown error"
        switch errand {
        case .parameter(let change, let isTrial):
            if isTrial, fields.code == SQLState.undefinedObject {
                shared.log.warning("\(server.label) ignoring startup parameter \"\(change.name)\": \(reason)")
                server.shard.shared.parameters.refuse(name: change.name)
            } else if isTrial {
                server.trialFailed = fields
            } else {
                // Accepted once and refused now: the server is not in the state that the query behind it expects.
                if let client = server.client, !server.isMidMessage { fail(client, .invalidServerParameter(fields)) }
                close(server, .failed("invalid server parameter"))
            }
        case .connectQuery:
            shared.log.warning("\(server.label) connect_query failed: \(reason)")
        case .checkQuery, .resetQuery, .rollback:
            close(server, .failed("\(errand) failed: \(reason)"))
        case .resynchronise:
            break
        }
    }

    // MARK: A server is done

    /// Looks at a server after its messages were handled, and lets it go on.
    func settle(_ server: ServerConnection, sawReady: Bool) {
        switch server.phase {
        case .linked:
            guard sawReady else { return }
            if server.shard.settings.mode == .statement, server.session.status != .idle, let client = server.client {
                fail(client, .transactionInStatementMode)
                return
            }
            let client = server.client
            let isOpened = openBarrier(server)
            if server.session.isReusable, server.shard.settings.mode != .session {
                release(server)
            } else if isOpened, let client {
                consumeHeld(client)
                if client.isOpen { resumeReading(client) }
            }
        case .trying:
            if server.trialsLeft == 0 { finishTrial(server) }
        case .testing, .resetting:
            if server.session.isReusable { free(server) }
        case .settingUp:
            if server.session.isReusable { opened(server) }
        case .abandoned:
            continueAbandoned(server)
        default:
            break
        }
    }

    /// Lets the client's next message go, if what it waited for has come. False: there was no barrier, or it stays.
    private func openBarrier(_ server: ServerConnection) -> Bool {
        guard let client = server.client else { return false }
        switch client.barrier {
        case .none: return false
        case .untilSettled: guard server.session.ledger.isEmpty else { return false }
        case .untilConfirmed: guard server.session.fences == 0 else { return false }
        }
        client.barrier = .none
        return true
    }

    /// Parts a client and its server between two transactions.
    private func release(_ server: ServerConnection) {
        guard let client = server.client else { return }
        client.server = nil
        client.phase = .idle
        server.client = nil
        if settings.serverResetQueryAlways, !settings.serverResetQuery.isEmpty {
            reset(server)
        } else {
            free(server)
        }
        guard client.isOpen else { return }
        consumeHeld(client)
        if client.isOpen { resumeReading(client) }
    }

    /// Puts the session back to its beginning before another client sees it.
    func reset(_ server: ServerConnection) {
        if settings.serverResetQuery.isEmpty {
            free(server)
            return
        }
        server.phase = .resetting
        run(.resetQuery, settings.serverResetQuery, on: server)
    }

    /// A server without a client, outside a transaction, owing nothing: the longest waiting client gets it, here or elsewhere.
    func free(_ server: ServerConnection) {
        let shard = server.shard
        server.lastActivity = now
        server.queryStart = 0
        server.transactionStart = 0
        if server.cancelsInFlight > 0 {
            server.phase = .beingCanceled
            return
        }
        if isObsolete(server) {
            close(server, .obsolete("database configuration changed"))
            return
        }
        if isOverAge(server) {
            close(server, .obsolete("server lifetime over"))
            return
        }
        if shared.shutdown.load(ordering: .relaxed) == .waitForServers {
            close(server, .obsolete("server shutting down"))
            return
        }
        server.phase = .idle
        if shared.parallel, lendToOldest(server) { return }
        if let waiter = shard.queue.dequeue() {
            shard.publish()
            if let client = clients[waiter.client] {
                link(client, server)
                consumeHeld(client)
                // Nothing but parameters to send, or a client that turned out to want nothing: don't leave them behind.
                if server.isOpen, !toServer.isEmpty { flushPrefix(server) }
                if client.isOpen { resumeReading(client) }
                return
            }
        }
        shard.queue.park(server.slot)
        shard.publish()
        if shared.parallel { offerIdle(shard) }
    }

    /// Parameters of a client whose message has not come whole: can't happen while only whole messages make a client wait.
    private func flushPrefix(_ server: ServerConnection) {
        let scratch = toServer
        send(scratch.bytes, to: server)
        toServer.clear()
    }

    private func isOverAge(_ server: ServerConnection) -> Bool {
        let lifetime = server.shard.settings.serverLifetime
        guard now - server.connectTime >= lifetime else { return false }
        let size = max(1, server.shard.settings.limits.pool)
        if lifetime == 0 { return server.wasUsed }
        return server.shard.shared.mayCloseForAge(now: now, spacing: lifetime / Int64(size))
    }
}
