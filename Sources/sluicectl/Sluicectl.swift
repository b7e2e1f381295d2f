import ArgumentParser
import Configuration
import EventLoop
import PostgresClient
import Revision
import Terminal

/// The command line of operators: every console command, a live view, and checks.
@main
struct Sluicectl: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sluicectl",
        abstract: "Talks to a running Sluice (or PgBouncer) through its admin console.",
        discussion: """
            Where it connects: the flags; else the file of --config (or of the environment variable SLUICE_CONFIG): its Unix socket or \
            first address, listen_port, the first of admin_users and that user's password from auth_file; else PGHOST, PGPORT, PGUSER, \
            PGPASSWORD and the password file, as for psql; else the socket in /tmp, port 6432.

            `sluicectl pools` is short for `sluicectl show pools`, and so for every topic.

            Exit status: 0 done; 1 the console refused, or a check found faults; 2 no connection; 64 wrong usage; 130 Ctrl-C.
            """,
        version: "sluicectl \(Version.number)\(Revision.suffix)",
        subcommands: [
            Show.self, Top.self, Doctor.self, ConfigCommand.self, Generate.self, Run.self,
            Reload.self, Pause.self, Resume.self, Disable.self, Enable.self, Reconnect.self, Kill.self, KillClient.self, WaitClose.self,
            SetCommand.self, Reset.self, Shutdown.self, Why.self,
        ],
        helpNames: .long)

    /// Options that may stand in front of the subcommand, too, as with other tools.
    private static let leading: Set<String> = [
        "-c", "-h", "-p", "-U", "-d", "--config", "--host", "--port", "--user", "--dbname", "--timeout",
    ]

    /// `sluicectl pools` for `sluicectl show pools`, and `sluicectl -c FILE pools` for `sluicectl show pools -c FILE`.
    static func expanded(_ arguments: [String]) -> [String] {
        var rest = arguments[...]
        var moved: [String] = []
        while let first = rest.first,
            leading.contains(first) || leading.contains(where: { $0.hasPrefix("--") && first.hasPrefix($0 + "=") })
        {
            let length = first.contains("=") ? 1 : 2
            moved += rest.prefix(length)
            rest = rest.dropFirst(length)
        }
        // `help top` is `top --help`. The console's own help is `show help`, or `help` with nothing but options.
        if rest.first == "help", let name = rest.dropFirst().first, !name.hasPrefix("-") { rest = rest.dropFirst() + ["--help"] }
        // `config check` is about a file; `config` alone is the topic.
        let isFile = rest.first == "config" && ["check", "--help"].contains(rest.dropFirst().first)
        if let first = rest.first, Topic(first) != nil, !isFile { rest = ["show"] + rest }
        let end = rest.firstIndex(of: "--") ?? rest.endIndex
        return Array(rest[..<end]) + moved + Array(rest[end...])
    }

    /// What `word` is, if it is neither a command nor a topic: an error that names the nearest one.
    static func misspelling(_ word: String) -> ValidationError? {
        let commands = configuration.subcommands.map { $0._commandName } + ["help"]
        if commands.contains(word) || Topic(word) != nil { return nil }
        let topics = Topic.allValueStrings.map { $0.replacing("_", with: "-") }
        let nearest = Names.nearest(to: word.replacing("_", with: "-"), among: commands + topics)
        let hint = nearest.map { " (did you mean \"\($0)\"?)" } ?? ""
        return ValidationError("There is no command or topic \"\(word)\"\(hint): `sluicectl --help` and `sluicectl show --help` list them")
    }

    static func main() {
        // libpq takes a URL for the name of a database, and `top` may run for days.
        ProcessTitle.replaceArguments(by: DatabaseURL.withoutPasswords)
        let arguments = expanded(Array(ProcessTitle.arguments.dropFirst()))
        if let page = TopicHelp.page(for: arguments) {
            Terminal.write(page)
            return
        }
        if let word = arguments.first, !word.hasPrefix("-"), let error = misspelling(word) { exit(withError: error) }
        do {
            var command = try parseAsRoot(arguments)
            try command.run()
        } catch let failure as CommandFailure {
            failure.complain()
            exit(withError: ExitCode(failure.status))
        } catch {
            exit(withError: error)
        }
    }
}

/// Why a command ends without success.
struct CommandFailure: Error {
    /// 1 refused, 2 no connection, 130 interrupted.
    let status: Int32
    let lines: [String]

    init(status: Int32, _ lines: String...) {
        self.status = status
        self.lines = lines
    }

    init(_ error: PostgresError) {
        switch error {
        case .server(let message):
            status = 1
            var lines = ["\(message.severity): \(message.message)"]
            if let detail = message.detail { lines.append("DETAIL: \(detail)") }
            if let hint = message.hint { lines.append("HINT: \(hint)") }
            self.lines = lines
        case .interrupted:
            status = 130
            lines = ["interrupted"]
        case .connection, .passwordNeeded, .lost, .timeout:
            status = 2
            lines = [error.description]
        }
    }

    func complain() {
        for (index, line) in lines.enumerated() {
            let text = line.split(separator: "\n").map { TerminalText.sanitized(String($0)) }.joined(separator: "\n  ")
            Terminal.complain(index == 0 ? "sluicectl: \(text)" : text)
        }
    }
}
