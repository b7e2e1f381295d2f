import EventLoop
import PoolCore
import PostgresWire
import Synchronization

/// Who gets which server, and when it is free again.
extension WorkerCore {
    // MARK: A client asks

    /// Gives the client an idle server, or a place in the queue.
    func requestServer(_ client: ClientConnection) {
        guard var shard = client.shard else { return }
        if shard.isOrphaned {
            pools.rehome(client)
            guard let home = client.shard else { return }
            shard = home
        }
        if shared.isStopping {
            fail(client, .serverShuttingDown)
            return
        }
        if let server = takeIdle(shard) {
            link(client, server)
            return
        }
        switch shard.machine.clientAsks(client.slot, now: now, shard.shared) {
        case .refuse(let error):
            fail(client, error)
        case .wait(let ticket):
            client.move(to: .waiting(ticket))
            opener.serve(shard)
        }
    }

    /// Servers of the pool in all workers.
    func totalServers(_ shard: PoolShard) -> Int {
        shared.capacity.withLock { $0.servers(of: shard.shared.key) }
    }

    /// The next idle server that is fit for use. `isTested`: one that has rested for long is tested instead, and more are opened if it hangs.
    /// Those that are not to be used any more are closed.
    func takeIdle(_ shard: PoolShard, isTested: Bool = true) -> ServerConnection? {
        while true {
            switch shard.machine.takeIdle(now: now, generation: shard.shared.presentGeneration, isTested: isTested) {
            case .take(let slot):
                if let server = idleServer(slot) { return server }
            case .close(let slot):
                if let server = idleServer(slot) { close(server, .obsolete) }
            case .test(let slot):
                if let server = idleServer(slot) { test(server) }
                return nil
            case .none:
                return nil
            }
        }
    }

    private func idleServer(_ slot: UInt32) -> ServerConnection? {
        if let server = servers[slot], server.phase == .idle { return server }
        Faults.note("slot \(slot) is on the idle list and has no idle server")
        return nil
    }

    func isObsolete(_ server: ServerConnection) -> Bool { server.generation != server.shard.shared.presentGeneration }

