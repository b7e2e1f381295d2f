import Bytes
import Configuration
import EventLoop
import PoolCore

/// A new configuration, and the ways to an end.
extension WorkerCore {
    /// Takes over a configuration that has been found good as a whole.
    func apply(_ configuration: Configuration) {
        configurationNumber &+= 1
        self.configuration = configuration
        loginTemplates.removeAll()
        hosts.apply(configuration.settings)
        listeners.retune()
        shared.cancels.setPeerID(configuration.settings.peerId)
        peerCancels.serve()
        for shard in shards.values {
            let name = shard.shared.key.database
            guard let database = configuration.database(named: name) else {
                remove(shard)
                continue
            }
            if database.serverIdentityDiffers(from: shard.database) { shard.shared.forgetServersOnce(for: database) }
            shard.database = database
            shard.generation = shard.shared.generation.load(ordering: .acquiring)
            shard.machine.settings = PoolSettings(configuration, database: database, user: shard.shared.key.user)
        }
        for shard in shards.values where shard.isOrphaned { rehomeWaiting(shard) }
        openMinimum()
        serveDemand()
    }

    /// The database is not in the file any more.
    private func remove(_ shard: PoolShard) {
        shard.shared.forgetServersOnce(for: shard.database, isRemoved: true)
        failLookups(shard) { _ in .databaseRemoved }
        // Those who wait first: they must not get the servers of those who leave.
        for waiter in shard.machine.queue.allWaiting { clients[waiter.client].map { fail($0, .databaseRemoved) } }
        for client in clients.all where client.shard === shard { fail(client, .databaseRemoved) }
        for server in servers.all where server.shard === shard { close(server, .databaseRemoved) }
        forget(shard)
    }

    private func forget(_ shard: PoolShard) {
        shards[shard.shared.key] = nil
        forgotten[shard.shared.key] = ForgottenShard(shard)
        shard.isForgotten = true
        loginTemplates.removeAll()
        shared.forgetShard(of: shard.shared)
    }

    /// Pools that nobody uses go after a while.
    func forgetUnusedPools() {
        if !forgotten.isEmpty { forgotten = forgotten.filter { $0.value.isNeeded } }
        for shard in shards.values {
            while true {
                switch retirement(of: shard) {
                case .stay: break
                case .closeIdle:
                    for server in servers.all where server.shard === shard && server.phase == .idle { close(server, .poolIdleTimeout) }
                    continue
                case .forget: forget(shard)
                }
                break
            }
        }
    }

    private func retirement(of shard: PoolShard) -> PoolStateMachine.Retirement {
        let isKeptWarm = shard.settings.minPoolSize > 0 && shard.database.forcedUser?.hasSameBytes(as: shard.shared.key.user) == true
        return shard.machine.retirement(
            clients: shard.clients, clientsOfAll: shard.shared.clients.load(), isKeptWarm: isKeptWarm,
            isSpecial: !shard.shared.key.startup.isEmpty, isOrphaned: shard.isOrphaned, now: now)
    }

    // MARK: Another user

    /// The pool that a client belongs to, if a reload has given its database another user, or taken a forced one away.
    private func home(of client: ClientConnection, now shard: PoolShard) -> PoolShard? {
        let user = shard.database.forcedUser ?? client.user
        if user.hasSameBytes(as: shard.shared.key.user) { return nil }
        return self.shard(of: shard.database, user: user, startup: shard.shared.key.startup)
    }

    /// Moves a client that has no server to the pool that it belongs to. Its parameters mean the same there.
    func rehome(_ client: ClientConnection) {
        guard let old = client.shard, let new = home(of: client, now: old) else { return }
        old.clients -= 1
        new.clients += 1
        client.shard = new
        let table = new.shared.parameters
        client.session.parameters = client.session.parameters.map {
            table.intern(reported: $0.reported, unreported: $0.unreported, byServer: false)
        }
        client.session.startup = client.session.startup.map {
            table.intern(reported: $0.reported, unreported: $0.unreported, byServer: false)
        }
    }

    /// Those who wait would wait for servers that nobody opens any more.
    private func rehomeWaiting(_ shard: PoolShard) {
        for waiter in shard.machine.queue.allWaiting {
            guard let client = clients[waiter.client], case .waiting(let ticket) = client.phase else { continue }
            shard.machine.clientLeaves(ticket)
            client.move(to: .idle)
            requestServer(client)
            carryOn(client)
        }
        for waiter in shard.machine.takeAwaitingGreeting() {
            guard let client = clients[waiter.client], let login = client.login else { continue }
            rehome(client)
            guard let new = client.shard else { continue }
            new.machine.awaitGreeting(waiter.client, since: waiter.since)
            if let greeting = new.shared.greeting { admit(client, login, greeting) } else { serve(new) }
        }
        for waiter in shard.machine.takeAwaitingDedicated() {
            guard let client = clients[waiter.client] else { continue }
            rehome(client)
            client.shard?.machine.awaitDedicated(waiter.client, since: waiter.since)
            client.shard.map(serveDedicated)
        }
    }

    func beginShutdown(_ mode: ShutdownMode) {
        switch mode {
        case .waitForClients:
            listeners.stop(tcpOnly: true)
        case .waitForServers:
            listeners.stop(tcpOnly: true)
            forgetPasswordWaiters()
            for server in servers.all where server.phase == .idle { close(server, .shuttingDown) }
            tick()
        case .immediate, .none:
            listeners.stop(tcpOnly: false)
        }
    }
}
