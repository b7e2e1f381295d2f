import Bytes
import PostgresWire

/// The prepared statements that one client believes to have: its own names, and the unnamed one.
///
/// Changes are made when a message is sent, so that a pipeline can use what it has just parsed, and taken back when the server
/// refuses or skips the message.
public struct ClientStatements: Sendable {
    private struct Entry: Hashed {
        let hash: UInt64
        let name: [UInt8]
        var statement: Statement
    }

    private var named = HashedTable<Entry>()
    /// The unnamed statement: lives until the next unnamed Parse or simple Query, across any number of Syncs and servers.
    public var unnamed: Statement? {
        didSet { unnamedVersion &+= 1 }
    }
    /// Changes with every change of `unnamed`, so that what is taken back is not what came later.
    private(set) var unnamedVersion: UInt32 = 0

    public init() {}

    /// The unnamed statement is parsed again, with the same text.
    @inline(__always)
    mutating func repeatUnnamed() { unnamedVersion &+= 1 }

    /// The unnamed statement is given up, if there is one.
    @inline(__always)
    mutating func dropUnnamed() {
        if unnamed == nil { unnamedVersion &+= 1 } else { unnamed = nil }
    }

    public var isEmpty: Bool { named.isEmpty && unnamed == nil }
    var hasNames: Bool { !named.isEmpty }
    public var count: Int { named.count }

    /// The statement behind a name; nil when the client has none such.
    public subscript(name: Span<UInt8>) -> Statement? {
        if named.isEmpty { return nil }
        if name.count <= Identifier.significantBytes { return find(name, hash: BytesHash.of(name)) }
        let key = name.extracting(..<Identifier.significantBytes)
        return find(key, hash: BytesHash.of(key))
    }

    public subscript(name: [UInt8]) -> Statement? { self[name.span] }

    func find(_ name: Span<UInt8>, hash: UInt64) -> Statement? {
        index(of: name, hash: hash).map { named[$0].statement }
    }

    /// What a name is known by.
    static func key(_ name: Span<UInt8>) -> [UInt8] {
        Array(copying: name.count > Identifier.significantBytes ? name.extracting(..<Identifier.significantBytes) : name)
    }

    /// The statement that a name in SQL stands for, and what the name is known by.
    func named(_ name: String) -> (key: [UInt8], statement: Statement)? {
        let key = Array(name.utf8.prefix(Identifier.significantBytes))
        guard let statement = self[key], !statement.isRetired else { return nil }
        return (key, statement)
    }

    @inline(__always)
    private func index(of name: Span<UInt8>, hash: UInt64) -> Int? {
        named.index(of: hash) { $0.name.hasSameBytes(as: name) }
    }

    /// Gives a name a meaning, or takes it away with nil. Returns what it meant before.
    @discardableResult
    public mutating func set(_ name: [UInt8], to statement: Statement?) -> Statement? {
        set(name, hash: BytesHash.of(name.span), to: statement)
    }

    @discardableResult
    mutating func set(_ name: [UInt8], hash: UInt64, to statement: Statement?) -> Statement? {
        guard let index = index(of: name.span, hash: hash) else {
            if let statement { named.insert(Entry(hash: hash, name: name, statement: statement)) }
            return nil
        }
        guard let statement else { return named.remove(at: index).statement }
        let previous = named[index].statement
        named[index].statement = statement
        return previous
    }

    /// Every name and what it means, in no order.
    var all: [(name: [UInt8], statement: Statement)] { named.all.map { ($0.name, $0.statement) } }

    /// The definition with this id, if the client uses it.
    func statement(withID id: UInt64) -> Statement? {
        if let unnamed, unnamed.id == id { return unnamed }
        return named.all.first { $0.statement.id == id }?.statement
    }

    /// The client's name with this tag for the definition with this id.
    func name(ofID id: UInt64, tag: UInt64) -> [UInt8]? {
        named.index(near: tag) { $0.statement.id == id && Self.tag($0.hash) == tag }.map { named[$0].name }
    }

    /// As much of a name's hash as a note of the ledger has room for. A client has fewer names (`ServerSession.mostNames`) than tags there
    /// are, so that a tag tells where in the table its name is.
    static let tagBits: UInt64 = 22
    static func tag(_ hash: UInt64) -> UInt64 { hash & (1 << tagBits - 1) }

    /// The statement behind a name of at most 63 bytes, and the name's tag.
    @inline(__always)
    func tagged(_ name: Span<UInt8>) -> (statement: Statement, tag: UInt64)? {
        guard !named.isEmpty, name.count <= Identifier.significantBytes else { return nil }
        let hash = BytesHash.of(name)
        return find(name, hash: hash).map { ($0, Self.tag(hash)) }
    }

    /// The definition with this id has become stale, and the client has been told: each of its names gets a fresh one.
    mutating func renew(_ id: UInt64, in table: StatementTable) {
        for index in Array(named.indices) where named[index].statement.id == id {
            named[index].statement = table.renewed(named[index].statement)
        }
        if let statement = unnamed, statement.id == id { unnamed = table.renewed(statement) }
    }

    /// Each name of the definition with this id gets another one.
    mutating func replace(_ id: UInt64, by fresh: Statement) {
        for index in Array(named.indices) where named[index].statement.id == id { named[index].statement = fresh }
        if let statement = unnamed, statement.id == id { unnamed = fresh }
    }

    /// Takes the change to `version` back, unless there have been others since.
    mutating func restoreUnnamed(_ statement: Statement?, from version: UInt32) {
        guard unnamedVersion == version else { return }
        unnamed = statement
        unnamedVersion = version &- 1
    }

    /// DEALLOCATE ALL: every name is free again; the unnamed statement stays, as PostgreSQL keeps it.
    public mutating func removeAllNamed() {
        named.removeAll()
    }
}
