import Configuration
import Console
import EventLoop
import PoolCore
import Synchronization
import Telemetry

/// The daemon: workers on their threads, signals on this one.
public final class PoolerProcess {
    let shared: SharedState
    var configuration: Configuration
    let options: StartOptions
    private let reload: (_ path: String?) throws(ConfigurationError) -> Configuration
    var workers: [Worker] = []
    /// What operators hold back, how often that has changed, which change all workers know, and the commands that wait.
    var adminState = AdminState()
    var adminStateNumber = 0
    var holdsTold = 0
    var waits: [ControlWait] = []
    /// The settings of the file, which RESET goes back to, and what SET changed that a silent file leaves alone.
    var loadedSettings: Settings
    var setOnConsole: Set<String> = []
    var monitoring: MonitoringServer?
    /// Files to be removed at the end.
    var files: [String] = []
    /// What this process has in common with others on its port.
    var commonKey: SharedBytes?

    /// Why a start failed; nothing is left half started.
    public struct StartError: Error, CustomStringConvertible {
        public let description: String
    }

    /// - Parameter reload: reads the configuration anew, for SIGHUP; the file is the setting `conffile` of the one in force.
    public init(
        configuration: Configuration, options: StartOptions = StartOptions(), sink: LogSink,
        reload: @escaping (_ path: String?) throws(ConfigurationError) -> Configuration
    ) {
        var configuration = configuration
        if configuration.settings.workers == 0 { configuration.settings.workers = Processors.current.usable }
        self.configuration = configuration
        loadedSettings = configuration.settings
        self.options = options
        self.reload = reload
        shared = SharedState(sink: sink, workers: configuration.settings.workers)
        LibraryLog.send { [log = shared.log] severity, text in
            switch severity {
            case .debug: log.debug("libevent: \(text)")
            case .message: log.info("libevent: \(text)")
            case .warning: log.warning("libevent: \(text)")
            case .error: log.error("libevent: \(text)")
            }
        }
    }

    /// Starts, serves, and returns never: the process ends by a signal.
    ///
    /// The order is PgBouncer's: what can be refused is refused before the terminal is given back, and a file is made only by the user
    /// who will remove it.
    public func run() throws(StartError) -> Never {
        Signals.block()
        ProcessControl.raiseFileLimit()
        if let problem = Self.missingPart(configuration) { throw StartError(description: problem) }
        try setUpTLS()
        drawProcessKey()
        let passed = ServiceManager.takeSockets()
        try becomeUser()
        if let problem = openLogs() { throw StartError(description: problem) }
        for warning in configuration.warnings { shared.log.warning("\(warning)") }
        if passed.isEmpty { try refuseUsedSocket() }
        try checkPidfile()
        if options.daemonises { try goToBackground() }
        shareProcessKey()
        let listening: [Listening]
        do throws(StartError) {
            listening = passed.isEmpty ? try openListeners() : try adopt(passed)
            try writePidfile()
            try startWorkers()
            try startMonitoring()
        } catch {
            removeFiles()
            throw error
        }
        distribute(listening)
        let processors = Processors.current
        if processors.usable < processors.online {
            let quota = processors.quota.map { ", quota of its control groups \($0)" } ?? ""
            shared.log.info(
                "processors: \(processors.online) in the machine, \(processors.allowed) allowed for this process\(quota); 'workers = 0' means \(processors.usable)"
            )
        }
        shared.log.info(
            "process up: \(Version.line), libevent \(EventLoop.libraryVersion) (\(workers[0].loop.method)), \(workers.count) worker\(workers.count == 1 ? "" : "s")"
        )
        ServiceManager.notify(.ready)
        while true { handle(Signals.wait()) }
    }

    private func becomeUser() throws(StartError) {
        if let user = options.user ?? configuration.settings.user, !user.isEmpty {
            try attempt { () throws(SystemError) in try ProcessControl.become(user: user) }
        }
        guard ProcessControl.isRoot else { return }
        // Without a file it is somebody's experiment, in a container perhaps; a service has a file, and can name a user there.
        guard configuration.sourceFile == nil else {
            throw StartError(description: "Sluice should not run as root: name another user by user= in the file or by -u")
        }
        shared.log.warning("running as root, which a configuration file would not be allowed to do")
    }

    /// As the settings in force say; at the start and at each reload. Returns what went wrong.
    func openLogs() -> String? {
        let settings = configuration.settings
        let problem = shared.sink.open(path: settings.logfile)
        shared.sink.setVerbosity(settings.verbose + options.verbosity)
        shared.sink.setJSON(settings.logFormat == .json)
        shared.sink.setQuiet(options.isQuiet)
        shared.sink.setJournal(ServiceManager.standardErrorIsJournal)
        shared.sink.setSystemLog(settings.syslog ? (settings.syslogFacility.rawValue, settings.syslogIdent) : nil)
        return problem
    }

    private func goToBackground() throws(StartError) {
        guard !configuration.settings.pidfile.isEmpty else { throw StartError(description: "daemon needs pidfile configured") }
        try attempt { () throws(SystemError) in try ProcessControl.daemonise() }
    }

