import Configuration
import EventLoop

/// The first minute: sockets and the pidfile.
extension PoolerProcess {
    /// A socket that takes connections, and the worker that gets it.
    struct Listening {
        var worker: Int
        var descriptor: Int32
        var address: SocketAddress
    }

    // MARK: Refusals

    /// Somebody else serves the Unix socket that this process would take over.
    func refuseUsedSocket() throws(StartError) {
        guard !options.unixSocketIsOptional, let address = try unixAddress() else { return }
        if Connector.isListening(at: address) { throw StartError(description: "unix socket is in use, cannot continue") }
    }

    /// Refuses to be the second one; takes away what a crash has left.
    func checkPidfile() throws(StartError) {
        let path = configuration.settings.pidfile
        guard !path.isEmpty, let content = try? Files.read(path) else { return }
        // In a container a restarted process often has the number of the one before it.
        if let id = Int32(String(decoding: content.prefix { $0 != 10 }, as: UTF8.self)), id != ProcessControl.id, ProcessControl.isAlive(id)
        {
            throw StartError(description: "pidfile '\(path)' exists, another instance running?")
        }
        shared.log.info("stale pidfile, removing")
        Files.remove(path)
    }

    func writePidfile() throws(StartError) {
        let path = configuration.settings.pidfile
        guard !path.isEmpty else { return }
        try attempt { () throws(SystemError) in try Files.create(path, content: "\(ProcessControl.id)\n") }
        files.append(path)
    }

    // MARK: Listeners

    func openListeners() throws(StartError) -> [Listening] {
        var result: [Listening] = []
        let settings = configuration.settings
        let port = UInt16(clamping: settings.listenPort)
        for text in settings.listenAddr {
            var addresses: [SocketAddress] = []
            if text == "*" {
                addresses = [.any(port: port), .anyIPv6(port: port)]
            } else if let address = SocketAddress(numeric: text, port: port) {
                addresses = [address]
            } else {
                addresses = Resolver.resolveNow(text, port: port)
                if addresses.isEmpty {
                    shared.log.warning("listen_addr: \"\(text)\" is not an address: expected an IP address, a host name or *")
                }
            }
            for address in addresses { result += openTCP(address) }
        }
        if !settings.listenAddr.isEmpty, result.isEmpty {
            throw StartError(description: "none of the addresses in listen_addr can be listened on (port \(port))")
        }
        do throws(StartError) {
            if let unix = try openUnix() { result.append(unix) }
        } catch {
            guard options.unixSocketIsOptional else { throw error }
            shared.log.warning("\(error.description); going on without a Unix socket")
        }
        guard !result.isEmpty else { throw StartError(description: "nowhere to listen on") }
        return result
    }

    private func openTCP(_ address: SocketAddress) -> [Listening] {
        let settings = configuration.settings
        var result: [Listening] = []
        do {
            // Workers share the port by SO_REUSEPORT; that must not make two daemons share it by mistake.
            if settings.workers > 1, !settings.soReuseport { try Listener.checkIsFree(address) }
            for worker in 0..<settings.workers {
                let descriptor = try Listener.open(
                    address, backlog: settings.listenBacklog, sharesPort: settings.workers > 1 || settings.soReuseport,
                    deferAccept: settings.tcpDeferAccept, options: SocketOptions(settings))
                result.append(Listening(worker: worker, descriptor: descriptor, address: address))
            }
        } catch {
            shared.log.warning("cannot listen on \(address.description): \(error.reason)")
            for entry in result { Connector.discard(entry.descriptor) }
            return []
        }
        shared.log.info("listening on \(address.description)")
        return result
    }

    /// The Unix socket of the settings; nil when they want none.
    private func unixAddress() throws(StartError) -> SocketAddress? {
        guard let path = unixPath else { return nil }
        guard let address = SocketAddress(unixPath: path) else {
            throw StartError(description: "unix_socket_dir: the path \(path) is too long: expected at most 107 bytes")
        }
        return address
    }

    private var unixPath: String? {
        let settings = configuration.settings
        return settings.unixSocketDir.isEmpty ? nil : "\(settings.unixSocketDir)/.s.PGSQL.\(settings.listenPort)"
    }

    /// One worker accepts on the Unix socket and spreads what comes.
    private func openUnix() throws(StartError) -> Listening? {
        guard let path = unixPath, let address = try unixAddress() else { return nil }
        let settings = configuration.settings
        let isAbstract = path.hasPrefix("@")
        if !isAbstract {
            if options.unixSocketIsOptional, Connector.isListening(at: address) {
                throw StartError(description: "unix socket \(path) is in use")
            }
            if Files.exists("\(path).lock") { throw StartError(description: "unix port \(settings.listenPort) is in use") }
            Files.remove(path)
        }
        do {
            let descriptor = try Listener.open(
                address, backlog: settings.listenBacklog, sharesPort: false, deferAccept: 0, options: SocketOptions())
            if !isAbstract {
                files.append(path)
                try Files.setAccess(path, mode: settings.unixSocketMode, group: settings.unixSocketGroup)
            }
            shared.log.info("listening on unix:\(path)")
            return Listening(worker: 0, descriptor: descriptor, address: address)
        } catch {
            throw StartError(description: "unix socket \(path): \(error.description)")
        }
    }

    /// Sockets that systemd opened take the place of `listen_addr` and `unix_socket_dir`. The first worker accepts, and spreads what comes.
    func adopt(_ descriptors: [Int32]) throws(StartError) -> [Listening] {
        let settings = configuration.settings
        if !settings.listenAddr.isEmpty { shared.log.warning("listen_addr is ignored: systemd passed the sockets (LISTEN_FDS)") }
        if settings.unixSocketDir != Settings().unixSocketDir, !settings.unixSocketDir.isEmpty {
            shared.log.warning("unix_socket_dir is ignored for listening: systemd passed the sockets (LISTEN_FDS)")
        }
        var result: [Listening] = []
        for descriptor in descriptors {
            guard
                let address = Listener.adopt(descriptor, deferAccept: settings.tcpDeferAccept, options: SocketOptions(settings))
            else {
                shared.log.warning("descriptor \(descriptor) of LISTEN_FDS is no listening socket: ignored")
                continue
            }
            shared.log.info("socket activation: listening on \(address.description)")
            result.append(Listening(worker: 0, descriptor: descriptor, address: address))
        }
        guard !result.isEmpty else { throw StartError(description: "nowhere to listen on") }
        return result
    }
}
