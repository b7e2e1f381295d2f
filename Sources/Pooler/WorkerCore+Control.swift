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
        renewResolver()
        retuneListeners()
        shared.cancels.setPeerID(configuration.settings.peerId)
        servePeers()
        for shard in shards.values {
            let name = shard.shared.key.database
            guard let database = configuration.database(named: name) else {
                remove(shard)
                continue
            }
            if database.serverIdentityDiffers(from: shard.database) { shard.shared.forgetServersOnce(for: database) }
            shard.database = database
            shard.generation = shard.shared.generation.load(ordering: .acquiring)
            shard.settings = PoolSettings(configuration, database: database, user: shard.shared.key.user)
            shard.queue.isRoundRobin = shard.settings.isRoundRobin
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
        for waiter in shard.queue.allWaiting { clients[waiter.client].map { fail($0, .databaseRemoved) } }
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

    /// Pools for startup values of a few clients' own are made again in no time (microseconds).
    private static let specialPoolLife: Int64 = 5_000_000

    /// Pools that nobody uses go after a while: those for special startup values; those that a `*` entry made, for their names come from
    /// clients; all of them with `pool_idle_timeout`.
    func forgetUnusedPools() {
        if !forgotten.isEmpty { forgotten = forgotten.filter { $0.value.isNeeded } }
        for shard in shards.values {
            guard shard.clients == 0, !shard.hasDemand else {
                (shard.unusedSince, shard.deserted) = (nil, nil)
                continue
            }
            // A pool that is to be warm before anybody comes is not idle.
            let isKeptWarm = shard.settings.minPoolSize > 0 && shard.database.forcedUser?.hasSameBytes(as: shard.shared.key.user) == true
            if shard.shared.clients.load() > 0 || isKeptWarm {
                shard.deserted = nil
            } else {
                let since = shard.deserted ?? now
                shard.deserted = since
                if settings.poolIdleTimeout > 0, now - since > settings.poolIdleTimeout {
                    for server in servers.all where server.shard === shard && server.phase == .idle {
                        close(server, .poolIdleTimeout)
                    }
                    if shard.servers == 0 {
                        forget(shard)
                        continue
                    }
                }
            }
            guard shard.servers == 0 else {
                shard.unusedSince = nil
                continue
            }
            let since = shard.unusedSince ?? now
            shard.unusedSince = since
            let isAuto = configuration.databases[shard.databaseName] == nil && settings.autodbIdleTimeout > 0
            let isSpecial = !shard.shared.key.startup.isEmpty
            if shard.isOrphaned || (isSpecial && now - since > Self.specialPoolLife)
                || (isAuto && now - since > settings.autodbIdleTimeout)
            {
                forget(shard)
            }
        }
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
        for waiter in shard.queue.allWaiting {
            guard let client = clients[waiter.client], case .waiting(let ticket) = client.phase else { continue }
            shard.queue.withdraw(ticket)
            client.move(to: .idle)
            requestServer(client)
            carryOn(client)
        }
        shard.publish()
        let slots = shard.awaitingGreeting
        shard.awaitingGreeting = []
        for slot in slots {
            guard let client = clients[slot], let login = client.login else { continue }
            rehome(client)
            guard let new = client.shard else { continue }
            new.awaitingGreeting.append(slot)
            if let greeting = new.shared.greeting { admit(client, login, greeting) } else { serve(new) }
        }
        let dedicated = shard.awaitingDedicated
        shard.awaitingDedicated = []
        for slot in dedicated {
            guard let client = clients[slot] else { continue }
            rehome(client)
            client.shard?.awaitingDedicated.append(slot)
            client.shard.map(serveDedicated)
        }
    }

    func beginShutdown(_ mode: ShutdownMode) {
        switch mode {
        case .waitForClients:
            stopListening(tcpOnly: true)
        case .waitForServers:
            stopListening(tcpOnly: true)
            forgetPasswordWaiters()
            for server in servers.all where server.phase == .idle { close(server, .shuttingDown) }
            tick()
        case .immediate, .none:
            stopListening(tcpOnly: false)
        }
    }
}
