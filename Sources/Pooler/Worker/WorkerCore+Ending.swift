import EventLoop
import PoolCore
import PostgresWire
import Synchronization
import Telemetry

/// How connections end, and what becomes of those they were linked with.
extension WorkerCore {
    /// What the log tells of the end of a client, and of a server, that has been there since then.
    func closing(_ reason: ClientCloseReason, since start: Int64) -> LogEvent {
        .close(reason: reason.text, cause: reason.cause.name, age: Int((now - start) / 1_000_000))
    }
    func closing(_ reason: ServerCloseReason, since start: Int64) -> LogEvent {
        .close(reason: reason.text, cause: reason.cause.name, age: Int((now - start) / 1_000_000))
    }

    // MARK: Clients

    /// Tells the client why, and closes.
    func fail(_ client: ClientConnection, _ error: PoolerError) {
        // What it sent before is answered first.
        if error.isAboutMessage, !client.lacksMemory, client.server?.session.ledger.isRunning == true {
            departures.leave(client, .error(error))
        } else {
            close(client, .error(error))
        }
    }

    func close(_ client: ClientConnection, _ reason: ClientCloseReason) {
        guard client.isOpen else { return }
        // Before the client hears of it: whoever has been told looks into the log.
        if let error = reason.error, settings.logPoolerErrors {
            shared.log.warning(.poolerError(message: error.message, code: error.fields.code ?? error.code), about: client.subject)
        }
        if settings.logDisconnections {
            let level: LogLevel = client.isProbe && reason.isDisappearance ? .debug : .info
            shared.log.write(level, closing(reason, since: client.connectTime), about: client.subject)
        }
        // In the middle of a server's message there is no place for another one.
        if let error = reason.error, client.server?.isMidMessage != true {
            var writer = MessageWriter()
            writer.error(error.fields)
            send(writer.bytes, to: client)
        }
        endTLS(client)
        snapshots.count(reason, of: client)
        sendPosted(for: client)
        let server = client.server
        let cancels = server.map { departures.isToBeCanceled($0, client, reason) } ?? false
        if client.isLeaving {
            client.isLeaving = false
            departures.forget(client)
        }
        let wasMidMessage = client.passThrough > 0 && !client.dropsPassThrough
        if let shard = client.shard {
            if case .waiting(let ticket) = client.phase { shard.machine.clientLeaves(ticket) }
            if !shard.machine.awaitingGreeting.isEmpty { shard.machine.greetingIsOver(for: client.slot) }
            if client.replication != nil { shard.machine.dedicatedIsOver(for: client.slot) }
            shard.clients -= 1
            shared.capacity.withLock { $0.dismissClient(database: shard.databaseName, user: client.user) }
        }
        if client.console != nil { admin.console.left(client) }
        if client.isLoggedIn { shared.cancels.remove(client.cancelKey) } else { logins.isOver() }
        shared.capacity.withLock { $0.leave() }
        shared.clientsOfWorkers[index].add(-1)
        client.move(to: .closed)
        client.server = nil
        client.shard = nil
        client.channel.close()
        client.held.clear(to: chunks)
        janitor.slowMessages.remove(client.slot)
        clients.remove(client.slot)
        if let server { abandon(server, isMidMessage: wasMidMessage, cancels: cancels) }
        if listeners.isShort { listeners.resume() }
    }

    // MARK: Servers

