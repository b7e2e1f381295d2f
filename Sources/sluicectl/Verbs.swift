import ArgumentParser
import Terminal

// The console's verbs, one subcommand each.

/// `RELOAD`.
struct Reload: Verb {
    static let configuration = CommandConfiguration(
        abstract: ConsoleDocs.abstract(.reload),
        discussion: "A broken file changes nothing; the log tells file, line and why.")

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var answer: AnswerOptions

    func text() -> String { "RELOAD" }
}

/// `PAUSE`.
struct Pause: Verb {
    static let configuration = CommandConfiguration(
        abstract: ConsoleDocs.abstract(.pause),
        discussion: "Returns when the last server is gone. Ctrl-C gives up and resumes.")

    @Argument(help: ArgumentHelp("Only this database; all of them unless given.", valueName: "DATABASE"))
    var database: String?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var answer: AnswerOptions

    func text() -> String { "PAUSE" + (database.map { " \(ConsoleSyntax.name($0))" } ?? "") }
}

/// `RESUME`.
struct Resume: Verb {
    static let configuration = CommandConfiguration(
        abstract: ConsoleDocs.abstract(.resume))

    @Argument(help: ArgumentHelp("Only this database; all of them unless given.", valueName: "DATABASE"))
    var database: String?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var answer: AnswerOptions

    func text() -> String { "RESUME" + (database.map { " \(ConsoleSyntax.name($0))" } ?? "") }
}

/// `DISABLE`.
struct Disable: Verb {
    static let configuration = CommandConfiguration(
        abstract: ConsoleDocs.abstract(.disable))

    @Argument(help: ArgumentHelp("The database.", valueName: "DATABASE"))
    var database: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var answer: AnswerOptions

    func text() -> String { "DISABLE \(ConsoleSyntax.name(database))" }
}

/// `ENABLE`.
struct Enable: Verb {
    static let configuration = CommandConfiguration(
        abstract: ConsoleDocs.abstract(.enable))

    @Argument(help: ArgumentHelp("The database.", valueName: "DATABASE"))
    var database: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var answer: AnswerOptions

    func text() -> String { "ENABLE \(ConsoleSyntax.name(database))" }
}

/// `RECONNECT`.
struct Reconnect: Verb {
    static let configuration = CommandConfiguration(
        abstract: ConsoleDocs.abstract(.reconnect))

    @Argument(help: ArgumentHelp("Only this database; all of them unless given.", valueName: "DATABASE"))
    var database: String?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var answer: AnswerOptions

    func text() -> String { "RECONNECT" + (database.map { " \(ConsoleSyntax.name($0))" } ?? "") }
}

/// `KILL`.
struct Kill: Verb {
    static let configuration = CommandConfiguration(
        abstract: ConsoleDocs.abstract(.kill),
        discussion: "`resume` lets clients in again.")

    @Argument(help: ArgumentHelp("Only this database; all of them unless given.", valueName: "DATABASE"))
    var database: String?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var answer: AnswerOptions

    func text() -> String { "KILL" + (database.map { " \(ConsoleSyntax.name($0))" } ?? "") }
}

/// `WAIT_CLOSE`.
struct WaitClose: Verb {
    static let configuration = CommandConfiguration(
        abstract: ConsoleDocs.abstract(.waitClose))

    @Argument(help: ArgumentHelp("Only this database; all of them unless given.", valueName: "DATABASE"))
    var database: String?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var answer: AnswerOptions

    func text() -> String { "WAIT_CLOSE" + (database.map { " \(ConsoleSyntax.name($0))" } ?? "") }
}

/// `KILL_CLIENT n`.
struct KillClient: Verb {
    static let configuration = CommandConfiguration(abstract: ConsoleDocs.abstract(.killClient))

    @Argument(help: ArgumentHelp("The client's id, from `show clients`.", valueName: "ID"))
    var id: UInt64

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var answer: AnswerOptions

    func text() -> String { "KILL_CLIENT \(id)" }
}

