import Bytes
import Locking
import PostgresWire
import Synchronization

/// The definition of a prepared statement: the text of a Parse message without its name. Stored once for each database, whoever prepared it.
public final class Statement: Sendable {
    /// Unique in the process, from 1; never used again for another text.
    public let id: UInt64
    /// Query text, NUL, number of parameter types (Int16), the types (Int32 each), as in a Parse message (section 55.7).
    public let definition: [UInt8]
    /// The name under which servers know it.
    public let serverName: [UInt8]
    private let retired = Atomic<Bool>(false)

    /// A server found that its result columns have changed since (0A000). Every client that prepared it before is told so once, as
    /// with PostgreSQL itself, and uses a new definition of the same text from then on, which servers parse afresh.
    public var isRetired: Bool { retired.load(ordering: .relaxed) }

    fileprivate func retire() { retired.store(true, ordering: .relaxed) }

    /// The table's epoch when it was first prepared.
    let epoch: UInt32

    /// The text may be a DEALLOCATE, of which the meaning depends on the client's names.
    let mayDeallocate: Bool

    init(id: UInt64, definition: [UInt8], epoch: UInt32, serverName: [UInt8]? = nil) {
        self.id = id
        self.definition = definition
        self.epoch = epoch
        mayDeallocate = DeallocateStatement.mayStart(definition.span, 0..<definition.count)
        self.serverName = serverName ?? Self.serverName(id)
    }

    /// The same definition, to be parsed without a name.
    var nameless: Statement { Statement(id: id, definition: definition, epoch: epoch, serverName: []) }

    /// Another definition under the same name on the server, which refuses it.
    func redefined(_ definition: [UInt8]) -> Statement {
        Statement(id: id, definition: definition, epoch: epoch, serverName: serverName)
    }

    /// The name under which servers know the statement with this id.
    public static func serverName(_ id: UInt64) -> [UInt8] { Array("SLUICE_\(id)".utf8) }
}

/// All statement definitions of a database, each text once (in an epoch).
///
/// Clients and servers hold references; a definition that only the table still holds is dropped by the next sweep, which comes when
/// the table has doubled, so that adding costs constant time.
public final class StatementTable: Sendable {
    private struct Content {
        var buckets: [UInt64: [Statement]] = [:]
        var count = 0
        var lastID: UInt64 = 0
        var sweepAt = 1024
    }

    private let content = Locked(Content())
    private let currentEpoch = Atomic<UInt32>(0)

    public init() {}

    /// Goes up when a server has changed something that statements may depend on. What is prepared after that is parsed afresh.
    var epoch: UInt32 { currentEpoch.load(ordering: .relaxed) }

    func beginEpoch() { currentEpoch.add(1, ordering: .relaxed) }

    /// How many definitions are stored.
    public var count: Int { content.withLock { $0.count } }

    /// The definition with just these bytes, new or shared with everybody who has prepared it in this epoch.
    public func intern(_ definition: Span<UInt8>) -> Statement {
        let hash = BytesHash.of(definition)
        let epoch = epoch
        let candidates = content.withLock { $0.buckets[hash] }
        if let known = candidates?.first(where: { $0.epoch == epoch && $0.definition.hasSameBytes(as: definition) }) { return known }
        let bytes = Array(copying: definition)
        return content.withLock { content in
            if let known = content.buckets[hash]?.first(where: { $0.epoch == epoch && $0.definition == bytes }) { return known }
            if content.count >= content.sweepAt { Self.sweep(&content) }
            content.lastID += 1
            let statement = Statement(id: content.lastID, definition: bytes, epoch: epoch)
            content.buckets[hash, default: []].append(statement)
            content.count += 1
            return statement
        }
    }

    /// Takes a definition out of circulation (see `Statement.isRetired`) and returns the one that replaces it.
    public func renewed(_ statement: Statement) -> Statement {
        let definition = statement.definition
        let hash = BytesHash.of(definition.span)
        content.withLock { content in
            guard let index = content.buckets[hash]?.firstIndex(where: { $0 === statement }) else { return }
            statement.retire()
            content.buckets[hash]?.remove(at: index)
            content.count -= 1
        }
        return intern(definition.span)
    }

    private static func sweep(_ content: inout Content) {
        for hash in Array(content.buckets.keys) {
            var kept: [Statement] = []
            var candidates = content.buckets.removeValue(forKey: hash) ?? []
            while var statement = candidates.popLast() {
                if !isKnownUniquelyReferenced(&statement) { kept.append(statement) }
            }
            if !kept.isEmpty { content.buckets[hash] = kept }
        }
        content.count = content.buckets.values.reduce(0) { $0 + $1.count }
        content.sweepAt = max(1024, content.count * 2)
    }
}
