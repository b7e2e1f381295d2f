import PostgresWire

/// What the pooler knows about the session on one server connection, and the rules by which messages pass through it.
///
/// `translate` judges what a client sends (ServerSession+Frontend.swift and what stands beside it), `receive` what the server answers
/// (ServerSession+Backend.swift). Both see a message at a time and say what to do; moving bytes is the shell's business.
///
/// Not copyable: there is one for each connection, and a copy by accident costs a dozen references on the query path.
public struct ServerSession: ~Copyable, Sendable {
    /// How messages of the linked client are treated. Two words, for it is handed on with each message.
    public struct Rules: Sendable {
        /// How many statements a server may hold.
        public var statementLimit: Int
        private var flags: UInt8 = 0

        /// Prepared statements are mapped, so that they survive a change of server.
        public var mapsStatements: Bool {
            get { flags & 1 != 0 }
            set { set(1, newValue) }
        }
        /// Simple queries are refused (`disable_pqexec`).
        public var refusesSimpleQuery: Bool {
            get { flags & 2 != 0 }
            set { set(2, newValue) }
        }
        /// A Parse may be answered with what another client's has given (`statement_sharing`).
        public var sharesStatements: Bool {
            get { flags & 4 != 0 }
            set { set(4, newValue) }
        }

        private mutating func set(_ flag: UInt8, _ isSet: Bool) { flags = isSet ? flags | flag : flags & ~flag }

        public init(mapsStatements: Bool, statementLimit: Int, refusesSimpleQuery: Bool = false, sharesStatements: Bool = true) {
            self.statementLimit = statementLimit
            self.mapsStatements = mapsStatements
            self.refusesSimpleQuery = refusesSimpleQuery
            self.sharesStatements = sharesStatements
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
        /// Whether a value that changed without a SET is the server's own: it is reset, and changes if it is not.
        case explain(name: String)
        /// Ends an extended batch, or a COPY, of a client that left.
        case resynchronise
    }

    /// What has to happen when an entry of the ledger is settled or becomes void.
    enum Note: Sendable {
        /// The client named a statement. `isSent`: the server was asked to parse it under its server name.
        case define(name: [UInt8], Statement, isSent: Bool)
        /// The client's unnamed statement was replaced, or dropped by a Close or a simple query, in a message that may be skipped.
        case replaceUnnamed(previous: Statement?, told: PlanDescription, version: UInt32)
        /// The client closed a name.
        case forget(name: [UInt8], ClientStatements.Meaning)
        /// The pooler made the server parse a statement ahead of the message that needs it.
        case inject(Statement)
        case injectUnnamed(Statement)
        /// The pooler sent it around that Parse: what goes wrong with it, goes wrong with the message that needs the statement.
        case around
        /// The server is asked which statements it still has (`judgeBlock`).
        case namesLeft
        /// The server is lent the last of the names for that.
        case lend
        /// The pooler closed a statement to keep the server within its limit.
        case evict(UInt64)
        /// The server's error is about a name that the pooler made up: the client gets the same error about its own.
        case rename(code: String, message: String)
        /// The server's error is told as that of a plan which gives something else than this name of the client was told.
        case changed(name: [UInt8])
        /// A Describe of a statement without columns, answered by the pooler with the types of its parameters.
        case description(parameters: [UInt32])
        /// DEALLOCATE in SQL, answered by the pooler with these tags.
        case answer([String])
        /// DEALLOCATE, run by the server under its own name for the client's, or as an empty query in place of which the client gets
        /// these tags.
        case drop(name: [UInt8], Statement, tags: [String])
        /// A portal got another meaning, as far as DEALLOCATE is concerned: it was closed, or bound to the statement that the client calls
        /// `name`. Before, it had `previous`.
        case bindPortal([UInt8], previous: ClientSession.Portal?, Statement?, name: [UInt8])
        /// A message used a statement under a name that is longer than what it is known by.
        case use(name: [UInt8], Statement)
        /// A message whose answer tells something of the plan that it used.
        case watch(PlanUse)
        /// An Execute of a statement that changes what a later Parse may mean.
        case effects([StatementEffect])
        case errand(Errand)
        /// A Sync behind messages that changed what is assumed of statements: until its ReadyForQuery they may yet be taken back.
        case fence
    }

