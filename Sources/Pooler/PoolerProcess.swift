import Configuration
import EventLoop
import Logging
import PoolCore
import Synchronization
import TLS
import Telemetry

/// The daemon: workers on their threads, signals on this one.
public final class PoolerProcess {
    private let shared: SharedState
    private var configuration: Configuration
    private let reload: () throws(ConfigurationError) -> Configuration
    private var workers: [Worker] = []
    private var configurationNumber = 0
    /// Files to be removed at the end.
    private var files: [String] = []

    /// Why a start failed; nothing is left half started.
    public struct StartError: Error, CustomStringConvertible {
        public let description: String
    }

    /// - Parameter reload: reads the configuration anew, for SIGHUP.
    public init(
        configuration: Configuration, sink: LogSink, reload: @escaping () throws(ConfigurationError) -> Configuration
    ) {
        var configuration = configuration
        if configuration.settings.workers == 0 { configuration.settings.workers = Threads.processors }
        self.configuration = configuration
        self.reload = reload
        shared = SharedState(sink: sink, workers: configuration.settings.workers)
    }

    /// Starts, serves, and returns never: the process ends by a signal.
    public func run() throws(StartError) -> Never {
        Signals.block()
        ProcessControl.raiseFileLimit()
        let settings = configuration.settings
        if !settings.logfile.isEmpty, let problem = shared.sink.open(path: settings.logfile) { throw StartError(description: problem) }
        shared.sink.setVerbosity(settings.verbose)
        for warning in configuration.warnings { shared.log.warning("\(warning)") }
        if let user = settings.user, !user.isEmpty {
            try attempt { () throws(SystemError) in try ProcessControl.become(user: user) }
        }
        try setUpTLS()
        let listening: [Listening]
        do throws(StartError) {
            listening = try openListeners()
            try writePidfile()
            try startWorkers()
        } catch {
            removeFiles()
            throw error
        }
        distribute(listening)
        shared.log.info("process up: Sluice \(Self.version), \(workers.count) worker\(workers.count == 1 ? "" : "s")")
        while true { handle(Signals.wait()) }
    }

    private func setUpTLS() throws(StartError) {
        do throws(TLSConfigurationError) {
            let contexts = try TLSContexts(configuration.settings)
            // Better an old certificate, which many clients do not look at, than no pooler at all.
            for problem in contexts.untimeliness() { shared.log.warning("\(problem.description)") }
            shared.tls.withLock { $0 = contexts }
        } catch {
            throw StartError(description: error.description)
        }
    }

    /// Builds the TLS contexts of a new configuration. Fails before anything has changed; those who are connected keep what they have.
    private func reloadTLS(_ fresh: Configuration) throws(ConfigurationError) {
        let previous = shared.tls.withLock { $0 }
        let contexts: TLSContexts
        do throws(TLSConfigurationError) {
            contexts = try TLSContexts(fresh.settings, previous: previous)
            if let problem = contexts.untimeliness(since: previous).first { throw problem }
        } catch {
            throw ConfigurationError(file: fresh.sourceFile ?? "configuration", message: error.description)
        }
        shared.tls.withLock { $0 = contexts }
        if contexts.serversDiffer(from: previous) { shared.forgetAllServers() }
    }

    public static let version = "0.1.0"

    private func attempt(_ body: () throws(SystemError) -> Void) throws(StartError) {
        do { try body() } catch { throw StartError(description: error.description) }
    }

    // MARK: Start

    private struct Listening {
        var worker: Int
        var descriptor: Int32
        var address: SocketAddress
    }

    private func openListeners() throws(StartError) -> [Listening] {
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
        if !settings.unixSocketDir.isEmpty { result.append(try openUnix(settings.unixSocketDir, port)) }
        guard !result.isEmpty else { throw StartError(description: "nowhere to listen on") }
        return result
    }

