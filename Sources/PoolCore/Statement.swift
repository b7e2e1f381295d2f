import Bytes
import Synchronization

/// The definition of a prepared statement: the text of a Parse message without its name. Stored once per process, whoever prepared it.
public final class Statement: Sendable {
    /// Unique in the process, from 1; never used again for another text.
    public let id: UInt32
    /// Query text, NUL, number of parameter types (Int16), the types (Int32 each), as in a Parse message (section 55.7).
    public let definition: [UInt8]
    /// The name under which servers know it.
    public let serverName: [UInt8]
    private let retired = Atomic<Bool>(false)

    /// A server found that its result columns have changed since (0A000). Whoever prepared it before has to prepare it again, as
    /// with PostgreSQL itself; a Parse of the same text makes a new definition.
    public var isRetired: Bool { retired.load(ordering: .relaxed) }

    fileprivate func retire() { retired.store(true, ordering: .relaxed) }

    init(id: UInt32, definition: [UInt8]) {
        self.id = id
        self.definition = definition
        serverName = Self.serverName(id)
    }

    /// The same definition, to be parsed without a name.
    var nameless: Statement { Statement(id: id, definition: definition, serverName: []) }

    /// Another definition under the same name on the server, which refuses it.
    func redefined(_ definition: [UInt8]) -> Statement { Statement(id: id, definition: definition, serverName: serverName) }

    private init(id: UInt32, definition: [UInt8], serverName: [UInt8]) {
        self.id = id
        self.definition = definition
        self.serverName = serverName
    }

    /// The name under which servers know the statement with this id.
    public static func serverName(_ id: UInt32) -> [UInt8] { Array("SLUICE_\(id)".utf8) }
}

/// All statement definitions of the process, each text once.
///
/// Clients and servers hold references; a definition that only the table still holds is dropped by the next sweep, which comes when
/// the table has doubled, so that adding costs constant time.
public final class StatementTable: Sendable {
    private struct Content {
        var buckets: [UInt64: [Statement]] = [:]
        var count = 0
        var lastID: UInt32 = 0
        var sweepAt = 1024
    }

    private let content = Mutex(Content())

    public init() {}

    /// How many definitions are stored.
    public var count: Int { content.withLock { $0.count } }

    /// The definition with just these bytes, new or shared.
    public func intern(_ definition: Span<UInt8>) -> Statement {
        let hash = BytesHash.of(definition)
        let candidates = content.withLock { $0.buckets[hash] }
        if let known = candidates?.first(where: { $0.definition.hasSameBytes(as: definition) }) { return known }
        let bytes = Array(copying: definition)
        return content.withLock { content in
            if let known = content.buckets[hash]?.first(where: { $0.definition == bytes }) { return known }
            if content.count >= content.sweepAt { Self.sweep(&content) }
            content.lastID += 1
            let statement = Statement(id: content.lastID, definition: bytes)
            content.buckets[hash, default: []].append(statement)
            content.count += 1
            return statement
        }
    }

    /// Takes a definition out of circulation: see `Statement.isRetired`.
    public func retire(_ id: UInt32) {
        content.withLock { content in
            for (hash, candidates) in content.buckets {
                guard let index = candidates.firstIndex(where: { $0.id == id }) else { continue }
                candidates[index].retire()
                content.buckets[hash]?.remove(at: index)
                content.count -= 1
                return
            }
        }
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