    /// What a simple query drops of the statements on the server.
    enum Dropping: UInt8, Sendable {
        case nothing
        /// One statement of it has been answered, or its names are not the client's: any may be DEALLOCATE.
        case perhaps
        /// It is a DEALLOCATE of one name.
        case name
        /// It is DEALLOCATE ALL or DISCARD ALL.
        case all
    }

    /// What ends a COPY from the client, and the connection with it.
    public enum CopyInterruption: Sendable, Equatable {
        /// A message of this type, which a COPY does not take.
        case message(UInt8)
        /// The client sends nothing more.
        case endOfStream
    }

    /// A DEALLOCATE among other statements of a query.
    struct Drop: Sendable {
        /// What the name is known by; nil: the client has no such name.
        let key: [UInt8]?
        /// How many command tags come before its own.
        let index: Int
        /// The query ends with it.
        let isLast: Bool
    }

    /// What the client's next message waits for.
    public enum Gate: UInt8, Sendable {
        case open
        /// The server has confirmed or refused what earlier messages assume of statements.
        case untilConfirmed
        /// All that was sent is answered for certain, or a COPY reads from the client.
        case untilSettled
    }

    public internal(set) var ledger = ReplyLedger()
    public var statements = ServerStatements()
    /// What the server is set to, and by whom.
    public var settings: ServerParameters {
        didSet {
            guard settings.current !== oldValue.current else { return }
            forgetContext()
            planSettings.adjusted(oldValue.current, settings.current)
        }
    }
    /// What the server is set to.
    var parameters: ParameterSet { settings.current }
    /// A SET or its like has run in the present transaction.
    public internal(set) var hasSet = false
    /// What SET has made of the settings that plans depend on.
    var planSettings = PlanSettings()
    /// The settings have changed since the transaction began.
    var isTouched = false
    /// What is outstanding may change them.
    var mayChangeContext = false { didSet { updateWatchfulness() } }
    /// What the simple query at the head does to them, and how many of its tags have come.
    var queryEffects: [StatementEffects.One] = []
    var queryTags = 0
    /// That of what is parsed next (`planContext`); nil: to be found out, or not known.
    var context: PlanContext?
    /// Its number, with which a Parse is compared; 0: there is none to compare with.
    var contextID: UInt64 = 0
    /// Other clients will use the server after this one: what a client sets behind the pooler's back has to be put right.
    public var isShared = true
    /// LISTEN has run: the linked client is one of those to whom notifications are owed. The shell takes note of it and puts it back.
    public var hasListened = false
    /// As the last ReadyForQuery said.
    public internal(set) var status = TransactionStatus.idle
    public internal(set) var gate = Gate.open { didSet { updateWatchfulness() } }

    var notes = NoteQueue<Note>(from: firstNote)

    /// From here on a ledger's note names an entry of `notes`. Below it, it is the id of the statement that the message used or
    /// (Parse without a name) defined. Above the id stand `unnamedNote` and a version of the client's unnamed statement, or the tag of the
    /// client's name for the statement.
    static let firstNote: UInt64 = 1 << 63
    static let unnamedNote: UInt64 = 1 << 62
    private static let idBits: UInt64 = 40
    private static let versionMask: UInt32 = 1 << 22 - 1

    /// The note of a message that used a statement under a name with this tag (`ClientStatements.tag`).
    @inline(__always)
    static func noteUse(of statement: Statement, tag: UInt64) -> UInt64 { tag << idBits | statement.id }

    /// Whether a note is that of a message which used a statement by a name.
    static func isUse(_ note: UInt64, of id: UInt64) -> Bool { note < unnamedNote && statementID(note) == id }

    /// The tag of the name in a note that is no entry of `notes`.
    static func tag(_ note: UInt64) -> UInt64 { (note & ~unnamedNote) >> idBits }