    private func openTCP(_ address: SocketAddress) -> [Listening] {
        let settings = configuration.settings
        var result: [Listening] = []
        do {
            if settings.workers > 1, !settings.soReuseport {
                // Workers share the port by SO_REUSEPORT; that must not make two daemons share it by mistake.
                let probe = try Listener.open(
                    address, backlog: 1, sharesPort: false, deferAccept: 0, options: SocketOptions())
                Connector.discard(probe)
            }
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

    /// One worker accepts on the Unix socket and spreads what comes.
    private func openUnix(_ directory: String, _ port: UInt16) throws(StartError) -> Listening {
        let settings = configuration.settings
        let path = "\(directory)/.s.PGSQL.\(port)"
        guard let address = SocketAddress(unixPath: path) else {
            throw StartError(description: "unix_socket_dir: the path \(path) is too long: expected at most 107 bytes")
        }
        let isAbstract = directory.hasPrefix("@")
        if Connector.isListening(at: address) { throw StartError(description: "unix socket is in use, cannot continue") }
        if !isAbstract {
            if Files.exists("\(path).lock") { throw StartError(description: "unix port \(port) is in use") }
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

    private func writePidfile() throws(StartError) {
        let path = configuration.settings.pidfile
        guard !path.isEmpty else { return }
        if let content = try? Files.read(path) {
            let digits = String(decoding: content.prefix { $0 != 10 }, as: UTF8.self)
            if let id = Int32(digits), ProcessControl.isAlive(id) {
                throw StartError(description: "pidfile '\(path)' exists, another instance running?")
            }
            Files.remove(path)
        }
        try attempt { () throws(SystemError) in try Files.create(path, content: "\(ProcessControl.id)\n") }
        files.append(path)
    }

    private func startWorkers() throws(StartError) {
        for index in 0..<configuration.settings.workers {
            do {
                let loop = try EventLoop(tick: 333_333)
                workers.append(Worker(index: index, loop: loop, shared: shared, configuration: configuration))
            } catch {
                throw StartError(description: error.description)
            }
        }
        for (index, worker) in workers.enumerated() {
            if let error = worker.start(name: "worker-\(index)", whenDone: {}) { throw StartError(description: error.description) }
        }
    }

    private func distribute(_ listening: [Listening]) {
        let workers = workers
        let all = listening.map { ($0.worker, $0.descriptor, $0.address) }
        Task {
            for worker in workers { await worker.connect(to: workers) }
            for (worker, descriptor, address) in all { await workers[worker].listen(descriptor, at: address) }
            await workers[0].warmUp()
        }
    }

    // MARK: Signals

    private func handle(_ signal: Signals.Name) {
        let mode = shared.shutdown.load(ordering: .acquiring)
        switch signal {
        case .hangup:
            shared.log.info("got SIGHUP, re-reading config")
            reloadConfiguration()
        case .terminate:
            shared.log.info("got SIGTERM, shutting down, waiting for all clients disconnect")
            if mode == .none { beginShutdown(.waitForClients) } else { end() }
        case .interrupt:
            shared.log.info("got SIGINT, shutting down, waiting for all servers connections to be released")
            if mode == .none { beginShutdown(.waitForServers) } else { end() }
        case .quit:
            if mode == .none { shared.log.info("got SIGQUIT, fast exit") }
            end()
        case .user1, .user2:
            shared.log.info("got \(signal == .user1 ? "SIGUSR1" : "SIGUSR2"), which needs PAUSE and RESUME: ignored")
        }
    }

    private func beginShutdown(_ mode: ShutdownMode) {
        shared.shutdown.store(mode, ordering: .releasing)
        for worker in workers { Task { await worker.beginShutdown(mode) } }
    }

    private func removeFiles() {
        for file in files { Files.remove(file) }
    }

    private func end() -> Never {
        removeFiles()
        ProcessControl.exit(0)
    }

    /// What takes effect at start only stays as it was.
    private func keepStartOnly(_ settings: inout Settings) {
        for setting in SettingsTable.all where !setting.reloadable {
            if let text = setting.text(in: configuration.settings) { try? setting.apply(text, to: &settings) }
        }
    }

    private func reloadConfiguration() {
        do throws(ConfigurationError) {
            var fresh = try reload()
            keepStartOnly(&fresh.settings)
            try reloadTLS(fresh)
            configuration = fresh
        } catch {
            shared.log.error("\(error.description)")
            shared.log.error("RELOAD failed: the running configuration stays as it is")
            return
        }
        let settings = configuration.settings
        if let problem = shared.sink.open(path: settings.logfile) { shared.log.error("\(problem)") }
        shared.sink.setVerbosity(settings.verbose)
        for warning in configuration.warnings { shared.log.warning("\(warning)") }
        let configuration = configuration
        configurationNumber += 1
        let number = configurationNumber
        for worker in workers { Task { await worker.apply(configuration, number: number) } }
    }
}