    /// Tests a server; its pool's state machine knows of it.
    func test(_ server: ServerConnection) {
        server.move(to: .testing)
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
    func link(_ client: ClientConnection, _ server: ServerConnection, waited: Int64 = 0) {
        client.move(to: .linked)
        client.server = server
        client.wasNotified = false
        server.client = client
        server.move(to: .linked)
        server.uses &+= 1
        server.lastActivity = now
        server.waited = waited
        server.shard.counters.assigned(waited: waited)
        server.trialsRepeated = 0
        server.isFlushed = false
        server.rules = server.isDedicated ? ServerSession.Rules(mapsStatements: false, statementLimit: 0) : server.shard.settings.rules
        server.session.begin(isShared: server.policy.sharesServers)
        if client.login == nil { tellDefaults(of: server, to: client) }
        if let wanted = client.session.parameters, wanted !== server.session.settings.adjustedTo || server.session.settings.isDoubtful {
            adjust(server, client, to: wanted, waits: client.login != nil)
        }
        // A login that waited for this may find that there is nothing to be tried: another one with the same values was faster.
        if client.login != nil, client.session.parameters != nil, server.phase == .linked { finishTrial(server) }
    }

    // MARK: A server is done

    /// Looks at a server after something has happened to it, and lets it go on.
    func advance(_ server: ServerConnection) {
        if server.cancels != nil { cancels.sendNext(about: server) }
        switch server.phase {
        case .linked:
            advanceLinked(server)
        case .trying:
            if server.trialsLeft == 0 { finishTrial(server) }
        case .testing:
            if server.session.isReusable {
                server.shard.machine.testPassed()
                returnToPool(server)
            }
        case .resetting:
            if server.session.isReusable { returnToPool(server) }
        case .settingUp:
            if server.session.isReusable { opener.opened(server) }
        case .abandoned:
            continueAbandoned(server)
        default:
            break
        }
    }

    private func advanceLinked(_ server: ServerConnection) {
        guard let client = server.client else { return }
        let policy = server.policy
        if policy.refusesTransactionBlocks, server.session.status != .idle, server.session.ledger.isEmpty {
            fail(client, .transactionInStatementMode)
            return
        }
        // Not into a message of which a part was sent.
        if server.session.ledger.isUncertain, client.passThrough == 0 || client.dropsPassThrough, let probe = server.session.resyncProbe() {
            // How many ReadyForQuery are still to come after a COPY that failed. What the client has sent meanwhile waits for that.
            send(probe.span, to: server)
            return
        }
        let isOpened = server.session.gate != .open && server.session.mayGoOn()
        // What has waited goes on this server: another one would have to be put right for it again, and it would wait again. Behind a RESET
        // or DISCARD ALL it is this one that has to be put right: the next link sees to it.
        if isOpened, !client.held.isEmpty, !server.session.settings.isDoubtful,
            client.session.parameters.map({ $0 === server.session.settings.adjustedTo }) ?? true
        {
            carryOn(client)
            guard server.isOpen, server.phase == .linked, server.client === client else { return }
        }
        if explains(server) { return }
        let isExplained = server.isExplained
        server.isExplained = false
        if policy.release == .betweenTransactions, isDone(server) {
            release(client, server)
            return
        }
        if isOpened || isExplained { carryOn(client) }
    }

    /// Nothing of its client is left on the server, nor in the outbox. The end of a COPY that failed may be there: nothing is owed for it.
    func isDone(_ server: ServerConnection) -> Bool {
        guard server.isClean else { return false }
        guard server.channel.hasPosted else { return true }
        sendPosted()
        return server.isClean
    }

    /// The client may go on with what it has sent meanwhile.
    func carryOn(_ client: ClientConnection) {
        guard client.isOpen else { return }
        consumeHeld(client)
        if client.isOpen { resumeReading(client) }
    }

    func unlink(_ client: ClientConnection, _ server: ServerConnection) {
        client.server = nil
        client.move(to: .idle)
        server.client = nil
    }

    /// Parts a client and its server between two transactions.
    func release(_ client: ClientConnection, _ server: ServerConnection) {
        unlink(client, server)
        if settings.serverResetQueryAlways, !settings.serverResetQuery.isEmpty {
            reset(server)
        } else {
            returnToPool(server)
        }
        carryOn(client)
    }

    /// Puts the session back to its beginning before another client sees it.
    func reset(_ server: ServerConnection) {
        cancels.forgetNext(about: server)
        server.resetsNext = server.cancels != nil
        if server.resetsNext {
            server.move(to: .beingCanceled)
            return
        }
        if settings.serverResetQuery.isEmpty {
            returnToPool(server)
            return
        }
        server.move(to: .resetting)
        run(.resetQuery, settings.serverResetQuery, on: server)
    }

    /// A server without a client, outside a transaction, owing nothing: the longest waiting client gets it, here or elsewhere.
    func returnToPool(_ server: ServerConnection) {
        server.move(to: .freed)
        server.lastActivity = now
        server.queryStart = 0
        server.transactionStart = 0
        guard placement.begins(server) else { return }
        assignOrPark(server)
        while let next = placement.next() {
            if next.isOpen { assignOrPark(next) }
        }
    }

    private func assignOrPark(_ server: ServerConnection) {
        assert(server.isClean)
        let shard = server.shard
        if server.cancels != nil {
            // What is on its way may hit whatever runs; what is not, is about nothing any more.
            cancels.forgetNext(about: server)
            if server.cancels != nil {
                server.move(to: .beingCanceled)
                return
            }
        }
        let isStopping = shared.isStopping
        if let unfitness = shard.machine.unfitness(of: server.condition, now: now, isStopping: isStopping, shard.shared) {
            close(server, unfitness.closeReason)
            return
        }
        if server.hasUnread {
            server.hasUnread = false
            postponeReading(server)
        }
        server.move(to: .idle)
        // Only pools that share a size with others make room for them.
        if shard.shared.isDivided, opener.room.isWanted, opener.room.takes(server) { return }
        assign(server, mayMigrate: shared.parallel)
    }

    /// Gives a server that is fit for use to whoever is to have it.
    private func assign(_ server: ServerConnection, mayMigrate: Bool) {
        let shard = server.shard
        switch shard.machine.serverFreed(
            server.slot, generation: server.generation, now: now, mayMigrate: mayMigrate, shard.shared)
        {
        case .lookUp:
            if let lookup = shard.machine.nextLookup() { logins.run(lookup, on: server) }
        case .migrate(let borrower):
            if opener.exchange.isPortable(server) {
                opener.exchange.migrate(server, to: borrower, isIdle: false)
            } else if server.isOpen {
                assign(server, mayMigrate: false)
            }
        case .link(let slot, let since):
            guard let client = clients[slot] else {
                Faults.note("slot \(slot) waits for a server and has no client")
                return assign(server, mayMigrate: mayMigrate)
            }
            link(client, server, waited: now - since)
            carryOn(client)
        case .parked:
            if shared.parallel { opener.exchange.offerIdleSoon(shard) }
        }
    }
}
