import Bytes

/// The prepared statements that one client believes to have: its own names, and the unnamed one.
///
/// Changes are made when a message is sent, so that a pipeline can use what it has just parsed, and taken back when the server
/// refuses or skips the message.
public struct ClientStatements: Sendable {
    private struct Entry {
        let name: [UInt8]
        let statement: Statement
    }

    private var named: [UInt64: Entry] = [:]
    /// Names whose 64-bit hash another name of this client has already.
    private var collisions: [(hash: UInt64, entry: Entry)] = []
    /// The unnamed statement: lives until the next unnamed Parse or simple Query, across any number of Syncs and servers.
    public var unnamed: Statement? {
        didSet { unnamedVersion &+= 1 }
    }
    /// Changes with every change of `unnamed`, so that what is taken back is not what came later.
    private(set) var unnamedVersion: UInt32 = 0

    public init() {}

    public var isEmpty: Bool { named.isEmpty && unnamed == nil }
    public var count: Int { named.count + collisions.count }

    /// The statement behind a name; nil when the client has none such.
    public subscript(name: Span<UInt8>) -> Statement? {
        named.isEmpty ? nil : find(name, hash: BytesHash.of(name))
    }

    public subscript(name: [UInt8]) -> Statement? { self[name.span] }

    func find(_ name: Span<UInt8>, hash: UInt64) -> Statement? {
        guard let entry = named[hash] else { return nil }
        if entry.name.hasSameBytes(as: name) { return entry.statement }
        return collisions.first { $0.entry.name.hasSameBytes(as: name) }?.entry.statement
    }

    /// Gives a name a meaning, or takes it away with nil. Returns what it meant before.
    @discardableResult
    public mutating func set(_ name: [UInt8], to statement: Statement?) -> Statement? {
        set(name, hash: BytesHash.of(name.span), to: statement)
    }

    @discardableResult
    mutating func set(_ name: [UInt8], hash: UInt64, to statement: Statement?) -> Statement? {
        let entry = statement.map { Entry(name: name, statement: $0) }
        guard let present = named[hash] else {
            named[hash] = entry
            return nil
        }
        if present.name == name {
            named[hash] = entry ?? popCollision(of: hash)
            return present.statement
        }
        guard let index = collisions.firstIndex(where: { $0.entry.name == name }) else {
            if let entry { collisions.append((hash, entry)) }
            return nil
        }
        let previous = collisions.remove(at: index).entry.statement
        if let entry { collisions.append((hash, entry)) }
        return previous
    }

    private mutating func popCollision(of hash: UInt64) -> Entry? {
        guard let index = collisions.firstIndex(where: { $0.hash == hash }) else { return nil }
        return collisions.remove(at: index).entry
    }

    /// Every name and what it means, in no order.
    var all: [(name: [UInt8], statement: Statement)] { (named.values + collisions.map(\.entry)).map { ($0.name, $0.statement) } }

    /// The definition with this id, if the client uses it.
    func statement(withID id: UInt64) -> Statement? {
        if let unnamed, unnamed.id == id { return unnamed }
        return named.values.first { $0.statement.id == id }?.statement ?? collisions.first { $0.entry.statement.id == id }?.entry.statement
    }

    /// The definition with this id has become stale, and the client has been told: each of its names gets a fresh one.
    mutating func renew(_ id: UInt64, in table: StatementTable) {
        for (hash, entry) in named where entry.statement.id == id {
            named[hash] = Entry(name: entry.name, statement: table.renewed(entry.statement))
        }
        for index in collisions.indices where collisions[index].entry.statement.id == id {
            let entry = collisions[index].entry
            collisions[index].entry = Entry(name: entry.name, statement: table.renewed(entry.statement))
        }
        if let statement = unnamed, statement.id == id { unnamed = table.renewed(statement) }
    }

    /// Takes the change to `version` back, unless there have been others since.
    mutating func restoreUnnamed(_ statement: Statement?, from version: UInt32) {
        guard unnamedVersion == version else { return }
        unnamed = statement
        unnamedVersion = version &- 1
    }

    /// DEALLOCATE ALL: every name is free again; the unnamed statement stays, as PostgreSQL keeps it.
    public mutating func removeAllNamed() {
        named = [:]
        collisions = []
    }
}
