import ArgumentParser
import Configuration
import EventLoop
import Pooler
import Telemetry

@main
struct Sluice: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sluice",
        abstract: "A connection pooler for PostgreSQL.",
        usage: """
            sluice [-q] CONFIG.ini
            sluice [--database-url URL] [--listen-addr ADDRESS] [--listen-port PORT] [--pool-size N] [--workers N]
            """,
        discussion: """
            With a configuration file, in PgBouncer's format, everything is as the file says. Without one, Sluice pools the database of \
            --database-url (or of the environment variable DATABASE_URL) in transaction mode on 127.0.0.1:6543; clients log in with the \
            user and the password of that URL, by SCRAM-SHA-256.

            SIGHUP reads the file again. SIGTERM lets clients finish and leave, SIGINT ends when running transactions are done, SIGQUIT \
            ends at once.
            """,
        version: "Sluice \(PoolerProcess.version)")

    @Argument(help: ArgumentHelp("Configuration file.", valueName: "CONFIG.ini"))
    var file: String?

    @Option(help: ArgumentHelp("The database to pool: postgres://user:password@host:port/name", valueName: "URL"))
    var databaseURL: String?

    @Option(help: ArgumentHelp("Address to listen on. (default: 127.0.0.1)", valueName: "ADDRESS"))
    var listenAddr: String?

    @Option(help: ArgumentHelp("Port to listen on. (default: 6543)", valueName: "PORT"))
    var listenPort: Int?

    @Option(help: ArgumentHelp("Server connections for each user and database. (default: 20)", valueName: "N"))
    var poolSize: Int?

    @Option(help: ArgumentHelp("Threads that carry connections. (default: one for each core)", valueName: "N"))
    var workers: Int?

    @Flag(name: .shortAndLong, help: "No messages on standard error; they go to the log file only.")
    var quiet = false

    enum Reference: String, ExpressibleByArgument {
        case markdown, ini
    }

    @Option(help: ArgumentHelp("Print the settings as docs/configuration.md or Config/sluice.ini, and exit.", visibility: .hidden))
    var printConfigurationReference: Reference?

    mutating func validate() throws {
        if file != nil, databaseURL != nil { throw ValidationError("give a configuration file or --database-url, not both") }
        if file != nil, listenAddr ?? listenPort.map(String.init) ?? poolSize.map(String.init) ?? workers.map(String.init) != nil {
            throw ValidationError("with a configuration file, these are settings: listen_addr, listen_port, default_pool_size, workers")
        }
        if let listenPort, !(1...65535).contains(listenPort) { throw ValidationError("--listen-port: expected a number from 1 to 65535") }
        if let poolSize, poolSize < 1 { throw ValidationError("--pool-size: expected a number from 1 on") }
        if let workers, !(1...1024).contains(workers) { throw ValidationError("--workers: expected a number from 1 to 1024") }
    }

    func run() throws {
        switch printConfigurationReference {
        case .markdown: print(SettingsTable.markdown(), terminator: "")
        case .ini: print(SettingsTable.annotatedIni(), terminator: "")
        case nil: try serve()
        }
    }

    private func serve() throws {
        let sink = LogSink()
        let log = Log.logger(sink)
        do {
            let settings = try load()
            sink.setQuiet(quiet)
            let process = PoolerProcess(configuration: settings, sink: sink) { () throws(ConfigurationError) in try load() }
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

    private func load() throws(ConfigurationError) -> Configuration {
        var result: Configuration
        if let file {
            result = try Configuration.load(path: file, read: Self.read)
        } else {
            guard let text = databaseURL ?? Environment.value("DATABASE_URL") else {
                throw ConfigurationError(
                    file: "sluice", message: "nothing to pool: expected a configuration file, --database-url or DATABASE_URL. Try --help.")
            }
            let url = try DatabaseURL(parsing: text)
            result = url.configuration(listenAddress: listenAddr ?? "127.0.0.1", listenPort: listenPort ?? 6543)
            result.settings.unixSocketDir = ""
            result.settings.maxClientConn = 10_000
            if let poolSize { result.settings.defaultPoolSize = poolSize }
            if let workers { result.settings.workers = workers }
        }
        return result
    }
}
