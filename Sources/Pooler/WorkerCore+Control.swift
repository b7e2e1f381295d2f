import Configuration
import EventLoop
import PoolCore

/// A new configuration, and the ways to an end.
extension WorkerCore {
    /// Takes over a configuration that has been found good as a whole.
    func apply(_ configuration: Configuration, number: Int) {
        // Tasks may overtake each other.
        guard number > configurationNumber else { return }
        configurationNumber = number
        self.configuration = configuration
        loginTemplates.removeAll()
        renewResolver()
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
        openMinimum()
        serveDemand()
    }

    /// The database is not in the file any more.
    private func remove(_ shard: PoolShard) {
        shard.shared.forgetServersOnce(for: shard.database, isRemoved: true)
        failLookups(shard, .databaseRemoved)
        // Those who wait first: they must not get the servers of those who leave.
        for waiter in shard.queue.allWaiting { clients[waiter.client].map { fail($0, .databaseRemoved) } }
        for client in clients.all where client.shard === shard { fail(client, .databaseRemoved) }
        for server in servers.all where server.shard === shard { close(server, .obsolete("database removed")) }
        forget(shard)
    }

    private func forget(_ shard: PoolShard) {
        shards[shard.shared.key] = nil
        loginTemplates.removeAll()
        shared.forgetShard(of: shard.shared)
    }

    /// Pools that a `*` entry made and nobody uses go after a while: their names come from clients.
    func forgetUnusedPools() {
        for shard in shards.values where configuration.databases[shard.databaseName] == nil {
            guard shard.clients == 0, shard.servers == 0, !shard.hasDemand else {
                shard.unusedSince = nil
                continue
            }
            let since = shard.unusedSince ?? now
            shard.unusedSince = since
            if settings.autodbIdleTimeout > 0, now - since > settings.autodbIdleTimeout { forget(shard) }
        }
    }

    func beginShutdown(_ mode: ShutdownMode) {
        switch mode {
        case .waitForClients:
            stopListening(tcpOnly: true)
        case .waitForServers:
            stopListening(tcpOnly: true)
            for server in servers.all where server.phase == .idle { close(server, .obsolete("server shutting down")) }
            tick()
        case .immediate, .none:
            stopListening(tcpOnly: false)
        }
    }

    func census() -> Worker.Census {
        Worker.Census(clients: clients.count, servers: servers.count)
    }
}
