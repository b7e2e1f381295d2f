import ArgumentParser
import Configuration
import EventLoop
import PostgresClient
import Terminal

/// `sluicectl generate`.
struct Generate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Writes a configuration file from a database URL, or from what a live server says.",
        discussion: """
            Without --live nothing is asked: the file says what `sluice --database-url URL` would do. With --live the server is asked for \
            its databases, its roles and its connection slots: each database gets an entry, pool sizes fit the slots, and roles whose \
            SCRAM secrets the user of the URL may read (superusers may) come into the user list.

            With --output FOLDER it writes sluice.ini and userlist.txt (readable for their owner alone) there, and overwrites nothing; \
            without it the file goes to standard output, and no password is shown.
            """)

    @Argument(help: ArgumentHelp("postgres://user:password@host:port/database (default: $DATABASE_URL)", valueName: "URL"))
    var url: String?

    @Flag(help: "Ask the server.")
    var live = false

    @Option(name: [.short, .long], help: ArgumentHelp("Write sluice.ini and userlist.txt into this folder.", valueName: "FOLDER"))
    var output: String?

    @Option(help: ArgumentHelp("Seconds for connecting and for each answer.", valueName: "SECONDS"))
    var timeout = 10.0

    func run() throws {
        guard let text = url ?? Environment.value("DATABASE_URL") else {
            throw ValidationError("no URL: expected postgres://user:password@host:port/database, or the environment variable DATABASE_URL")
        }
        let parsed: DatabaseURL
        do { parsed = try DatabaseURL(parsing: text) } catch { throw CommandFailure(status: 1, error.description) }
        var generated = GeneratedFiles(parsed, folder: output)
        if live { generated.add(try ask(parsed)) }
        for warning in generated.warnings { Terminal.complain("warning: \(TerminalText.sanitized(warning))") }
        guard let output else {
            Terminal.write(generated.ini)
            return
        }
        try write(generated, to: output)
    }

    private func ask(_ url: DatabaseURL) throws(CommandFailure) -> LiveServer {
        guard let signals = SignalDescriptor([.interrupt, .terminate, .hangup]) else {
            throw CommandFailure(status: 2, "no file descriptors are left")
        }
        var parameters = [
            (name: "port", value: url.ports.map(String.init).joined(separator: ",")), ("user", url.user), ("dbname", url.database),
            ("application_name", "sluicectl generate"),
        ]
        if !url.hosts.isEmpty { parameters.append(("host", url.hosts.joined(separator: ","))) }
        if let password = url.password { parameters.append(("password", password)) }
        if let mode = url.sslMode { parameters.append(("sslmode", mode.rawValue)) }
        if !url.authorityFile.isEmpty { parameters.append(("sslrootcert", url.authorityFile)) }
        if !url.certificateFile.isEmpty { parameters.append(("sslcert", url.certificateFile)) }
        if !url.keyFile.isEmpty { parameters.append(("sslkey", url.keyFile)) }
        do throws(PostgresError) {
            let connection = try PostgresConnection(parameters, timeout: timeout, interrupt: signals.descriptor)
            return try LiveServer(connection, timeout: timeout, interrupt: signals.descriptor)
        } catch {
            throw CommandFailure(error)
        }
    }

    /// Both files or none.
    private func write(_ generated: GeneratedFiles, to folder: String) throws(CommandFailure) {
        let (ini, users) = ("\(folder)/\(GeneratedFiles.iniName)", "\(folder)/\(GeneratedFiles.userListName)")
        for path in [ini, users] where Files.exists(path) {
            throw CommandFailure(status: 1, "\(path) exists: expected a folder without it; nothing was written")
        }
        do throws(SystemError) {
            try Files.create(users, content: generated.userList, mode: 0o600)
            do throws(SystemError) { try Files.create(ini, content: generated.ini) } catch {
                Files.remove(users)
                throw error
            }
        } catch {
            throw CommandFailure(status: 1, "\(error.description): expected a folder that may be written to; nothing was written")
        }
        Terminal.write("wrote \(ini) and \(users); start with: sluice \(ini)\n")
    }
}

/// What a live server says for a configuration.
struct LiveServer: Equatable {
    var facts: ServerFacts
    /// Secrets of roles that may log in, as far as they may be read.
    var secrets: [String: String] = [:]

    init(facts: ServerFacts, secrets: [String: String] = [:]) {
        self.facts = facts
        self.secrets = secrets
    }

    init(_ connection: PostgresConnection, timeout: Double, interrupt: Int32?) throws(PostgresError) {
        facts = try ServerFacts(place: connection.place, connection, timeout: timeout, interrupt: interrupt)
        let readable = try connection.query(
            "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS readable", timeout: timeout, interrupt: interrupt)
        guard readable.records.first?["readable"] == "t" else { return }
        let rows = try connection.query(
            "SELECT rolname, rolpassword FROM pg_catalog.pg_authid WHERE rolcanlogin AND rolpassword IS NOT NULL", timeout: timeout,
            interrupt: interrupt)
        for row in rows.records { secrets[row["rolname"] ?? ""] = row["rolpassword"] ?? "" }
    }
}
