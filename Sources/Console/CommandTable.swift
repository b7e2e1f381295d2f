/// Who may run a command.
public enum Rights: Int, Sendable, Comparable {
    /// `stats_users`: look, and change nothing.
    case stats
    /// `admin_users`: everything.
    case admin

    public static func < (left: Rights, right: Rights) -> Bool { left.rawValue < right.rawValue }
}

/// The first word of a command.
public enum Verb: String, Sendable, CaseIterable {
    case show = "SHOW"
    case set = "SET"
    case reset = "RESET"
    case reload = "RELOAD"
    case pause = "PAUSE"
    case resume = "RESUME"
    case disable = "DISABLE"
    case enable = "ENABLE"
    case reconnect = "RECONNECT"
    case kill = "KILL"
    case killClient = "KILL_CLIENT"
    case waitClose = "WAIT_CLOSE"
    case shutdown = "SHUTDOWN"
    case why = "WHY"
}

/// Everything known about one command. Dispatch, SHOW HELP, docs/console.md and the tests read `CommandTable`.
public struct CommandSpecification: Sendable {
    /// What stands behind the verb.
    public enum Argument: Sendable {
        case none
        /// A database, or nothing for all of them.
        case optionalDatabase
        case database
        case clientID
        /// A topic with WHERE and ORDER BY.
        case topic
        /// `key = value`.
        case assignment
        /// A setting, or ALL.
        case setting
        /// WAIT_FOR_SERVERS, WAIT_FOR_CLIENTS or nothing.
        case shutdownMode
        /// CLIENT and a number, or POOL, a database and a user.
        case question
    }

    /// The first word.
    public let verb: Verb
    /// What comes after it.
    public let argument: Argument
    /// How it is written, one line for each form.
    public let syntax: [String]
    /// Who may run it.
    public let rights: Rights
    /// What it does, in one line.
    public let doc: String
}

/// All commands as data.
public enum CommandTable {
    /// The commands, in the order of SHOW HELP.
    public static let all: [CommandSpecification] = [
        .init(
            verb: .show, argument: .topic,
            syntax: ["SHOW topic [WHERE column = value [AND ...]] [ORDER BY column [DESC] [, ...]]"], rights: .stats,
            doc: "Shows what the topic says; `SELECT topic` means the same."),
        .init(
            verb: .why, argument: .question, syntax: ["WHY CLIENT id", "WHY POOL database user"], rights: .stats,
            doc: "Tells why clients wait: which limit binds, who holds the servers, how long it will take, what would help."),
        .init(
            verb: .set, argument: .assignment, syntax: ["SET key = value", "SET key TO value"], rights: .admin,
            doc: "Changes a setting until the next RELOAD."),
        .init(
            verb: .reset, argument: .setting, syntax: ["RESET key", "RESET ALL"], rights: .admin,
            doc: "Gives a setting the value of the file again."),
        .init(
            verb: .reload, argument: .none, syntax: ["RELOAD"], rights: .admin,
            doc: "Reads all files anew and opens the log file again; nothing changes if they are not good as a whole."),
        .init(
            verb: .pause, argument: .optionalDatabase, syntax: ["PAUSE [database]"], rights: .admin,
            doc: "Lets transactions end, closes the servers and answers when none is left; clients wait. Ctrl-C undoes it."),
        .init(
            verb: .resume, argument: .optionalDatabase, syntax: ["RESUME [database]"], rights: .admin,
            doc: "Ends a PAUSE or KILL."),
        .init(
            verb: .disable, argument: .database, syntax: ["DISABLE database"], rights: .admin, doc: "Refuses new clients of the database."),
        .init(verb: .enable, argument: .database, syntax: ["ENABLE database"], rights: .admin, doc: "Allows new clients again."),
        .init(
            verb: .reconnect, argument: .optionalDatabase, syntax: ["RECONNECT [database]"], rights: .admin,
            doc: "Replaces each server once its client is done with it."),
        .init(
            verb: .kill, argument: .optionalDatabase, syntax: ["KILL [database]"], rights: .admin,
            doc: "Pauses, and drops all clients and servers at once."),
        .init(
            verb: .killClient, argument: .clientID, syntax: ["KILL_CLIENT id"], rights: .admin,
            doc: "Drops one client, by the `id` of SHOW CLIENTS."),
        .init(
            verb: .waitClose, argument: .optionalDatabase, syntax: ["WAIT_CLOSE [database]"], rights: .admin,
            doc: "Answers when all servers that RECONNECT or a changed configuration made obsolete are closed."),
        .init(
            verb: .shutdown, argument: .shutdownMode, syntax: ["SHUTDOWN", "SHUTDOWN WAIT_FOR_SERVERS", "SHUTDOWN WAIT_FOR_CLIENTS"],
            rights: .admin,
            doc: "Ends the process: at once, when the running transactions are done, or when all clients have left."),
    ]

    private static let byWord = Dictionary(uniqueKeysWithValues: all.map { ($0.verb.rawValue, $0) })

    /// Finds a command by its first word, in any case.
    public static func named(_ word: String) -> CommandSpecification? {
        let word = word.uppercased()
        return byWord[word == "SELECT" ? Verb.show.rawValue : word]
    }

    /// What SHOW HELP says.
    public static var usage: String {
        var lines = ["", "\tSHOW HELP|" + ShowTopic.all.map { $0.name.uppercased() }.joined(separator: "|")]
        for command in all {
            for form in command.syntax { lines.append("\t\(form)") }
        }
        return lines.joined(separator: "\n")
    }
}
