import EventLoop
import PoolCore
import PostgresWire
import Synchronization

/// The first server of a start by URL: opened as any other, and heard out about what it met.
extension ServerOpener {
    func probe(_ probe: StartProbe) {
        guard let database = configuration.database(named: probe.database) else { return }
        shared.isProbing.store(true, ordering: .releasing)
        openServer(worker.pools.shard(of: database, user: probe.user), isWanted: false, probe: probe)
    }

    /// The socket of a probe is connected. True: to ourselves, so this is the end of it.
    func isProbeOfOneself(_ server: ServerConnection) -> Bool {
        guard server.opening.probe != nil else { return false }
        let remote = server.address
        // Who connects to an address of the own machine does so from that address.
        let isOwnAddress =
            remote.isLoopback || SocketAddress.local(of: server.channel.descriptor)?.addressBytes == remote.addressBytes
        return worker.listeners.addresses.contains { address in
            if address == remote { return true }
            return !remote.isUnix && address.port == remote.port && address.isAny && isOwnAddress
        }
    }

    /// A probe is about to say this. Behind a forwarder or NAT no address tells that the server is this process, but here it hears itself.
    func noteProbe(_ server: ServerConnection, says message: [UInt8]) {
        guard let probe = server.opening.probe, server.login?.hasBegunSCRAM == true else { return }
        shared.probeWords.withLock { words in
            if words == nil { words = StartProbe.Words(message: message, probe: probe, place: place(of: server.opening)) }
        }
    }

    /// A client says what only this process's own probe can say. True: the process is about to end.
    func isOwnProbe(_ message: Span<UInt8>) -> Bool {
        guard shared.isProbing.load(ordering: .acquiring), let words = shared.probeWords.withLock({ $0 }),
            words.message.count == message.count, words.message.indices.allSatisfy({ words.message[$0] == message[$0] })
        else { return false }
        report(words.probe, .isThisPooler, place: words.place)
        return true
    }

    /// The server of a probe wants a password that there is not.
    func isProbeWithoutPassword(_ server: ServerConnection) -> Bool { server.opening.probe?.hasPassword == false }

    func probed(_ opening: Opening, _ outcome: StartProbe.Outcome) {
        guard let probe = opening.probe else { return }
        report(probe, outcome, place: place(of: opening))
    }

    /// The first outcome counts; what follows from it, on the other end of the same connection, is none.
    private func report(_ probe: StartProbe, _ outcome: StartProbe.Outcome, place: String) {
        guard shared.isProbing.exchange(false, ordering: .acquiringAndReleasing) else { return }
        shared.adminRequests.post(.probed(probe.report(outcome, place: place, settings: settings)))
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
