import PostgresWire

/// The replies that a server connection still owes, in the order in which they must come.
///
/// This is what keeps one client's answer from reaching another. Whatever is sent to a server is entered here first; whatever comes
/// from it is checked against the head. A frame that nobody is owed is a violation, and the connection is closed instead of being
/// forwarded to whoever happens to be linked. A server may change hands only while `isSettled`.
///
/// It follows the message flow of the PostgreSQL documentation ("Frontend/Backend Protocol", sections 55.2.2 to 55.2.6): simple
/// queries end in ReadyForQuery; an error in the extended protocol makes the server skip everything up to the next Sync; while a COPY
/// reads from the client, Sync and Flush are ignored. How the ledger follows a COPY stands in ReplyLedger+Copy.swift.
///
/// Each event costs constant time on average, however much is outstanding.
public struct ReplyLedger: Sendable {
    /// What was sent. Every kind is owed one closing reply.
    public enum Request: UInt8, Sendable {
        case query, functionCall, sync, parse, bind, describe, execute, close
        /// A Close and a Sync of the pooler's own behind a COPY that failed: their answers end the doubt (`isUncertain`).
        case probe
    }

    /// What is to become of the reply.
    public enum Disposition: UInt8, Sendable {
        /// It belongs to the linked client.
        case forward
        /// It answers something that the pooler sent of its own accord.
        case swallow
        /// The server was not asked: the pooler gives the reply itself when its turn comes.
        case invented
    }

    /// One entry. `note` names what has to be undone or committed with it; 0 means nothing.
    @frozen public struct Owed: Sendable, Equatable {
        public let request: Request
        public internal(set) var disposition: Disposition
        public let note: UInt64
    }

    /// What to do with a frame that came from the server.
    public enum Verdict: Sendable, Equatable {
        case forward
        case swallow
        /// As forward or swallow, and an entry was settled: `settled` tells which.
        case settled(Owed)
        /// An error in the extended protocol: entries up to the next Sync will never be answered; take them with `takeSkipped`.
        case failed(Owed)
        /// ReadyForQuery for this entry.
        case ready(Owed)
        /// ReadyForQuery that may be the client's, or the answer to a Sync of the pooler's own: it is counted until `resolved` tells.
        case counted
        /// The doubt after a COPY is over: the client is owed so many ReadyForQuery.
        case resolved(readies: Int)
        /// Nobody is owed this: the connection can't be trusted any more.
        case violation
    }

    /// How far a COPY from the client has come, as far as the server has told.
    public enum Copy: UInt8, Sendable {
        case none
        /// CopyInResponse has come, and neither CopyDone nor CopyFail was sent.
        case receiving
        /// Its end was sent: the server will say how it went.
        case ended
    }

    // Usable from inlined code: whoever asks one question about the ledger must not pay for a copy of it.
    @usableFromInline var owed = ReplyQueue()
    private var skipped: [Owed] = []
    /// Syncs that are not entries any more, for `takeLifted`.
    var lifted: [Owed] = []
    /// How many entries the server itself has to answer, how many of these with a ReadyForQuery, and how many of those are simple
    /// queries of the client: counted in one number, with 21 bits for each.
    @usableFromInline var due: UInt64 = 0
    private static let asked: UInt64 = 1
    private static let ready: UInt64 = 1 << 21
    private static let query: UInt64 = 1 << 42

    /// What an entry counts for in `due`.
    @inline(__always)
    private static func weight(_ request: Request, _ disposition: Disposition) -> UInt64 {
        switch request {
        case .query: disposition == .forward ? asked | ready | query : asked | ready
        case .sync, .functionCall, .probe: asked | ready
        case .parse, .bind, .describe, .execute, .close: asked
        }
    }

    /// After an error the server skips all messages up to a Sync that has not been sent yet.
    public internal(set) var isSkipping = false { didSet { updateRegularity() } }
    /// A COPY reads from the client.
    public internal(set) var copy = Copy.none { didSet { updateRegularity() } }
    /// Extended-protocol messages were sent after the last Sync: no ReadyForQuery will come until one is sent.
    public internal(set) var isUnsynced = false
    /// An extended-protocol message before it may still fail, and make the server skip what is entered next.
    public internal(set) var mayBeSkipped = false

