import Bytes
import Configuration
import EventLoop
import PoolCore

/// A new configuration, and the ways to an end.
extension AdminController {
    /// Takes over a configuration that has been found good as a whole.
    func apply(_ configuration: Configuration) {
        worker.configuration = configuration
        worker.logins.configurationChanged()
        worker.opener.hosts.apply(configuration.settings)
        worker.listeners.retune()
        shared.cancels.setPeerID(configuration.settings.peerId)
        worker.cancels.peers.serve()
        for shard in worker.shards.values {
            let name = shard.shared.key.database
            guard let database = configuration.database(named: name) else {
                worker.pools.remove(shard)
                continue
            }
            if database.serverIdentityDiffers(from: shard.database) { shard.shared.forgetServersOnce(for: database) }
            shard.database = database
            shard.generation = shard.shared.generation.load(ordering: .acquiring)
            shard.machine.settings = PoolSettings(configuration, database: database, user: shard.shared.key.user)
        }
        for shard in worker.shards.values where shard.isOrphaned { worker.pools.rehomeWaiting(shard) }
        worker.opener.openMinimum()
        worker.opener.serveDemand()
    }

    func beginShutdown(_ mode: ShutdownMode) {
        switch mode {
        case .waitForClients:
            worker.listeners.stop(tcpOnly: true)
        case .waitForServers:
            worker.listeners.stop(tcpOnly: true)
            worker.opener.forgetPasswordWaiters()
            for server in worker.servers.all where server.phase == .idle { worker.close(server, .shuttingDown) }
            worker.janitor.tick()
        case .immediate, .none:
            worker.listeners.stop(tcpOnly: false)
        }
    }
}
