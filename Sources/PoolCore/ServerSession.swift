import PostgresWire

/// What the pooler knows about the session on one server connection, and the rules by which messages pass through it.
///
/// `translate` judges what a client sends (ServerSession+Frontend.swift), `receive` what the server answers
/// (ServerSession+Backend.swift). Both see a message at a time and say what to do; moving bytes is the shell's business.
public struct ServerSession: Sendable {
    /// How messages of the linked client are treated.
    public struct Rules: Sendable {
        /// Prepared statements are mapped, so that they survive a change of server.
        public var mapsStatements: Bool
        /// How many statements a server may hold.
        public var statementLimit: Int
        /// Simple queries are refused (`disable_pqexec`).
        public var refusesSimpleQuery: Bool

        public init(mapsStatements: Bool, statementLimit: Int, refusesSimpleQuery: Bool = false) {
            self.mapsStatements = mapsStatements
            self.statementLimit = statementLimit
            self.refusesSimpleQuery = refusesSimpleQuery
        }
    }

    /// What the pooler itself asked the server.
    public enum Errand: Sendable, Equatable {
        /// One step towards the client's parameters. `isTrial`: the client's messages wait for it.
        case parameter(ParameterChange, isTrial: Bool)
        case resetQuery
        case checkQuery
        case connectQuery
        case rollback
        /// Ends an extended batch, or a COPY, of a client that left.
        case resynchronise
    }

    /// What a message was assumed to do when it was sent; taken back if the server refuses or skips it (ServerSession+Undo.swift).
    enum Note: Sendable {
        /// The client named a statement; before, the name meant `previous`. `isSent`: the server parses it under its server name.
        case define(name: [UInt8], Statement, previous: Statement?, isSent: Bool)
        /// The client's unnamed statement was replaced, or dropped by a Close or a simple query.
        case replaceUnnamed(by: Statement?, previous: Statement?)
        /// The client closed a name.
        case forget(name: [UInt8], previous: Statement?)
        /// The pooler made the server parse a statement ahead of the message that needs it.
        case inject(Statement)
        case injectUnnamed
        /// The pooler closed a statement.
        case close(UInt32, wasHeld: Bool)
        /// The server's error is about a name that the pooler made up: the client gets the same error about its own.
        case rename(code: String, message: String)
        /// DEALLOCATE in SQL, answered by the pooler: of one name, or of all.
        case deallocate(tag: String, name: [UInt8]?, previous: ClientStatements)
        /// A query that leaves neither the client nor the server a named statement.
        case clear(previous: ClientStatements, held: ServerStatements)
        case errand(Errand)
    }

    public internal(set) var ledger = ReplyLedger()
    public var statements = ServerStatements()
    /// What the server is set to.
    public var parameters: ParameterSet
    /// As the last ReadyForQuery said.
    public internal(set) var status = TransactionStatus.idle

    var notes: [UInt32: Note] = [:]
    private var lastNote: UInt32 = 0
    /// Goes up with each Sync: what an error can void lies in one batch.
    var batch: UInt32 = 0
    /// The batch in which the server's unnamed slot was filled.
    var unnamedBatch: UInt32 = 0
    /// CopyFail has been sent for a client that left.
    private var hasEndedCopy = false

    /// A ledger note below this is the id of the statement that the message used; from here on it names an entry of `notes`.
    static let firstNote: UInt32 = 1 << 31

    public init(parameters: ParameterSet) {
        self.parameters = parameters
    }

    /// The server may be given to another client.
    public var isReusable: Bool { status == .idle && ledger.isSettled }

    mutating func note(_ note: Note) -> UInt32 {
        lastNote = (lastNote &+ 1) | Self.firstNote
        notes[lastNote] = note
        return lastNote
    }

    /// Enters something that the pooler sends of its own accord.
    public mutating func owe(_ errand: Errand) {
        if errand == .resynchronise {
            batch &+= 1
            ledger.owe(.sync, .swallow, note: note(.errand(errand)))
            return
        }
        ledger.owe(.query, .swallow, note: note(.errand(errand)))
        if statements.unnamed != nil { statements.unnamed = nil }
    }

    /// The client left: nothing of what is owed will reach anybody, and what it assumed matters no more.
    public mutating func abandon() {
        ledger.abandon()
        for (key, note) in notes {
            switch note {
            case .define(_, let statement, _, isSent: true): notes[key] = .inject(statement)
            case .define, .forget, .rename, .deallocate: notes[key] = nil
            case .replaceUnnamed: notes[key] = .injectUnnamed
            case .clear(_, let held): notes[key] = .clear(previous: ClientStatements(), held: held)
            case .inject, .injectUnnamed, .close, .errand: break
            }
        }
    }
}

extension ServerSession {
    /// What has to be sent next to bring an abandoned session to an end, entered in the ledger; empty when nothing is to be sent (now).
    public mutating func ordersToEnd() -> [UInt8] {
        var writer = MessageWriter()
        if ledger.isCopyingIn, !hasEndedCopy {
            hasEndedCopy = true
            writer.copyFail(message: "client disconnected")
            let isExtended = ledger.head?.request == .execute
            ledger.owe(.copyEnd, .swallow)
            if isExtended { resynchronise(&writer) }
        } else if ledger.isSkipping {
            resynchronise(&writer)
        } else if ledger.isUnsynced {
            // A Sync alone would commit what the client never asked to commit: an error goes first.
            ledger.owe(.describe, .swallow)
            writer.describe(statement: String(decoding: Self.absentName, as: UTF8.self))
            resynchronise(&writer)
        } else if let marker = ordersToBecomeCertain() {
            return marker
        } else if ledger.isSettled, status != .idle {
            owe(.rollback)
            writer.query("ROLLBACK")
        }
        if ledger.isSettled { hasEndedCopy = false }
        return writer.bytes
    }

    private mutating func resynchronise(_ writer: inout MessageWriter) {
        owe(.resynchronise)
        writer.sync()
    }

    /// A query that does nothing, for a server that owes nothing but perhaps a ReadyForQuery (`ReplyLedger.isUncertain`): the answer
    /// tells. Nil when there is no such doubt, or other answers are due that will tell.
    public mutating func ordersToBecomeCertain() -> [UInt8]? {
        guard ledger.isUncertain, ledger.head == nil, !ledger.isSkipping, !ledger.isUnsynced else { return nil }
        ledger.owe(.query, .swallow, note: note(.errand(.resynchronise)))
        statements.unnamed = nil
        var writer = MessageWriter()
        writer.query("")
        return writer.bytes
    }
}
