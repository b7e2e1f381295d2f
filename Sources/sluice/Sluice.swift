import ArgumentParser
import Bytes
import Configuration
import Console
import EventLoop
import Monitoring
import Pooler
import Revision
import TLS
import Telemetry

@main
struct Sluice: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sluice",
        abstract: "A connection pooler for PostgreSQL.",
        usage: """
            sluice [-d] [-q] [-v] [-u USER] CONFIG.ini
            sluice --check CONFIG.ini
            sluice --from-environment
            sluice [--database-url URL] [--password-file FILE | --password-command COMMAND] [--password-lifetime SECONDS]
                   [--listen-addr ADDRESS] [--listen-port PORT] [--pool-size N] [--workers N] [--admin]
                   [--metrics-listen ADDRESS:PORT] [--unix-socket-dir FOLDER]
            """,
        discussion: """
            With a configuration file, in PgBouncer's format, everything is as the file says. Without one, Sluice pools the database of \
            --database-url (or of the environment variable DATABASE_URL) in transaction mode on 127.0.0.1:6543; clients log in with the \
            user and the password of that URL, by SCRAM-SHA-256. That user may look at the console (psql ... pgbouncer), and change \
            things there with --admin. The page with charts and metrics is on loopback; the log tells its address.

            SIGHUP reads the file again. SIGTERM lets clients finish and leave, SIGINT ends when running transactions are done, SIGQUIT \
            ends at once.
            """)

    @Argument(help: ArgumentHelp("Configuration file.", valueName: "CONFIG.ini"))
    var file: String?

    @Option(help: ArgumentHelp("The database to pool: postgres://user:password@host:port/name", valueName: "URL"))
    var databaseURL: String?

    @Option(
        help: ArgumentHelp(
            "File with the password for PostgreSQL, in one line, read before logins there: for one that changes.", valueName: "FILE"))
    var passwordFile: String?

    @Option(
        help: ArgumentHelp(
            "Command of the shell that prints this password as one line. It finds PGHOST, PGPORT and PGUSER in its environment.",
            valueName: "COMMAND"))
    var passwordCommand: String?

    @Option(
        help: ArgumentHelp(
            "Time for which a password of such a file or command is used again. (default: 300)", valueName: "SECONDS"))
    var passwordLifetime: Int?

    @Flag(
        help: ArgumentHelp(
            "Read everything from environment variables, those of PgBouncer's images included (docs/operating/container.md)."))
    var fromEnvironment = false

    @Option(help: ArgumentHelp("Address to listen on. (default: 127.0.0.1)", valueName: "ADDRESS"))
    var listenAddr: String?

    @Option(help: ArgumentHelp("Port to listen on. (default: 6543)", valueName: "PORT"))
    var listenPort: Int?

    @Option(help: ArgumentHelp("Server connections for each user and database. (default: 20)", valueName: "N"))
    var poolSize: Int?

    @Option(help: ArgumentHelp("Threads that carry connections. (default: one for each processor that it may use)", valueName: "N"))
    var workers: Int?

    @Option(
        help: ArgumentHelp(
            "Address of the page and the metrics, or off. (default: 127.0.0.1:9127, or a free port)", valueName: "ADDRESS:PORT"))
    var metricsListen: String?

    @Option(help: ArgumentHelp("Folder of the Unix socket, or off. (default: /tmp)", valueName: "FOLDER"))
    var unixSocketDir: String?

    @Flag(help: "Let the user of the URL run every console command.")
    var admin = false

    @Flag(name: .shortAndLong, help: "Run in the background; needs a pidfile in the configuration.")
    var daemon = false

    @Flag(name: .shortAndLong, help: "No messages on standard error; they go to the log file or to syslog only.")
    var quiet = false

    @Option(name: .shortAndLong, help: ArgumentHelp("System user to become; beats the setting user.", valueName: "USER"))
    var user: String?

    @Flag(name: .shortAndLong, help: "More detail in the log; twice for still more.")
    var verbose: Int

    @Flag(name: .long, help: "Read the configuration, tell all that is wrong with it, and exit with status 0 or 1.")
    var check = false

    @Flag(name: [.customShort("V"), .long], help: "Show the version.")
    var version = false

    @Flag(name: [.customShort("R"), .customLong("reboot")], help: ArgumentHelp("Ignored.", visibility: .hidden))
    var reboot = false

    enum Reference: String, ExpressibleByArgument {
        case markdown, ini, metrics, console
    }

    @Option(
        help: ArgumentHelp(
            "Print docs/configuration.md, Config/sluice.ini, docs/metrics.md or docs/console.md, and exit.", visibility: .hidden))
    var printConfigurationReference: Reference?

    static func main() {
        // Everybody on the machine can read the command line of every process.
        ProcessTitle.replaceArguments(by: DatabaseURL.withoutPasswords)
        do {
            var command = try parseAsRoot(Array(ProcessTitle.arguments.dropFirst()))
            try command.run()
        } catch {
            if exitCode(for: error).isSuccess {
                ProcessControl.say(fullMessage(for: error) + "\n")
                ProcessControl.exit(0)
            }
            // A command line that makes no sense is no different from a file that makes none: status 1, as scripts expect it.
            if !(error is ExitCode) {
                ProcessControl.complain("sluice: \(message(for: error))\nTry \"sluice --help\" for more information.")
            }
            ProcessControl.exit(1)
        }
        ProcessControl.exit(0)
    }

    mutating func validate() throws {
        if version || printConfigurationReference != nil { return }
        // Not repeated, for it may hold a password.
        if let file, file.contains("://") { throw ValidationError("expected a configuration file; a URL is given as --database-url URL") }
        if fromEnvironment, file != nil || databaseURL != nil {
            throw ValidationError("give --from-environment, a configuration file or --database-url, and no two of them")
        }
        if file == nil, check, !fromEnvironment { throw ValidationError("--check: expected a configuration file") }
        if file == nil, databaseURL == nil, !fromEnvironment, Environment.value("DATABASE_URL") == nil {
            throw ValidationError("nothing to pool: expected a configuration file, --database-url or DATABASE_URL")
        }
        if file != nil, databaseURL != nil { throw ValidationError("give a configuration file or --database-url, not both") }
        let numbers = [listenPort, poolSize, workers].compactMap(\.self)
        if file != nil, admin || !numbers.isEmpty || listenAddr ?? metricsListen ?? unixSocketDir != nil {
            throw ValidationError(
                "with a configuration file, these are settings: listen_addr, listen_port, default_pool_size, workers, metrics_listen, "
                    + "unix_socket_dir, admin_users")
        }
        if file != nil, passwordFile ?? passwordCommand ?? passwordLifetime.map(String.init) != nil {
            throw ValidationError(
                "with a configuration file, password_file, password_command and password_lifetime stand in [databases] or [users]")
        }
        if passwordFile != nil, passwordCommand != nil { throw ValidationError("give --password-file or --password-command, not both") }
        if passwordFile?.isEmpty == true { throw ValidationError("--password-file: expected the path of a file") }
        if passwordCommand?.isEmpty == true { throw ValidationError("--password-command: expected a command of the shell") }
        if let passwordLifetime, !(0...1_000_000_000).contains(passwordLifetime) {
            throw ValidationError("--password-lifetime: expected whole seconds from 0 to 1000000000")
        }
        if let listenPort, !(1...65535).contains(listenPort) { throw ValidationError("--listen-port: expected a number from 1 to 65535") }
        if let poolSize, poolSize < 1 { throw ValidationError("--pool-size: expected a number from 1 on") }
        if let workers, !(1...1024).contains(workers) { throw ValidationError("--workers: expected a number from 1 to 1024") }
    }

    func run() throws {
        if version {
            ProcessControl.say(
                """
                \(Version.compatible)
                libevent \(EventLoop.libraryVersion)
                adns: evdns2
                tls: \(TLSLibrary.version)
                systemd: yes
                \(Version.own)\(Revision.suffix)

                """)
            return
        }
        switch printConfigurationReference {
        case .markdown: ProcessControl.say(SettingsTable.markdown())
        case .ini: ProcessControl.say(SettingsTable.annotatedIni())
        case .console: ProcessControl.say(CommandTable.markdown())
        case .metrics: ProcessControl.say(MetricsTable.markdown())
        case nil: if check { try checkFile() } else { try serve() }
        }
    }

    /// Everything that a start would refuse, without starting.
    private func checkFile() throws {
        guard let file else {
            do throws(ConfigurationError) {
                for warning in try environment().configuration.warnings { ProcessControl.complain("warning: \(warning)") }
            } catch {
                ProcessControl.complain("error: \(error.description)")
                throw ExitCode(1)
            }
            ProcessControl.say("environment: no errors\n")
            return
        }
        let (configuration, faults) = Configuration.check(path: file, read: Self.read, variable: Environment.value)
        for warning in configuration.warnings { ProcessControl.complain("warning: \(warning)") }
        var problems = faults.map(\.description)
        if problems.isEmpty { problems = PoolerProcess.problems(with: configuration).map { "\(file): \($0)" } }
        for problem in problems { ProcessControl.complain("error: \(problem)") }
        guard problems.isEmpty else { throw ExitCode(1) }
        ProcessControl.say("\(file): no errors\n")
    }

    private func serve() throws {
        let sink = LogSink()
        let log = Log(sink)
        do {
            let configuration = try load(file)
            var options = StartOptions()
            (options.user, options.verbosity, options.daemonises, options.isQuiet) = (user, verbose, daemon, quiet)
            if file == nil {
                options.probe = try probe()
                let settings = configuration.settings
                options.unixSocketIsOptional = unixSocketDir == nil && settings.unixSocketDir == Self.unixSocketDirectory
                options.metricsPortIsFree = metricsListen == nil && settings.metricsListen == Self.metricsAddress
            }
            sink.setQuiet(quiet)
            if reboot { log.warning("-R is ignored: PgBouncer 1.26 has removed it") }
            let process = PoolerProcess(configuration: configuration, options: options, sink: sink) {
                (path: String?) throws(ConfigurationError) in try load(file == nil ? nil : path ?? file)
            }
            try process.run()
        } catch let error as ConfigurationError {
            log.critical("\(error.description)")
            throw ExitCode(1)
        } catch let error as PoolerProcess.StartError {
            log.critical("\(error.description)")
            throw ExitCode(1)
        }
    }

    private static func read(_ path: String) throws(ConfigurationError) -> [UInt8] {
        do { return try Files.read(path) } catch {
            throw ConfigurationError(file: path, message: "cannot be read: \(error.reason)")
        }
    }

    private func load(_ file: String?) throws(ConfigurationError) -> Configuration {
        var result: Configuration
        if let file {
            result = try Configuration.load(path: file, read: Self.read, variable: Environment.value)
        } else {
            result = try withoutFile()
            if let listenAddr { result.settings.listenAddr = [listenAddr] }
            if let listenPort { result.settings.listenPort = listenPort }
            if let unixSocketDir { result.settings.unixSocketDir = Self.unlessOff(unixSocketDir) }
            if let metricsListen { result.settings.metricsListen = Self.unlessOff(metricsListen) }
            if admin { result.settings.adminUsers += result.settings.statsUsers }
            if let passwordLifetime { result.settings.passwordLifetime = Microseconds(passwordLifetime) * 1_000_000 }
            if let poolSize { result.settings.defaultPoolSize = poolSize }
            if let workers { result.settings.workers = workers }
        }
        return result
    }

    private func withoutFile() throws(ConfigurationError) -> Configuration {
        if fromEnvironment { return try environment().configuration }
        let url = try url()
        var result = url.configuration(passwordFile: passwordFile, passwordCommand: passwordCommand, read: Self.read)
        result.settings.unixSocketDir = Self.unixSocketDirectory
        result.settings.metricsListen = Self.metricsAddress
        result.settings.statsUsers = [url.user]
        result.settings.maxClientConn = 10_000
        return result
    }

    private static let unixSocketDirectory = "/tmp"
    private static let metricsAddress = "127.0.0.1:9127"

    private func environment() throws(ConfigurationError) -> EnvironmentConfiguration {
        var variables = NameTable<String>()
        for (name, value) in Environment.all where variables[name] == nil { variables[name] = value }
        return try EnvironmentConfiguration(variables, read: Self.read)
    }

    private func probe() throws(ConfigurationError) -> StartProbe? {
        if fromEnvironment {
            return try environment().login.map { StartProbe(database: $0.database, user: $0.user, hasPassword: $0.hasPassword) }
        }
        let url = try url()
        return StartProbe(database: url.database, user: url.user, hasPassword: url.password ?? passwordFile ?? passwordCommand != nil)
    }

    private func url() throws(ConfigurationError) -> DatabaseURL {
        guard let text = databaseURL ?? Environment.value("DATABASE_URL") else {
            throw ConfigurationError(
                file: "sluice", message: "nothing to pool: expected a configuration file, --database-url or DATABASE_URL. Try --help.")
        }
        return try DatabaseURL(parsing: text)
    }

    private static func unlessOff(_ text: String) -> String { text == "off" ? "" : text }
}
