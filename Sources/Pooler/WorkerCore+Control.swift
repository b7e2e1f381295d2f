import Bytes
import Configuration
import EventLoop
import PoolCore

/// A new configuration, and the ways to an end.
extension WorkerCore {
    /// Takes over a configuration that has been found good as a whole.
    func apply(_ configuration: Configuration) {
        self.configuration = configuration
        logins.configurationChanged()
        opener.hosts.apply(configuration.settings)
        listeners.retune()
        shared.cancels.setPeerID(configuration.settings.peerId)
        peerCancels.serve()
        for shard in shards.values {
            let name = shard.shared.key.database
            guard let database = configuration.database(named: name) else {
                pools.remove(shard)
                continue
            }
            if database.serverIdentityDiffers(from: shard.database) { shard.shared.forgetServersOnce(for: database) }
            shard.database = database
            shard.generation = shard.shared.generation.load(ordering: .acquiring)
            shard.machine.settings = PoolSettings(configuration, database: database, user: shard.shared.key.user)
        }
        for shard in shards.values where shard.isOrphaned { pools.rehomeWaiting(shard) }
        opener.openMinimum()
        opener.serveDemand()
    }

    func beginShutdown(_ mode: ShutdownMode) {
        switch mode {
        case .waitForClients:
            listeners.stop(tcpOnly: true)
        case .waitForServers:
            listeners.stop(tcpOnly: true)
            opener.forgetPasswordWaiters()
            for server in servers.all where server.phase == .idle { close(server, .shuttingDown) }
            tick()
        case .immediate, .none:
            listeners.stop(tcpOnly: false)
        }
    }
}