    /// What stands against a start with this configuration, beside what the start itself meets (addresses in use, rights).
    public static func problems(with configuration: Configuration) -> [String] {
        let settings = configuration.settings
        var problems: [String] = []
        problems += TLSContexts.problems(configuration)
        problems += [missingPart(configuration)].compactMap { $0 }
        if let user = settings.user, !user.isEmpty, !ProcessControl.isKnown(user: user) {
            problems.append("user: \"\(user)\" is not known to the system: expected the name of a user")
        }
        if !settings.unixSocketGroup.isEmpty, !Files.isKnown(group: settings.unixSocketGroup) {
            problems.append(
                "unix_socket_group: \"\(settings.unixSocketGroup)\" is not known to the system: expected a group's name or number")
        }
        let folder = settings.unixSocketDir
        if !folder.isEmpty, !folder.hasPrefix("@"), !Files.exists(folder) {
            problems.append("unix_socket_dir: \"\(folder)\" does not exist: expected a folder, @name or nothing")
        }
        if settings.listenAddr.isEmpty, settings.unixSocketDir.isEmpty {
            problems.append("nowhere to listen on: expected listen_addr or unix_socket_dir")
        }
        return problems
    }

    /// What the configuration needs and this build does not have.
    static func missingPart(_ configuration: Configuration) -> String? {
        if configuration.settings.authType == .pam, !ExternalAuthenticator.speaksPAM {
            return "auth_type: pam is not supported by this build: expected one with the package trait PAM"
        }
        guard !ExternalAuthenticator.speaksLDAP else { return nil }
        let text = "ldap is not supported by this build: expected one with the package trait LDAP"
        if configuration.settings.authType == .ldap { return "auth_type: \(text)" }
        guard let rule = configuration.hostRules.rules.first(where: { $0.method == .ldap }) else { return nil }
        return "\(configuration.settings.authHbaFile):\(rule.line): \(text)"
    }

    func attempt(_ body: () throws(SystemError) -> Void) throws(StartError) {
        do { try body() } catch { throw StartError(description: error.description) }
    }

    // MARK: Workers

