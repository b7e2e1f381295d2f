import PostgresWire

/// The replies that a server connection still owes, in the order in which they must come.
///
/// This is what keeps one client's answer from reaching another. Whatever is sent to a server is entered here first; whatever comes
/// from it is checked against the head. A frame that nobody is owed is a violation, and the connection is closed instead of being
/// forwarded to whoever happens to be linked. A server may change hands only while `isSettled`.
///
/// It follows the message flow of the PostgreSQL documentation ("Frontend/Backend Protocol", sections 55.2.2 to 55.2.6): simple
/// queries end in ReadyForQuery; an error in the extended protocol makes the server skip everything up to the next Sync; while a COPY
/// reads from the client, Sync and Flush are ignored.
public struct ReplyLedger: Sendable {
    /// What was sent. Every kind but the two COPY marks is owed one closing reply.
    public enum Request: UInt8, Sendable {
        case query, functionCall, sync, parse, bind, describe, execute, close
        /// CopyDone and CopyFail are owed nothing themselves; they mark how far an ended COPY reads.
        case copyEnd
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
        /// Nobody is owed this: the connection can't be trusted any more.
        case violation
    }

    // Usable from inlined code: whoever asks one question about the ledger must not pay for a copy of it.
    @usableFromInline var owed = ReplyQueue()
    private var skipped: [Owed] = []
    /// Syncs that went out behind a COPY that failed: it has ignored them if it came to reading them, else each is answered. Their
    /// answers come before those to anything that is sent later.
    @usableFromInline var doubtful: [Owed] = []
    /// The same, behind the ReadyForQuery of the simple query at the head.
    @usableFromInline var doubtfulAfterHead: [Owed] = []
    /// Syncs that will never be answered, for `takeDropped`.
    private var dropped: [Owed] = []

    /// After an error the server skips all messages up to a Sync that has not been sent yet.
    public internal(set) var isSkipping = false
    /// The server reads COPY data from the client.
    public internal(set) var isCopyingIn = false
    /// Extended-protocol messages were sent after the last Sync: no ReadyForQuery will come until one is sent.
    public internal(set) var isUnsynced = false

    /// An extended-protocol message before it may still fail, and make the server skip what is entered next.
    public internal(set) var mayBeSkipped = false

    public init() {}

    /// It can't be told yet how many ReadyForQuery are due. The next answer that is none tells.
    @inlinable public var isUncertain: Bool { !doubtful.isEmpty || !doubtfulAfterHead.isEmpty }
    /// Nothing may come any more.
    @inlinable public var isEmpty: Bool { owed.isEmpty && doubtful.isEmpty }
    @inlinable public var count: Int { owed.count }
    @inlinable public var head: Owed? { owed.first }

    /// Nothing is owed and nothing is half done: the server may be given to somebody else (when it is also outside a transaction).
    @inlinable public var isSettled: Bool { owed.isEmpty && !isSkipping && !isCopyingIn && !isUnsynced && !isUncertain }

    /// Something that the server itself has to answer is outstanding.
    @inlinable public var isRunning: Bool { owed.contains { $0.disposition != .invented && $0.request != .copyEnd } }

    /// A ReadyForQuery of the server is due, so that the transaction's state is not known.
    var awaitsReady: Bool {
        owed.contains { $0.disposition != .invented && ($0.request == .sync || $0.request == .query || $0.request == .functionCall) }
    }

    // MARK: What is sent

    /// Enters a message that is about to be sent (or invented). While `isSkipping` only Sync may be entered: the server throws the
    /// rest away, so the caller drops it.
    public mutating func owe(_ request: Request, _ disposition: Disposition, note: UInt64 = 0) {
        enter(request, disposition, note: note)
    }

    /// The same, for where the compiler knows what is entered.
    @inline(__always)
    mutating func enter(_ request: Request, _ disposition: Disposition, note: UInt64 = 0) {
        assert(!isSkipping || request == .sync)
        switch request {
        case .sync:
            isSkipping = false
            isUnsynced = false
            mayBeSkipped = false
        case .query, .functionCall:
            // What the pooler answers itself leaves the server's batch as it is.
            if disposition != .invented { isUnsynced = false }
        case .copyEnd:
            if owed.isEmpty { return }
        default:
            if disposition != .invented {
                isUnsynced = true
                mayBeSkipped = true
            }
        }
        owed.append(Owed(request: request, disposition: disposition, note: note))
    }

    /// The next entry if it is one that the pooler answers itself; the entry is settled by taking it.
    public mutating func takeInvented() -> Owed? {
        guard let first = owed.first, first.disposition == .invented else { return nil }
        owed.removeFirst()
        dropCopyMarks()
        return first
    }

    /// Entries that an error has made void, oldest first.
    public mutating func takeSkipped() -> [Owed] {
        defer { skipped = [] }
        return skipped
    }

    /// The Syncs behind the COPY at the head, which it will ignore.
    var syncsBehindCopy: [Owed] {
        var syncs: [Owed] = []
        for entry in owed.dropFirst() {
            guard entry.request == .sync else { break }
            syncs.append(entry)
        }
        return syncs
    }

    /// Syncs that a COPY has ignored.
    mutating func takeDropped() -> [Owed] {
        defer { dropped = [] }
        return dropped
    }

    @inline(__always) var hasDropped: Bool { !dropped.isEmpty }

