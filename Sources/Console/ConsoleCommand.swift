/// How a SHUTDOWN ends the process.
public enum ShutdownKind: Sendable, Equatable {
    case atOnce, waitForServers, waitForClients
}

/// A command that has been understood.
public enum ConsoleCommand: Sendable, Equatable {
    /// Nothing but blanks and semicolons.
    case empty
    case help
    /// The topic's name.
    case show(topic: String, Selection)
    /// A parameter of a PostgreSQL session that drivers ask for.
    case showSession(String)
    case set(key: String, value: String)
    /// A parameter that drivers set: taken and not acted upon.
    case setSession(String)
    /// nil: all.
    case reset(key: String?)
    case reload
    case pause(String?)
    case resume(String?)
    case disable(String)
    case enable(String)
    case reconnect(String?)
    case kill(String?)
    case killClient(UInt64)
    case waitClose(String?)
    case shutdown(ShutdownKind)
    case whyClient(UInt64, Selection)
    case whyPool(database: String, user: String, Selection)
    /// BEGIN, COMMIT, DISCARD ALL and the like: what drivers send around everything. The tag is the answer.
    case courtesy(tag: String, Transaction?)
    /// DEALLOCATE of a statement that was prepared by the protocol; nil: all.
    case deallocate(String?)

    /// What a courtesy does to the transaction that the client believes in.
    public enum Transaction: Sendable, Equatable {
        case begin, end
        /// It is as before the savepoint that was gone back to.
        case goOn
    }

    /// The specification that the command follows; nil for what anybody may run.
    public var specification: CommandSpecification? {
        switch self {
        case .empty, .courtesy, .deallocate, .setSession: nil
        case .help, .show, .showSession: CommandTable.named(Verb.show.rawValue)
        case .set: CommandTable.named(Verb.set.rawValue)
        case .reset: CommandTable.named(Verb.reset.rawValue)
        case .reload: CommandTable.named(Verb.reload.rawValue)
        case .pause: CommandTable.named(Verb.pause.rawValue)
        case .resume: CommandTable.named(Verb.resume.rawValue)
        case .disable: CommandTable.named(Verb.disable.rawValue)
        case .enable: CommandTable.named(Verb.enable.rawValue)
        case .reconnect: CommandTable.named(Verb.reconnect.rawValue)
        case .kill: CommandTable.named(Verb.kill.rawValue)
        case .killClient: CommandTable.named(Verb.killClient.rawValue)
        case .waitClose: CommandTable.named(Verb.waitClose.rawValue)
        case .shutdown: CommandTable.named(Verb.shutdown.rawValue)
        case .whyClient, .whyPool: CommandTable.named(Verb.why.rawValue)
        }
    }

    /// The columns of the answer; nil for a command that answers no rows.
    public var columns: [Column]? {
        switch self {
        case .show(let topic, _): ShowTopic.named(topic)?.columns
        case .showSession(let name): [Column(name: name, type: .text)]
        case .whyClient, .whyPool: WaitReport.columns
        default: nil
        }
    }
}