    /// Syncs that were sent behind the Execute or Query at the head, ahead of the end of its COPY. A COPY ignores those that it reads; if it
    /// fails before that, each of them is answered.
    var syncsInCopy = 0 { didSet { updateRegularity() } }
    /// Such Syncs of a simple query's COPY that failed: at most so many ReadyForQuery come before the head's first answer.
    var looseReadies = 0 { didSet { updateRegularity() } }
    var doubt: Doubt? { didSet { updateRegularity() } }
    /// Messages have the meaning that they have outside a COPY, for certain, and none is skipped.
    private(set) var isRegular = true

    /// It can't be told yet how many ReadyForQuery are due. Nothing but a `resyncProbe` may be sent meanwhile.
    public private(set) var isUncertain = false

    private mutating func updateRegularity() {
        isUncertain = doubt != nil || looseReadies > 0 || (syncsInCopy > 0 && copy == .none)
        isRegular = !isUncertain && !isSkipping && copy == .none && syncsInCopy == 0
    }

    /// A COPY has failed, and it is not known which Syncs it had read.
    struct Doubt: Sendable {
        /// The server skips messages up to a Sync, and none that is certain to be read outside the COPY has been sent.
        let needsSync: Bool
        /// `resyncProbe` has been entered, and its Close answered.
        var isProbed = false
        var isAnswered = false
        /// ReadyForQuery that have come since.
        var readies = 0
    }

    public init() {}

    /// Nothing may come any more.
    @inlinable public var isEmpty: Bool { owed.isEmpty && !isUncertain }
    @inlinable public var count: Int { owed.count }
    @inlinable public var head: Owed? { owed.first }

    /// Nothing is owed and nothing is half done: the server may be given to somebody else (when it is also outside a transaction).
    @inlinable @inline(__always)
    public var isSettled: Bool { owed.isEmpty && !isSkipping && copy == .none && !isUnsynced && !isUncertain }

    /// Something that the server itself has to answer is outstanding.
    @inlinable public var isRunning: Bool { due > 0 }
    /// A ReadyForQuery of the server is due, so that the transaction's state is not known.
    @inline(__always) var awaitsReady: Bool { due >= Self.ready }
    /// A simple query of the client is not answered. It may turn out to be a COPY, which reads what was sent behind it.
    var awaitsQuery: Bool { due >= Self.query }

    // MARK: What is sent

    /// Enters a message that is about to be sent (or invented). While `isSkipping` only Sync may be entered: the server throws the
    /// rest away, so the caller drops it. Messages inside a COPY go to `enterInCopy`.
    public mutating func owe(_ request: Request, _ disposition: Disposition, note: UInt64 = 0) {
        enter(request, disposition, note: note)
    }

    /// The same, for where the compiler knows what is entered.
    @inline(__always)
    mutating func enter(_ request: Request, _ disposition: Disposition, note: UInt64 = 0) {
        assert(!isSkipping || request == .sync)
        assert(copy != .receiving)
        if disposition != .invented {
            due &+= Self.weight(request, disposition)
            switch request {
            case .sync:
                if isSkipping { isSkipping = false }
                isUnsynced = false
                mayBeSkipped = false
            case .query, .functionCall, .probe:
                isUnsynced = false
            case .parse, .bind, .describe, .execute, .close:
                isUnsynced = true
                mayBeSkipped = true
            }
        }
        owed.append(Owed(request: request, disposition: disposition, note: note))
    }

    /// The next entry if it is one that the pooler answers itself; the entry is settled by taking it.
    public mutating func takeInvented() -> Owed? {
        guard let first = owed.first, first.disposition == .invented else { return nil }
        owed.dropFirst()
        return first
    }

    /// The answer to the Sync at the head is not the client's any more. False: there stands something else.
    mutating func swallowSync() -> Bool {
        guard let first = owed.first, first.request == .sync, first.disposition == .forward else { return false }
        owed[0].disposition = .swallow
        return true
    }

    /// Entries that an error has made void, oldest first.
    public mutating func takeSkipped() -> [Owed] {
        defer { skipped = [] }
        return skipped
    }

    /// Syncs of which nothing depends on the answer any more.
    mutating func takeLifted() -> [Owed] {
        defer { lifted = [] }
        return lifted
    }

    /// The client left: from here on nothing is forwarded to anybody, and nothing is invented. Returns what would have been.
    mutating func abandon() -> [Owed] {
        var invented: [Owed] = []
        for entry in owed where entry.disposition == .invented { invented.append(entry) }
        owed.removeAll { $0.disposition == .invented }
        for index in owed.indices { owed[index].disposition = .swallow }
        due &= Self.query - 1
        return invented
    }

