import PostgresWire

/// What the pooler knows about the session on one server connection, and the rules by which messages pass through it.
///
/// `translate` judges what a client sends (ServerSession+Frontend.swift), `receive` what the server answers
/// (ServerSession+Backend.swift). Both see a message at a time and say what to do; moving bytes is the shell's business.
///
/// Not copyable: there is one for each connection, and a copy by accident costs a dozen references on the query path.
public struct ServerSession: ~Copyable, Sendable {
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

    /// What has to happen when an entry of the ledger is settled or becomes void.
    enum Note: Sendable {
        /// The client named a statement; before, the name meant `previous`. `isSent`: the server was really asked to parse it.
        case define(name: [UInt8], Statement, previous: Statement?, isSent: Bool)
        /// The client's unnamed statement was replaced, or dropped by a Close or a simple query.
        case replaceUnnamed(previous: Statement?, version: UInt32)
        /// The client closed a name.
        case forget(name: [UInt8], Statement)
        /// The pooler made the server parse a statement ahead of the message that needs it.
        case inject(Statement)
        case injectUnnamed(Statement)
        /// The pooler closed a statement to keep the server within its limit.
        case evict(UInt64)
        /// The server's error is about a name that the pooler made up: the client gets the same error about its own.
        case rename(code: String, message: String, stale: UInt64)
        /// DEALLOCATE in SQL, answered by the pooler. Before it, the client had `previous`.
        case deallocate(tag: String, previous: ClientStatements)
        /// DEALLOCATE, run by the server under its own name for the client's.
        case drop(name: [UInt8], Statement)
        case errand(Errand)
        /// A Sync behind messages that changed what is assumed of statements: until its ReadyForQuery they may yet be taken back.
        case fence
    }

    public internal(set) var ledger = ReplyLedger()
    public var statements = ServerStatements()
    /// What the server is set to.
    public var parameters: ParameterSet
    /// Other clients will use the server after this one: what a client sets behind the pooler's back has to be put right.
    public var isShared = true
    /// LISTEN has run: the linked client is one of those to whom notifications are owed. The shell takes note of it and puts it back.
    public var hasListened = false
    /// As the last ReadyForQuery said.
    public internal(set) var status = TransactionStatus.idle

    var notes: [UInt64: Note] = [:]
    private var lastNote: UInt64 = 0
    /// CopyFail has been sent for a client that left.
    private var hasEndedCopy = false

    /// A ledger note below this is the id of the statement that the message used or (Parse without a name) defined; from here on it names an entry of `notes`.
    static let firstNote: UInt64 = 1 << 63

    public init(parameters: ParameterSet) {
        self.parameters = parameters
    }

    /// The server may be given to another client.
    @inlinable public var isReusable: Bool { status == .idle && ledger.isSettled }

    /// Syncs on their way that may tell of a failure which changes what names mean. Messages that use a name wait for them.
    public internal(set) var fences = 0
    /// Something was assumed of a statement since the last Sync.
    var isAssuming = false

    mutating func note(_ note: Note) -> UInt64 {
        switch note {
        case .errand, .fence, .drop: break
        default: isAssuming = true
        }
        lastNote = (lastNote &+ 1) | Self.firstNote
        notes[lastNote] = note
        return lastNote
    }

    /// Enters something that the pooler sends of its own accord.
    public mutating func owe(_ errand: Errand) {
        if errand == .resynchronise {
            ledger.owe(.sync, .swallow, note: note(.errand(errand)))
            return
        }
        ledger.owe(.query, .swallow, note: note(.errand(errand)))
        if statements.unnamed != nil { statements.unnamed = nil }
    }

    /// The client left: nothing of what is owed will reach anybody.
    public mutating func abandon() {
        for entry in ledger.abandon() { notes[entry.note] = nil }
    }

    /// A client gets the server, on which nothing is outstanding.
    public mutating func begin(isShared: Bool) {
        assert(ledger.isSettled && fences == 0 && notes.isEmpty)
        self.isShared = isShared
        isAssuming = false
    }
}

extension ServerSession {
    /// What has to be sent next to bring an abandoned session to an end, entered in the ledger; empty when nothing is to be sent (now).
    public mutating func ordersToEnd() -> [UInt8] {
        var writer = MessageWriter()
        if ledger.isCopyingIn, !hasEndedCopy, ledger.isCopyEnded {
            hasEndedCopy = true
            // The client has ended it. In a batch without a Sync behind that it is undone; a Sync of ours would commit it.
            if !ledger.willBecomeReady {
                owe(.rollback)
                writer.query("ROLLBACK")
            }
        } else if ledger.isCopyingIn, !hasEndedCopy {
            hasEndedCopy = true
            writer.copyFail(message: "client disconnected")
            let isExtended = ledger.head?.request == .execute
            ledger.owe(.copyEnd, .swallow)
            if isExtended {
                owe(.resynchronise)
                writer.sync()
            }
        } else if ledger.isSkipping {
            owe(.resynchronise)
            writer.sync()
        } else if ledger.isUnsynced || (ledger.isSettled && status != .idle) {
            // Not a Sync: that would commit what an unfinished pipeline has done so far.
            owe(.rollback)
            writer.query("ROLLBACK")
        } else if let marker = ordersToBecomeCertain() {
            return marker
        }
        if ledger.isSettled { hasEndedCopy = false }
        return writer.bytes
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