    func startWorkers() throws(StartError) {
        shared.cancels.setPeerID(configuration.settings.peerId)
        if let error = shared.tasks.start() { throw StartError(description: error.description) }
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

    private func startMonitoring() throws(StartError) {
        let change: MonitoringChange?
        do throws(InvalidValue) {
            change = try options.metricsPortIsFree ? changeToFreePort() : monitoringChange(configuration.settings)
        } catch {
            throw StartError(description: "metrics_listen: \(error.message)")
        }
        if let problem = carryOut(change) { throw StartError(description: "metrics_listen: \(problem)") }
    }

    func distribute(_ listening: [Listening]) {
        for worker in workers { worker.mailbox.post(.meet(workers)) }
        for place in listening { workers[place.worker].mailbox.post(.listen(OwnedDescriptor(place.descriptor), at: place.address)) }
        workers[0].mailbox.post(.warmUp)
        if let probe = options.probe { workers[0].mailbox.post(.probe(probe)) }
    }

    /// Tells all workers something; `done` is called when the last one has done it, on its thread, so it must not block.
    func tellWorkers(_ message: (Acknowledgement) -> WorkerMessage, then done: @escaping @Sendable () -> Void) {
        let acknowledgement = Acknowledgement(of: workers.count, whenDone: done)
        for worker in workers { worker.mailbox.post(message(acknowledgement)) }
    }

    // MARK: Signals

    func handle(_ signal: Signals.Name) {
        let mode = shared.shutdown.load(ordering: .acquiring)
        switch signal {
        case .hangup:
            shared.log.info("got SIGHUP, re-reading config")
            ServiceManager.notify(.reloading)
            reloadConfiguration { _ in ServiceManager.notify(.ready) }
        case .terminate:
            shared.log.info("got SIGTERM, shutting down, waiting for all clients disconnect")
            ServiceManager.notify(.stopping)
            if mode == .none { beginShutdown(.waitForClients) } else { end() }
        case .interrupt:
            shared.log.info("got SIGINT, shutting down, waiting for all servers connections to be released")
            ServiceManager.notify(.stopping)
            if mode == .none { beginShutdown(.waitForServers) } else { end() }
        case .quit:
            if mode == .none { shared.log.info("got SIGQUIT, fast exit") }
            end()
        case .user1: pauseBySignal()
        case .user2: resumeBySignal()
        case .attention: handleRequests()
        }
    }

    func announceStopping() { ServiceManager.notify(.stopping) }

    func beginShutdown(_ mode: ShutdownMode) {
        shared.shutdown.store(mode, ordering: .releasing)
        for worker in workers { worker.mailbox.post(.beginShutdown(mode)) }
    }

    private func removeFiles() {
        for file in files { Files.remove(file) }
        commonKey?.leave()
    }

    func end(status: Int32 = 0) -> Never {
        removeFiles()
        endTLS()
        shared.logFaults()
        Subprocess.endAll()
        ProcessControl.exit(status)
    }

    /// Whoever is still connected with TLS hears that this is no cut line. A worker that does not come to it in time holds nothing up.
    private func endTLS() {
        let done = Counter()
        tellWorkers(
            { .endTLS($0) },
            then: {
                done.add(1)
                Signals.raise(.attention)
            })
        let deadline = MonotonicClock.now() + Self.patienceAtTheEnd
        while done.load() == 0, Signals.wait(microseconds: deadline - MonotonicClock.now()) != nil {}
    }

    private static let patienceAtTheEnd: Int64 = 500_000

    /// What takes effect at start only stays as it was.
    /// Returns the names of those that the file has changed.
    private func keepStartOnly(_ settings: inout Settings) -> [String] {
        if settings.workers == 0, configuration.settings.workers == Processors.current.usable {
            settings.workers = configuration.settings.workers
        }
        var changed: [String] = []
        for setting in SettingsTable.all where !setting.reloadable {
            let text = setting.text(in: configuration.settings)
            if setting.text(in: settings) != text { changed.append(setting.name) }
            if let text { try? setting.apply(text, to: &settings) }
        }
        return changed
    }

    /// What became of a reload.
    enum ReloadOutcome: Sendable {
        /// It is in force, but for these settings, which only a restart changes.
        case done(needsRestart: [String])
        /// The files are no good, and nothing has changed.
        case failed(ConfigurationError)
    }

    /// `done` hears, once all workers know, what became of it.
    func reloadConfiguration(then done: @escaping @Sendable (ReloadOutcome) -> Void) {
        var fresh: Configuration
        let loaded: Settings
        let monitoring: MonitoringChange?
        let needsRestart: [String]
        do throws(ConfigurationError) {
            fresh = try reload(configuration.settings.conffile)
            if options.metricsPortIsFree { fresh.settings.metricsListen = configuration.settings.metricsListen }
            needsRestart = keepStartOnly(&fresh.settings)
            loaded = fresh.settings
            keepSetOnConsole(&fresh.settings)
            // At the start it is a warning, as in PgBouncer. Now it would lock out those who can log in.
            if let fault = fresh.userListFault, configuration.userListFault == nil { throw fault }
            if let problem = Self.missingPart(fresh) {
                throw ConfigurationError(file: fresh.sourceFile ?? "configuration", message: problem)
            }
            monitoring = try prepare(fresh).monitoring
        } catch {
            shared.log.error("\(error.description)")
            shared.log.error("RELOAD failed: the running configuration stays as it is")
            done(.failed(error))
            return
        }
        loadedSettings = loaded
        shared.serverPasswords.forget()
        let log = shared.log
        takeOver(fresh, monitoring) {
            log.info("RELOAD done: all workers have the new configuration")
            done(.done(needsRestart: needsRestart))
        }
        for warning in fresh.warnings { shared.log.warning("\(warning)") }
        if !needsRestart.isEmpty {
            shared.log.warning("only a restart puts these changes into force: \(needsRestart.joined(separator: ", "))")
        }
    }

    /// Tries what a configuration needs beyond itself (files, certificates, a port), so that nothing changes when it can't be had.
    /// - Parameter key: the one setting that differs from the configuration in force; nil: any may.
    func prepare(_ fresh: Configuration, changed key: String? = nil) throws(ConfigurationError) -> Preparation {
        func fault(_ key: String, _ message: String) -> ConfigurationError {
            ConfigurationError(file: configuration.settings.conffile ?? "configuration", key: key, message: message)
        }
        if key == nil || key == "logfile", let problem = shared.sink.problem(with: fresh.settings.logfile) {
            throw fault("logfile", problem)
        }
        var monitoring: MonitoringChange?
        if key == nil || key == "metrics_listen" {
            do throws(InvalidValue) { monitoring = try monitoringChange(fresh.settings) } catch {
                throw fault("metrics_listen", error.message)
            }
        }
        guard key == nil || key?.contains("tls") == true || key == "auth_type" else { return Preparation(monitoring: monitoring) }
        do throws(ConfigurationError) {
            return Preparation(monitoring: monitoring, notice: try reloadTLS(fresh, changed: key))
        } catch {
            monitoring?.discard()
            throw error
        }
    }

    /// What has been made ready for a new configuration.
    struct Preparation {
        var monitoring: MonitoringChange?
        /// What an operator should know.
        var notice: String?
    }

    /// Puts a configuration that has been found good (`prepare`) in force. `done` hears when all workers know.
    func takeOver(_ fresh: Configuration, _ monitoring: MonitoringChange?, then done: @escaping @Sendable () -> Void) {
        configuration = fresh
        if let problem = openLogs() { shared.log.error("\(problem)") }
        let requests = shared.adminRequests
        let acknowledgement = Acknowledgement(of: workers.count) { requests.post(.done(done)) }
        let update = ConfigurationUpdate(fresh, acknowledgement)
        for worker in workers { worker.mailbox.post(.apply(update)) }
        self.monitoring?.apply(fresh)
        if let problem = carryOut(monitoring) { shared.log.error("metrics_listen: \(problem)") }
    }
}