    // MARK: What comes back

    /// Judges a frame by its type. Asynchronous messages (notice, parameter status, notification) are not judged here.
    @inline(__always)
    public mutating func receive(_ type: UInt8) -> Verdict {
        guard let first = owed.first else { return type == Backend.readyForQuery ? readyInDoubt() : .violation }
        switch type {
        case Backend.dataRow, Backend.copyData, Backend.copyDone, Backend.copyOutResponse:
            guard first.request == .query || first.request == .execute else { return .violation }
            if looseReadies > 0 { looseReadies = 0 }
            return first.disposition == .forward ? .forward : .swallow
        case Backend.readyForQuery:
            return ready(first)
        default:
            return settle(type, first)
        }
    }

    private mutating func ready(_ first: Owed) -> Verdict {
        // A query's first answer is another one: this can only be for a Sync before it.
        if looseReadies > 0 { return readyInDoubt() }
        switch first.request {
        case .sync:
            pop()
            return .ready(first)
        case .query, .functionCall:
            pop()
            if owed.isEmpty { mayBeSkipped = false }
            if copy != .none { copy = .none }
            if syncsInCopy > 0 { doubtSyncsOfQuery() }
            return .ready(first)
        case .probe:
            return readyOfProbe()
        default:
            return .violation
        }
    }

    private mutating func settle(_ type: UInt8, _ first: Owed) -> Verdict {
        let pass: Verdict = first.disposition == .forward ? .forward : .swallow
        // It comes after all that was in doubt.
        if looseReadies > 0 { looseReadies = 0 }
        switch type {
        case Backend.parseComplete:
            return closing(first, .parse)
        case Backend.bindComplete:
            return closing(first, .bind)
        case Backend.closeComplete:
            return first.request == .probe ? answeredProbe() : closing(first, .close)
        case Backend.parameterDescription:
            return first.request == .describe ? pass : .violation
        case Backend.rowDescription:
            return first.request == .query ? pass : closing(first, .describe)
        case Backend.noData:
            return closing(first, .describe)
        case Backend.commandComplete, Backend.emptyQueryResponse, Backend.portalSuspended:
            // A COPY that ends well has read the Syncs inside it.
            if copy != .none { endCopy() }
            if first.request == .query { return pass }
            guard first.request == .execute else { return .violation }
            pop()
            return .settled(first)
        case Backend.copyInResponse, Backend.copyBothResponse:
            guard first.request == .query || first.request == .execute, copy != .receiving, beginCopy(first) else { return .violation }
            return pass
        case Backend.functionCallResponse:
            return first.request == .functionCall ? pass : .violation
        case Backend.errorResponse:
            return fail(first)
        default:
            return .violation
        }
    }

    private mutating func closing(_ first: Owed, _ request: Request) -> Verdict {
        guard first.request == request else { return .violation }
        pop()
        return .settled(first)
    }

    private mutating func fail(_ first: Owed) -> Verdict {
        switch first.request {
        case .query, .functionCall, .sync:
            // ReadyForQuery follows by itself; the rest of a COPY is thrown away by the server.
            copy = .none
            return first.disposition == .forward ? .forward : .swallow
        case .probe:
            // It closes a portal that is not there, which never fails.
            return .violation
        case .parse, .bind, .describe, .execute, .close:
            break
        }
        while let entry = owed.first, entry.request != .sync {
            pop()
            skipped.append(entry)
        }
        copy = .none
        if syncsInCopy > 0 {
            doubtSyncsOfExecute()
        } else {
            isSkipping = owed.isEmpty
            if isSkipping { isUnsynced = true }
        }
        return .failed(first)
    }

    /// The head, the client's, has got its last answer, in the ordinary way: no COPY, no error, nothing in doubt.
    @inline(__always)
    mutating func settle(head: Owed) {
        due &-= Self.weight(head.request, .forward)
        owed.dropFirst()
        if head.request == .query, owed.isEmpty { mayBeSkipped = false }
    }

    /// Takes out the head.
    mutating func pop() {
        let first = owed.removeFirst()
        if first.disposition != .invented { uncount(first) }
    }

    mutating func uncount(_ entry: Owed) { due &-= Self.weight(entry.request, entry.disposition) }
}
