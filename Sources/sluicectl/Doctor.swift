import ArgumentParser
import Configuration
import EventLoop
import Passwords
import PostgresClient
import Terminal

/// `sluicectl doctor`.
struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compares the configuration with the PostgreSQL servers behind it.",
        discussion: """
            Connects to every server of [databases] as the pooler would and says what cannot work there (sizes against max_connections, \
            reserved slots, CONNECTION LIMITs; timeouts against each other), and what would fit. It needs no special rights; \
            --server-user names a role where the file holds no plain password, which then comes from PGPASSWORD or the password file. \
            The database * is checked under the name of --server-database.

            Exit status 0: nothing that cannot work; 1: something cannot; 2: the file cannot be read.
            """)

    @Option(name: [.short, .long], help: ArgumentHelp("The configuration file. (default: $SLUICE_CONFIG)", valueName: "FILE.ini"))
    var config: String?

    @Option(help: ArgumentHelp("Ask the servers as this role.", valueName: "NAME"))
    var serverUser: String?

    @Option(help: ArgumentHelp("A database on the server of the entry *.", valueName: "NAME"))
    var serverDatabase = "postgres"

    @Option(help: ArgumentHelp("Seconds for connecting and for each answer.", valueName: "SECONDS"))
    var timeout = 10.0

    @Flag(help: "JSON: an array of objects with level, subject, text and remedy.")
    var json = false

    func run() throws {
        guard let file = config ?? Environment.value("SLUICE_CONFIG") else {
            throw ValidationError("no configuration: expected --config FILE.ini or the environment variable SLUICE_CONFIG")
        }
        guard let signals = SignalDescriptor([.interrupt, .terminate, .hangup]) else {
            throw CommandFailure(status: 2, "no file descriptors are left")
        }
        var configuration: Configuration
        do {
            configuration = try ConfigurationFile.load(file)
        } catch {
            throw CommandFailure(status: 2, error.description)
        }
        if let fallback = configuration.fallbackDatabase, configuration.databases.isEmpty {
            configuration.databases[serverDatabase] = fallback.instance(named: serverDatabase)
        }
        var findings: [Finding] = []
        var servers: [String: ServerFacts] = [:]
        for (name, database) in configuration.databases.sorted(by: { $0.key < $1.key }) {
            let addresses = database.places(unixDirectory: configuration.settings.unixSocketDir)
            for (address, place) in zip(addresses, DoctorRules.places(of: database, configuration.settings)) {
                if servers[place] != nil { continue }
                do throws(PostgresError) {
                    let connection = try connect(address, database, configuration, signals.descriptor)
                    servers[place] = try ServerFacts(place: place, connection, timeout: timeout, interrupt: signals.descriptor)
                } catch .interrupted {
                    throw CommandFailure(.interrupted)
                } catch {
                    let login = login(database, configuration)
                    findings.append(
                        Finding(
                            level: .error, subject: "database \(name)",
                            text: "\(place) cannot be asked as \"\(login.user ?? "(no user known)")\": \(error.description)",
                            remedy: login.password == nil && source(database, configuration, login.user) == nil
                                ? "--server-user with PGPASSWORD, or a plain password in auth_file" : ""))
                }
            }
        }
        findings += DoctorRules.findings(configuration, servers)
        findings += ConfigurationAdvice.findings(configuration).map { Finding(level: .warning, subject: "configuration", text: $0) }
        findings += fileDescriptors(configuration)
        report(findings)
        if findings.contains(where: { $0.level == .error }) { throw ExitCode(1) }
    }

    /// As the pooler would: the forced user, else a user of the list whose password is known.
    private func login(_ database: Database, _ configuration: Configuration) -> (user: String?, password: String?) {
        if let serverUser { return (serverUser, nil) }
        let known = configuration.userList.secrets.filter {
            !$0.value.isEmpty && !$0.value.hasPrefix("SCRAM-SHA-256$") && !$0.value.hasPrefix("md5")
        }
        if let user = database.forcedUser { return (user, database.password ?? known[user]) }
        if let user = configuration.users.filter({ $0.value.passwordSource != nil }).keys.sorted().first { return (user, nil) }
        let console = Set(configuration.settings.adminUsers + configuration.settings.statsUsers)
        if let (user, password) = known.sorted(by: { $0.key < $1.key }).first(where: { !console.contains($0.key) }) {
            return (user, password)
        }
        if let (user, password) = known.sorted(by: { $0.key < $1.key }).first { return (user, password) }
        return (configuration.userList.secrets.keys.sorted().first, nil)
    }

    /// Where the password of that user comes from, if it expires.
    private func source(_ database: Database, _ configuration: Configuration, _ user: String?) -> PasswordSource? {
        guard serverUser == nil, let user else { return nil }
        return configuration.passwordSource(database: database, user: user, isForLookups: false)
    }

    private func connect(
        _ place: (host: String, port: Int), _ database: Database, _ configuration: Configuration, _ interrupt: Int32
    ) throws(PostgresError) -> PostgresConnection {
        let settings = configuration.settings
        let login = login(database, configuration)
        var parameters = [
            (name: "host", value: place.host), ("port", String(place.port)), ("application_name", "sluicectl doctor"),
            ("sslmode", settings.serverTlsSslmode.rawValue),
        ]
        if let user = login.user { parameters.append(("user", user)) }
        if let user = login.user, let source = source(database, configuration, user) {
            do throws(InvalidValue) {
                let timeout = settings.passwordCommandTimeout
                parameters.append(
                    ("password", try source.password(host: place.host, port: place.port, user: user, timeout: timeout)))
            } catch {
                throw .connection("\(source.key): \(error.message)")
            }
        } else if let password = login.password {
            parameters.append(("password", password))
        }
        if !settings.serverTlsCaFile.isEmpty { parameters.append(("sslrootcert", settings.serverTlsCaFile)) }
        if !settings.serverTlsCertFile.isEmpty { parameters.append(("sslcert", settings.serverTlsCertFile)) }
        if !settings.serverTlsKeyFile.isEmpty { parameters.append(("sslkey", settings.serverTlsKeyFile)) }
        do throws(PostgresError) {
            return try PostgresConnection(parameters + [("dbname", database.serverName)], timeout: timeout, interrupt: interrupt)
        } catch .connection(let text) where text.contains("does not exist") && text.contains("database") {
            // The server itself can be asked all the same; the rules then say that the database is missing.
            return try PostgresConnection(parameters + [("dbname", serverDatabase)], timeout: timeout, interrupt: interrupt)
        }
    }

    /// Every client and every server needs one.
    private func fileDescriptors(_ configuration: Configuration) -> [Finding] {
        let wanted = configuration.settings.maxClientConn + 200
        let allowed = ProcessControl.raiseFileLimit()
        guard wanted > allowed else { return [] }
        return [
            Finding(
                level: .warning, subject: "configuration",
                text: "max_client_conn \(configuration.settings.maxClientConn) needs more than \(wanted) file descriptors; a process "
                    + "started from here gets \(allowed)", remedy: "LimitNOFILE=\(wanted * 2) in the unit, or ulimit -n")
        ]
    }

    private func report(_ findings: [Finding]) {
        if json {
            let text = JSONAnswer.text { json in
                json.lines { json in
                    for finding in findings {
                        json.object { json in
                            json.member("level", finding.level.rawValue)
                            json.member("subject", finding.subject)
                            json.member("text", finding.text)
                            json.member("remedy", finding.remedy)
                        }
                    }
                }
            }
            Terminal.write(text)
            return
        }
        for finding in findings {
            Terminal.write(
                "\(TerminalText.fit(finding.level.rawValue, 7))  \(TerminalText.sanitized("\(finding.subject): \(finding.text)"))\n")
            if !finding.remedy.isEmpty { Terminal.write("         -> \(TerminalText.sanitized(finding.remedy))\n") }
        }
        let errors = findings.count { $0.level == .error }
        let warnings = findings.count { $0.level == .warning }
        Terminal.write("\(errors) error\(errors == 1 ? "" : "s"), \(warnings) warning\(warnings == 1 ? "" : "s")\n")
    }
}
