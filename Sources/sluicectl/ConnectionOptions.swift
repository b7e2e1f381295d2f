import ArgumentParser
import Configuration
import EventLoop
import PostgresClient
import Terminal

/// Where the console is and who asks.
struct ConnectionOptions: ParsableArguments {
    @Option(name: [.short, .long], help: ArgumentHelp("Connect as this configuration file says.", valueName: "FILE.ini"))
    var config: String?

    @Option(name: [.short, .long], help: ArgumentHelp("Host, address, or directory of the Unix socket.", valueName: "HOST"))
    var host: String?

    @Option(name: [.short, .long], help: ArgumentHelp("Port.", valueName: "PORT"))
    var port: Int?

    @Option(
        name: [.customShort("U"), .customLong("user")], help: ArgumentHelp("User; one of admin_users or stats_users.", valueName: "NAME"))
    var user: String?

    @Option(name: [.short, .long], help: ArgumentHelp("Database of the console.", valueName: "NAME"))
    var dbname = "pgbouncer"

    @Option(help: ArgumentHelp("Seconds for connecting and for each answer to a SHOW.", valueName: "SECONDS"))
    var timeout = 10.0

    @Flag(name: [.customShort("w"), .customLong("no-password")], help: "Never ask for a password.")
    var neverAsks = false

    mutating func validate() throws {
        if let port, !(1...65535).contains(port) { throw ValidationError("--port: expected a number from 1 to 65535") }
        guard timeout > 0, timeout <= 86_400 else { throw ValidationError("--timeout: expected seconds, more than 0") }
    }

    /// The file that was pointed at, by flag or environment.
    var configurationFile: String? { config ?? Environment.value("SLUICE_CONFIG") }

    /// Connects to the console; asks for a password when one is wanted and somebody can type it.
    func connect(interrupt: Int32? = nil) throws(CommandFailure) -> PostgresConnection {
        var parameters = try self.parameters()
        do throws(PostgresError) {
            return try PostgresConnection(parameters, timeout: timeout, interrupt: interrupt)
        } catch {
            guard case .passwordNeeded = error, !neverAsks, Terminal.isInput,
                let password = Terminal.readPassword("Password: ")
            else { throw CommandFailure(error) }
            parameters.removeAll { $0.name == "password" }
            parameters.append(("password", password))
        }
        do throws(PostgresError) {
            return try PostgresConnection(parameters, timeout: timeout, interrupt: interrupt)
        } catch {
            throw CommandFailure(error)
        }
    }

    /// libpq's keywords. What is left out comes from the environment.
    func parameters() throws(CommandFailure) -> [(name: String, value: String)] {
        var place = ConsolePlace()
        if let file = configurationFile {
            do {
                place = ConsolePlace(try ConfigurationFile.load(file))
            } catch {
                throw CommandFailure(status: 2, error.description)
            }
        } else {
            place.host = Environment.value("PGHOST") == nil ? ConsolePlace.defaultHost(port: port) : nil
            place.port = Environment.value("PGPORT") == nil ? 6432 : nil
        }
        let host = host ?? place.host
        let user = user ?? place.user ?? Environment.value("PGUSER") ?? (host?.hasPrefix("/") == true ? "pgbouncer" : nil)
        var result = [(name: "dbname", value: dbname), (name: "application_name", value: "sluicectl")]
        if let host { result.append(("host", host)) }
        if let port = port ?? place.port { result.append(("port", String(port))) }
        if let user { result.append(("user", user)) }
        if let password = place.password, user == place.user { result.append(("password", password)) }
        return result
    }
}

/// What a configuration file says about reaching the console.
struct ConsolePlace: Equatable {
    var host: String?
    var port: Int?
    var user: String?
    var password: String?

    init() {}

    /// Prefers the Unix socket, where the owner of the process gets in as `pgbouncer` without a password.
    init(_ configuration: Configuration) {
        let settings = configuration.settings
        port = settings.listenPort
        let directory = settings.unixSocketDir
        let path = "\(directory)/.s.PGSQL.\(settings.listenPort)"
        if !directory.isEmpty, directory.hasPrefix("@") || Files.exists(path) {
            host = directory
        } else if let address = settings.listenAddr.first {
            host = Self.reachable(address)
        }
        if !directory.hasPrefix("@"), host == directory, FileOwner.isCaller(path) {
            user = "pgbouncer"
        } else if let name = settings.adminUsers.first ?? settings.statsUsers.first {
            user = name
            if let secret = configuration.userList.secrets[name], !Self.isHashed(secret), !secret.isEmpty { password = secret }
        }
    }

    /// Nobody connects to "every address".
    static func reachable(_ address: String) -> String {
        switch address {
        case "*", "0.0.0.0": "127.0.0.1"
        case "::": "::1"
        default: address
        }
    }

    private static func isHashed(_ secret: String) -> Bool {
        secret.hasPrefix("SCRAM-SHA-256$") || (secret.hasPrefix("md5") && secret.utf8.count == 35)
    }

    static func defaultHost(port: Int?) -> String {
        Files.exists("/tmp/.s.PGSQL.\(port ?? 6432)") ? "/tmp" : "127.0.0.1"
    }
}

enum ConfigurationFile {
    /// Reads a configuration as the pooler does.
    static func load(_ path: String) throws(ConfigurationError) -> Configuration {
        try Configuration.load(path: path, read: read, variable: Environment.value)
    }

    /// The content of a file, or an error in the configuration's words.
    static func read(_ path: String) throws(ConfigurationError) -> [UInt8] {
        do { return try Files.read(path) } catch {
            throw ConfigurationError(file: path, message: "cannot be read: \(error.reason)")
        }
    }
}