    /// The client left: from here on nothing is forwarded to anybody, and nothing is invented. Returns what would have been.
    mutating func abandon() -> [Owed] {
        var invented: [Owed] = []
        for entry in owed where entry.disposition == .invented { invented.append(entry) }
        owed.removeAll { $0.disposition == .invented }
        for index in owed.indices { owed[index].disposition = .swallow }
        for index in doubtful.indices { doubtful[index].disposition = .swallow }
        for index in doubtfulAfterHead.indices { doubtfulAfterHead[index].disposition = .swallow }
        dropCopyMarks()
        return invented
    }

    // MARK: What comes back

    /// Judges a frame by its type. Asynchronous messages (notice, parameter status, notification) are not judged here.
    @inline(__always)
    public mutating func receive(_ type: UInt8) -> Verdict {
        guard let first = owed.first else { return type == Backend.readyForQuery ? readyInDoubt() : .violation }
        switch type {
        case Backend.dataRow, Backend.copyData, Backend.copyDone, Backend.copyOutResponse, Backend.parameterDescription:
            return first.disposition == .forward ? .forward : .swallow
        case Backend.readyForQuery:
            return ready(first)
        default:
            return settle(type, first)
        }
    }

    private mutating func ready(_ first: Owed) -> Verdict {
        switch first.request {
        case .sync:
            pop()
            return .ready(first)
        case .query, .functionCall:
            // A query's first answer is another one: this can only be for a Sync before it.
            if !doubtful.isEmpty { return readyInDoubt() }
            isCopyingIn = false
            pop()
            if owed.isEmpty { mayBeSkipped = false }
            swap(&doubtful, &doubtfulAfterHead)
            return .ready(first)
        default:
            return readyInDoubt()
        }
    }

    /// The answer to a Sync that the COPY has not read.
    private mutating func readyInDoubt() -> Verdict {
        guard !doubtful.isEmpty else { return .violation }
        let sync = doubtful.removeFirst()
        if owed.isEmpty {
            isSkipping = false
            isUnsynced = false
        }
        return .ready(sync)
    }

    private mutating func settle(_ type: UInt8, _ first: Owed) -> Verdict {
        let pass: Verdict = first.disposition == .forward ? .forward : .swallow
        // It comes after all that was in doubt, unless it is what a Sync itself brings.
        if !doubtful.isEmpty, first.request != .sync {
            dropped += doubtful
            doubtful = []
        }
        switch type {
        case Backend.parseComplete:
            return closing(first, .parse)
        case Backend.bindComplete:
            return closing(first, .bind)
        case Backend.closeComplete:
            return closing(first, .close)
        case Backend.rowDescription:
            return first.request == .query ? pass : closing(first, .describe)
        case Backend.noData:
            return closing(first, .describe)
        case Backend.commandComplete, Backend.emptyQueryResponse, Backend.portalSuspended:
            if first.request == .query {
                if isCopyingIn { dropped += dropSyncs(after: 1) }
                isCopyingIn = false
                return pass
            }
            guard first.request == .execute else { return .violation }
            if isCopyingIn {
                isCopyingIn = false
                owed.removeFirst()
                dropped += dropSyncs(after: 0)
                dropCopyMarks()
                if !owed.contains(where: { $0.request == .sync || $0.request == .query }) { isUnsynced = true }
            } else {
                pop()
            }
            return .settled(first)
        case Backend.copyInResponse, Backend.copyBothResponse:
            guard first.request == .query || first.request == .execute else { return .violation }
            isCopyingIn = true
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
            if isCopyingIn { doubtfulAfterHead = dropSyncs(after: 1) }
            isCopyingIn = false
            return first.disposition == .forward ? .forward : .swallow
        default:
            break
        }
        if isCopyingIn {
            // Syncs sent ahead of the data were ignored by the COPY, unless the error came before the server had read them.
            isCopyingIn = false
            while let entry = owed.first {
                owed.removeFirst()
                if entry.request == .copyEnd { break }
                if entry.request == .sync { doubtful.append(entry) } else { skipped.append(entry) }
            }
        }
        while let entry = owed.first, entry.request != .sync {
            owed.removeFirst()
            skipped.append(entry)
        }
        isSkipping = owed.isEmpty
        if isSkipping { isUnsynced = true }
        return .failed(first)
    }

    /// The head has got its last answer, in the ordinary way: no COPY, no error, nothing in doubt.
    @inline(__always)
    mutating func settle(head: Owed) {
        owed.dropFirst()
        if let next = owed.first {
            if next.request != .copyEnd { return }
            dropCopyMarks()
        }
        if head.request == .query, owed.isEmpty { mayBeSkipped = false }
    }

    private mutating func pop() {
        owed.removeFirst()
        dropCopyMarks()
    }

    private mutating func dropCopyMarks() {
        while let entry = owed.first, entry.request == .copyEnd { owed.removeFirst() }
    }

    /// Takes out the Syncs that a COPY ignores if it reads them, and its end.
    private mutating func dropSyncs(after first: Int) -> [Owed] {
        var syncs: [Owed] = []
        while first < owed.count, owed[first].request == .sync { syncs.append(owed.remove(at: first)) }
        if first < owed.count, owed[first].request == .copyEnd { owed.remove(at: first) }
        return syncs
    }
}