    /// Syncs on their way that may tell of a failure which changes what names mean. Messages that use a name wait for them.
    public internal(set) var fences = 0
    /// Something was assumed of a statement since the last Sync.
    var isAssuming = false
    /// A simple query that was sent may have more than one statement in it, and so may drop the client's names unseen.
    var namesMayChange = false
    /// A portal that was bound may be a COPY: each Execute is waited for.
    var watchesCopy = false { didSet { updateWatchfulness() } }
    /// The same for statements that are not mapped: as long as the client has the server.
    var hasUnmappedCopy = false { didSet { updateWatchfulness() } }
    /// The latest Bind to the unnamed portal, by its note, if the client has not been told of the columns of its statement; else 0.
    var bound: UInt64 = 0
    /// The same of a portal with a name.
    var boundPortal: (name: [UInt8], note: UInt64)?
    /// What the answer to a Describe under way has said of parameters.
    var describedParameters: UInt32 = 0
    /// The client has not left.
    var hasClient = true
    /// The types that it was about, unless there are very many.
    var describedTypes: [UInt32]?
    /// The client's messages that are to be repeated if the first of them meets a plan that is stale.
    var trial: PlanTrial? { didSet { updateWatchfulness() } }
    /// A statement that was closed to be parsed anew, and of which clients were told something: it is described behind its Parse.
    var describedAnew: UInt64 = 0
    /// The pooler has answered the Parse of this statement in the present batch, and the server has begun no transaction for it.
    @usableFromInline var unparsed: Statement? { didSet { updateWatchfulness() } }
    /// What no COPY takes has come while one reads: the COPY is being ended to answer as PostgreSQL does.
    var interruption: CopyInterruption?
    /// The client has left, and the server has been asked for what it has answered so far.
    private var hasFlushed = false
    /// A statement under way has the client's value in place of a default (`OwnDefaults`): it is a SET, whatever its client has written.
    var hasOwnDefaults = false
    /// How the text of the simple query at the head differs from what its client has sent.
    var queryShifts: [OwnDefaults.Shift] = []
    /// What the client's names meant before they were all dropped, for errors that are still to come.
    var formerNames: ClientStatements? { didSet { updateWatchfulness() } }
    /// Names that the client has closed while messages that use them were not answered, by the notes of such messages (`noteUse`): their
    /// errors tell the name. Of the linked client; no more than `mostOutstanding`, for as long as something is outstanding.
    var closedNames: [UInt64: [UInt8]] = [:]
    /// What the simple query at the head is still to drop among other things, the last one first.
    var drops: [Drop] = []
    /// How many command tags that query has been answered with.
    var tags = 0
    /// What the server has told of its statements so far.
    var namesLeft: Set<[UInt8]>?
    /// It has taken the names that it was lent for that.
    var hasLent = false
    /// What the simple query at the head has dropped, if it ran and its error is that of the commit.
    var dropping = Dropping.nothing
    /// Something has to be looked at that runs of messages are not asked for.
    private(set) var isWatchful = false

    mutating func updateWatchfulness() {
        isWatchful =
            gate != .open || watchesCopy || hasUnmappedCopy || unparsed != nil || formerNames != nil || isTouched || mayChangeContext
            || !statements.standIns.isEmpty || trial != nil
    }

    public init(settings: ServerParameters) {
        self.settings = settings
    }

    /// The server may be given to another client.
    @inlinable @inline(__always)
    public var isReusable: Bool { status == .idle && ledger.isSettled && unparsed == nil }

    /// Why a value that the server reports now is another one.
    public var causeOfReport: ServerParameters.Cause {
        guard let head = ledger.head else { return .server }
        guard head.note >= Self.firstNote, case .errand(let errand) = notes[head.note] else { return .client }
        switch errand {
        case .parameter, .explain: return .pooler
        case .connectQuery: return .setUp
        case .resetQuery, .checkQuery: return .server
        // What a client that has left has set, or what it had set before that.
        case .rollback, .resynchronise: return .client
        }
    }

    /// The pooler may set something between two messages of the client.
    public var mayBeAdjusted: Bool {
        ledger.isEmpty && !ledger.isUnsynced && !ledger.isSkipping && ledger.copy == .none && status != .failed
    }

    /// A COPY reads from the client for certain, and waits for what it sends.
    public var copyReads: Bool { ledger.copy == .receiving }
    /// What runs may turn out to be a COPY: the server has been told to say so.
    public var mayBecomeCopy: Bool { (watchesCopy || hasUnmappedCopy) && gate == .untilSettled && ledger.copy == .none && ledger.isRunning }
    /// A COPY was interrupted, and its outcome is still to come.
    public var awaitsInterruption: Bool { interruption != nil }

    /// A COPY reads from the client, or its outcome is still to come.
    @inlinable @inline(__always)
    public var isCopyingIn: Bool { ledger.copy != .none }

    mutating func note(_ note: Note) -> UInt64 {
        switch note {
        case .errand, .fence, .drop, .answer, .description, .use, .watch, .effects, .around, .namesLeft, .lend: break
        default: isAssuming = true
        }
        return notes.append(note)
    }

