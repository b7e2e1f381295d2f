import EventLoop
import PoolCore
import PostgresWire

/// The first server of a start by URL: opened as any other, and heard out about what it met.
extension WorkerCore {
    func probe(_ probe: StartProbe) {
        guard let database = configuration.database(named: probe.database) else { return }
        openServer(shard(of: database, user: probe.user), isWanted: false, probe: probe)
    }

    /// The socket of a probe is connected. True: to ourselves, so this is the end of it.
    func isProbeOfOneself(_ server: ServerConnection) -> Bool {
        guard server.opening.probe != nil else { return false }
        let remote = server.address
        // Who connects to an address of the own machine does so from that address.
        let isOwnAddress =
            remote.isLoopback || SocketAddress.local(of: server.socket.descriptor)?.addressBytes == remote.addressBytes
        return listeners.values.contains { box in
            let address = box.listener.address
            if address == remote { return true }
            return !remote.isUnix && address.port == remote.port && address.isAny && isOwnAddress
        }
    }

    /// The server of a probe wants a password that there is not.
    func isProbeWithoutPassword(_ server: ServerConnection) -> Bool { server.opening.probe?.hasPassword == false }

    func probed(_ opening: Opening, _ outcome: StartProbe.Outcome) {
        guard let probe = opening.probe else { return }
        let report = probe.report(outcome, place: place(of: opening), settings: settings)
        shared.desk.post(.probed(report))
    }

    private func place(of opening: Opening) -> String {
        guard let index = opening.hostIndex else {
            let directory = settings.unixSocketDir.isEmpty ? "/tmp" : settings.unixSocketDir
            return "\(directory)/.s.PGSQL.\(opening.shard.database.port)"
        }
        let (host, port) = opening.hosts[index]
        if host.hasPrefix("/") || host.hasPrefix("@") { return "\(host)/.s.PGSQL.\(port)" }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