/// `SET key = value`.
struct SetCommand: Verb {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: ConsoleDocs.abstract(.set),
        discussion: "`show config` lists the settings. `set KEY=VALUE` means the same.")

    @Argument(help: ArgumentHelp("The setting.", valueName: "KEY"))
    var key: String

    @Argument(help: ArgumentHelp("The new value.", valueName: "VALUE"))
    var value: String?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var answer: AnswerOptions

    func text() throws -> String {
        var (key, value) = (key, value)
        if value == nil, let equals = key.firstIndex(of: "=") {
            value = String(key[equals...].dropFirst())
            key = String(key[..<equals])
        }
        guard let value else { throw ValidationError("expected a value: set KEY VALUE, or set KEY=VALUE") }
        return "SET \(try ConsoleSyntax.setting(key)) = \(ConsoleSyntax.value(value))"
    }
}

/// `RESET key`, `RESET ALL`.
struct Reset: Verb {
    static let configuration = CommandConfiguration(abstract: ConsoleDocs.abstract(.reset))

    @Argument(help: ArgumentHelp("The setting, or `all`.", valueName: "KEY"))
    var key: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var answer: AnswerOptions

    func text() throws -> String { "RESET \(try ConsoleSyntax.setting(key))" }
}

/// `SHUTDOWN`.
struct Shutdown: Verb {
    static let configuration = CommandConfiguration(
        abstract: ConsoleDocs.abstract(.shutdown), discussion: "At once, unless a flag tells to wait. Running queries are lost then.")

    enum Mode: String, EnumerableFlag {
        case waitForServers, waitForClients

        static func help(for value: Mode) -> ArgumentHelp? {
            value == .waitForServers ? "When running transactions are over." : "When the last client has left."
        }
    }

    @Flag(exclusivity: .exclusive)
    var mode: Mode?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var answer: AnswerOptions

    func text() -> String {
        switch mode {
        case nil: "SHUTDOWN"
        case .waitForServers: "SHUTDOWN WAIT_FOR_SERVERS"
        case .waitForClients: "SHUTDOWN WAIT_FOR_CLIENTS"
        }
    }

    var endsConnection: Bool { true }
}

/// Any command, as it would be typed in psql.
struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Sends one console command as it stands, such as 'SHOW POOLS'.",
        discussion: "--watch is for commands that only look: SHOW, SELECT and WHY.")

    @Argument(help: ArgumentHelp("The command.", valueName: "COMMAND"))
    var command: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    @Flag(name: [.short, .long], help: "Nothing on standard output when it went well.")
    var quiet = false

    mutating func validate() throws {
        if output.watch != nil, !isLook { throw ValidationError("--watch: expected a command that only looks: SHOW, SELECT or WHY") }
    }

    /// Whether the command changes nothing, and may be asked again and again.
    private var isLook: Bool {
        let word = command.drop { $0.isWhitespace || $0 == ";" }.prefix { !$0.isWhitespace && $0 != ";" }
        return ["SHOW", "SELECT", "WHY"].contains(word.uppercased())
    }

    func run() throws {
        if output.watch != nil {
            try Question(text: command, title: "sluicectl run '\(command)'", connection: connection, output: output).run { $0 }
            return
        }
        let session = try ConsoleSession(connection)
        let result = try session.perform(command)
        if quiet { return }
        for notice in session.notices() { Terminal.complain("\(notice.severity): \(TerminalText.sanitized(notice.message))") }
        Terminal.write(try result.columns.isEmpty ? AnswerOptions.tag(result, json: output.json) : output.text(result))
    }
}

/// `WHY CLIENT n`, `WHY POOL database user`.
struct Why: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: ConsoleDocs.abstract(.why), subcommands: [WhyClient.self, WhyPool.self])
}

struct WhyClient: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "client", abstract: "Tells why a client waits.")

    @Argument(help: ArgumentHelp("The client's id, from `show clients`.", valueName: "ID"))
    var id: UInt64

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        try Question(text: "WHY CLIENT \(id)", title: "sluicectl why client \(id)", connection: connection, output: output).run { $0 }
    }
}

struct WhyPool: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "pool", abstract: "Tells what holds a pool up.")

    @Argument(help: ArgumentHelp("The database.", valueName: "DATABASE"))
    var database: String

    @Argument(help: ArgumentHelp("The user.", valueName: "USER"))
    var user: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let text = "WHY POOL \(ConsoleSyntax.name(database)) \(ConsoleSyntax.name(user))"
        try Question(text: text, title: "sluicectl why pool \(database) \(user)", connection: connection, output: output).run { $0 }
    }
}