    /// The note of a message that gives the client's unnamed statement a meaning, and is skipped for certain by no error.
    static func noteUnnamed(_ statement: Statement, version: UInt32) -> UInt64 {
        unnamedNote | UInt64(version & versionMask) << idBits | statement.id
    }

    /// The statement that a message used or defined, by a note that is no entry of `notes`.
    static func statementID(_ note: UInt64) -> UInt64 { note & (1 << idBits - 1) }

    /// Whether the client's unnamed statement has not changed since the message with this note.
    static func isLatest(_ note: UInt64, _ version: UInt32) -> Bool {
        UInt32(truncatingIfNeeded: note >> idBits) & versionMask == version & versionMask
    }

    /// Enters something that the pooler sends of its own accord.
    public mutating func owe(_ errand: Errand) {
        if errand == .resynchronise {
            ledger.owe(.sync, .swallow, note: note(.errand(errand)))
            return
        }
        ledger.owe(.query, .swallow, note: note(.errand(errand)))
        statements.unnamed = nil
    }

    /// The client left: nothing of what is owed will reach anybody.
    public mutating func abandon() {
        gate = .open
        interruption = nil
        formerNames = nil
        closedNames = [:]
        unparsed = nil
        trial = nil
        hasClient = false
        hasFlushed = false
        abandonSettings()
        for entry in ledger.abandon() { notes.remove(entry.note) }
    }

    /// A client gets the server, on which nothing is outstanding.
    public mutating func begin(isShared: Bool) {
        assert(ledger.isSettled && fences == 0 && notes.isEmpty)
        self.isShared = isShared
        isAssuming = false
        hasSet = false
        hasClient = true
        bound = 0
        if !closedNames.isEmpty { closedNames = [:] }
        if isWatchful {
            gate = .open
            watchesCopy = false
            hasUnmappedCopy = false
            mayChangeContext = false
        }
        if !statements.standIns.isEmpty { updateWatchfulness() }
    }

    // MARK: The gate

    /// Whether the client's next message may be judged; opens the gate if what it waited for has come.
    public mutating func mayGoOn() -> Bool {
        switch gate {
        case .open:
            return true
        case .untilConfirmed:
            guard fences == 0 else { return false }
        case .untilSettled:
            guard ledger.isEmpty || ledger.copy == .receiving else { return false }
        }
        gate = .open
        return true
    }

    /// The message waits. A server answers an open batch when it is told to flush.
    mutating func hold(_ gate: Gate) -> FrontendAction {
        self.gate = gate
        guard gate == .untilSettled, ledger.isUnsynced, ledger.isRunning else { return .wait([]) }
        var writer = MessageWriter()
        writer.flush()
        return .wait(writer.bytes)
    }
}

extension ServerSession {
    /// What has to be sent next to bring an abandoned session to an end, entered in the ledger; empty when nothing is to be sent (now).
    public mutating func ordersToEnd() -> [UInt8] {
        if let probe = resyncProbe() { return probe }
        guard !ledger.isUncertain else { return [] }
        var writer = MessageWriter()
        let mayBecomeCopy = (watchesCopy || hasUnmappedCopy) && ledger.copy == .none && ledger.isUnsynced && ledger.isRunning
        if ledger.copy == .ended || mayBecomeCopy {
            // What comes next depends on the outcome of the COPY, or on whether there is one.
            guard !ledger.awaitsReady, !hasFlushed else { return [] }
            hasFlushed = true
            writer.flush()
            return writer.bytes
        }
        if ledger.copy == .receiving {
            writer.copyFail(message: "client disconnected")
            ledger.enterInCopy(Frontend.copyFail)
            if ledger.head?.request == .execute, ledger.syncsInCopy == 0 {
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
        }
        return writer.bytes
    }

    /// What tells how many ReadyForQuery are due after a COPY that failed (`ReplyLedger.isUncertain`), entered in the ledger. Nil when
    /// there is no such doubt, or other answers will end it.
    public mutating func resyncProbe() -> [UInt8]? {
        guard let needsSync = ledger.probeNeedsSync else { return nil }
        ledger.enterProbe()
        var writer = MessageWriter()
        if needsSync { writer.sync() }
        writer.close(portal: String(decoding: Self.absentName, as: UTF8.self))
        writer.sync()
        return writer.bytes
    }
}