    func close(_ server: ServerConnection, _ reason: ServerCloseReason) {
        guard server.isOpen else { return }
        if settings.logDisconnections {
            shared.log.info(closing(reason, since: server.connectTime), about: server.subject)
        }
        let shard = server.shard
        shard.counters.serverDisconnects.add(reason.cause)
        let stage = server.phase
        // No longer to be found by what the end of the connection leads to.
        if stage == .idle { shard.machine.leavesIdle(server.slot) }
        sendPosted(for: server)
        // A polite end, unless there is nobody to hear it.
        if reason.ending == .polite, !server.channel.hasPendingOutput {
            var writer = MessageWriter()
            writer.terminate()
            transport.sayGoodbye(writer.bytes.span, to: server, self)
        } else {
            endTLS(server)
        }
        cancels.forgetNext(about: server)
        let lookup = server.lookup
        server.lookup = nil
        let client = server.client
        let wasLoggedIn = server.isLoggedIn
        let toldAlready = server.farewellWasForwarded
        let isMidMessage = server.isMidMessage
        server.move(to: .closed)
        server.client = nil
        server.channel.close()
        server.held.clear(to: chunks)
        servers.remove(server.slot)
        shard.machine.serverLost(at: stage, isDedicated: server.isDedicated)
        if wasLoggedIn { shard.shared.countLogin(server.generation, -1, isDedicated: server.isDedicated) }
        shared.capacity.withLock { $0.closeServer(shard.shared.key) }
        shard.shared.countServer(server.generation, -1)
        admin.tellThoseWhoAwaitCloses()
        if let client {
            client.server = nil
            if isMidMessage || toldAlready {
                close(client, .serverClosed(toldAlready ? server.farewell.map { .said($0) } ?? reason : reason))
            } else {
                fail(client, server.farewell.map { .serverSaid($0) } ?? reason.clientError)
            }
        }
        if let lookup { logins.lookupLost(lookup, shard, reason) }
        opener.capacityFreed()
    }

    /// The server closed the connection, or it broke.
    func serverEnded(_ server: ServerConnection, _ loss: ConnectionLoss) {
        switch server.phase {
        case .connecting, .encrypting, .authenticating: opener.openingFailed(server, OpeningFailure(loss))
        default: close(server, server.farewell.map { .said($0) } ?? ServerCloseReason(loss))
        }
    }

    // MARK: Abandoned servers

    /// The client has left. What it began is cancelled or awaited, ended and rolled back, and the server kept: a connection costs
    /// PostgreSQL far more than a ROLLBACK.
    private func abandon(_ server: ServerConnection, isMidMessage: Bool, cancels: Bool) {
        server.client = nil
        server.hasUnread = false
        toServer.clear()
        guard server.isOpen else { return }
        if server.isDedicated {
            close(server, .clientDisconnected(isMidMessage: isMidMessage))
            return
        }
        // Before a cancel that may follow.
        sendPosted(for: server)
        // Half a message is on its way: no word of ours can follow it.
        if isMidMessage || server.channel.hasPendingOutput {
            close(server, .clientLeftMidMessage)
            return
        }
        if server.phase == .trying {
            // A SET that a cancel may or may not have stopped.
            server.session.settings.doubtUnreported()
        }
        // What the client no longer reads does not stop the server any more.
        if server.passThrough > 0 { server.dropsPassThrough = true }
        postponeReading(server)
        server.session.abandon()
        server.move(to: .abandoned)
        server.lastActivity = now
        if cancels { self.cancels.cancel(server) }
        continueAbandoned(server)
    }

    /// The next step towards a server that is fit for somebody else.
    func continueAbandoned(_ server: ServerConnection) {
        guard server.phase == .abandoned, server.isOpen else { return }
        guard server.cancels == nil || server.session.isCopyingIn else { return }
        if server.session.status != .idle { server.discardsNext = true }
        let orders = server.session.ordersToEnd()
        if !orders.isEmpty {
            send(orders.span, to: server)
            return
        }
        // A cancel that is under way must not hit what comes next.
        guard isDone(server), server.cancels == nil else { return }
        if server.discardsNext {
            server.discardsNext = false
            server.move(to: .resetting)
            run(.resetQuery, "DISCARD ALL", on: server)
        } else if server.shard.settings.policy.resetsOnRelease || settings.serverResetQueryAlways {
            reset(server)
        } else {
            returnToPool(server)
        }
    }
}
