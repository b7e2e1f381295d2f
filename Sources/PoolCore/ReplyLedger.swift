import DequeModule
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
    @usableFromInline var owed: Deque<Owed> = []
    private var skipped: [Owed] = []

    /// After an error the server skips all messages up to a Sync that has not been sent yet.
    public internal(set) var isSkipping = false
    /// The server reads COPY data from the client.
    public internal(set) var isCopyingIn = false
    /// Extended-protocol messages were sent after the last Sync: no ReadyForQuery will come until one is sent.
    public internal(set) var isUnsynced = false
    /// It can't be told how many ReadyForQuery are due (an error overtook a Sync that a COPY may have ignored): close, don't reuse.
    public internal(set) var isUncertain = false

    public init() {}

    @inlinable public var isEmpty: Bool { owed.isEmpty }
    @inlinable public var count: Int { owed.count }
    @inlinable public var head: Owed? { owed.first }

    /// Nothing is owed and nothing is half done: the server may be given to somebody else (when it is also outside a transaction).
    @inlinable public var isSettled: Bool { owed.isEmpty && !isSkipping && !isCopyingIn && !isUnsynced && !isUncertain }

    /// Something that the server itself has to answer is outstanding.
    @inlinable public var isRunning: Bool { owed.contains { $0.disposition != .invented && $0.request != .copyEnd } }

    // MARK: What is sent

    /// Enters a message that is about to be sent (or invented). While `isSkipping` only Sync may be entered: the server throws the
    /// rest away, so the caller drops it.
    public mutating func owe(_ request: Request, _ disposition: Disposition, note: UInt64 = 0) {
        assert(!isSkipping || request == .sync)
        switch request {
        case .sync:
            isSkipping = false
            isUnsynced = false
        case .query, .functionCall:
            if disposition != .invented { isUnsynced = false }
        case .copyEnd:
            if owed.isEmpty { return }
        default:
            if disposition != .invented { isUnsynced = true }
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

    /// Whether there is something to take with `takeSkipped`.
    var hasSkipped: Bool { !skipped.isEmpty }

    /// Entries that an error, or a COPY, has made void, oldest first.
    public mutating func takeSkipped() -> [Owed] {
        defer { skipped = [] }
        return skipped
    }

    /// The client left: from here on nothing is forwarded to anybody.
    public mutating func abandon() {
        for index in owed.indices {
            owed[index].disposition = owed[index].disposition == .forward ? .swallow : owed[index].disposition
        }
    }

    // MARK: What comes back

    /// Judges a frame by its type. Asynchronous messages (notice, parameter status, notification) are not judged here.
    @inline(__always)
    public mutating func receive(_ type: UInt8) -> Verdict {
        guard let first = owed.first else { return .violation }
        switch type {
        case Backend.dataRow, Backend.copyData, Backend.copyDone, Backend.functionCallResponse, Backend.copyOutResponse,
            Backend.parameterDescription:
            return first.disposition == .forward ? .forward : .swallow
        case Backend.readyForQuery:
            return ready(first)
        default:
            return settle(type, first)
        }
    }

    private mutating func ready(_ first: Owed) -> Verdict {
        switch first.request {
        case .query, .functionCall, .sync:
            isCopyingIn = false
            pop()
            return .ready(first)
        default:
            return .violation
        }
    }

    private mutating func settle(_ type: UInt8, _ first: Owed) -> Verdict {
        let pass: Verdict = first.disposition == .forward ? .forward : .swallow
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
                isCopyingIn = false
                return pass
            }
            guard first.request == .execute else { return .violation }
            owed.removeFirst()
            if isCopyingIn { dropThroughCopyEnd() }
            dropCopyMarks()
            return .settled(first)
        case Backend.copyInResponse, Backend.copyBothResponse:
            guard first.request == .query || first.request == .execute else { return .violation }
            isCopyingIn = true
            return pass
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
                if entry.request == .sync { isUncertain = true }
                skipped.append(entry)
                if entry.request == .copyEnd { break }
            }
        }
        while let entry = owed.first, entry.request != .sync {
            owed.removeFirst()
            skipped.append(entry)
        }
        isSkipping = owed.isEmpty
        isUnsynced = isSkipping
        return .failed(first)
    }

    private mutating func pop() {
        owed.removeFirst()
        dropCopyMarks()
    }

    private mutating func dropCopyMarks() {
        while let entry = owed.first, entry.request == .copyEnd { owed.removeFirst() }
    }

    /// A COPY that ended ignored every Sync sent before its CopyDone.
    private mutating func dropThroughCopyEnd() {
        isCopyingIn = false
        guard let end = owed.firstIndex(where: { $0.request == .copyEnd }) else { return }
        skipped += owed[..<end]
        owed.removeSubrange(...end)
        if !owed.contains(where: { $0.request == .sync || $0.request == .query }) { isUnsynced = true }
    }
}
