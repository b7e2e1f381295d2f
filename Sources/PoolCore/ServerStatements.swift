/// Which pooled statements one server connection holds, and which to give up when there are too many: the least recently used.
public struct ServerStatements: Sendable {
    private struct Use: Hashed {
        let id: UInt64
        var time: UInt64
        var hash: UInt64 { ServerStatements.hash(id) }
    }

    private var uses = HashedTable<Use>()
    private var clock: UInt64 = 0
    /// The statement that the server's unnamed slot holds, if the pooler knows it.
    public var unnamed: Statement?
    /// A statement was made with SQL PREPARE, of which the pooler knows no more than that.
    public var hasForeign = false

    public init() {}

    public var count: Int { uses.count }
    public var ids: [UInt64] { uses.all.map(\.id) }

    /// Ids are the pooler's own numbers: neighbours have to be spread, nobody has to be kept out.
    @inline(__always)
    private static func hash(_ id: UInt64) -> UInt64 {
        let product = id.multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
        return product.high ^ product.low
    }

    @inline(__always)
    private func index(of id: UInt64) -> Int? { uses.index(of: Self.hash(id)) { $0.id == id } }

    /// Whether the server has the statement; counts as a use.
    @inline(__always)
    public mutating func use(_ statement: Statement) -> Bool {
        clock += 1
        guard let index = index(of: statement.id) else { return false }
        uses[index].time = clock
        return true
    }

    public func contains(_ id: UInt64) -> Bool { index(of: id) != nil }

    /// Enters a statement that is being parsed on the server. Returns what has to be closed there to stay within `limit`.
    public mutating func insert(_ statement: Statement, limit: Int) -> [UInt64] {
        clock += 1
        set(statement.id, clock)
        guard uses.count > max(limit, 1) else { return [] }
        // One, unless the limit has been lowered.
        var surplus: [UInt64] = []
        while uses.count > max(limit, 1), let oldest = uses.indices.min(by: { uses[$0].time < uses[$1].time }) {
            surplus.append(uses.remove(at: oldest).id)
        }
        return surplus
    }

    private mutating func set(_ id: UInt64, _ time: UInt64) {
        if let index = index(of: id) { uses[index].time = time } else { uses.insert(Use(id: id, time: time)) }
    }

    /// The server does not have it (any more). Returns whether it had.
    @discardableResult
    public mutating func remove(_ id: UInt64) -> Bool {
        guard let index = index(of: id) else { return false }
        uses.remove(at: index)
        return true
    }

    /// The server's plan is stale: the first one to be given up.
    mutating func demote(_ id: UInt64) {
        if contains(id) { set(id, 0) }
    }

    /// Puts back a statement whose Close was refused or skipped.
    public mutating func restore(_ id: UInt64) {
        if !contains(id) { set(id, 0) }
    }

    /// DEALLOCATE ALL or DISCARD ALL ran on the server.
    public mutating func removeAll() {
        uses.removeAll()
        unnamed = nil
        hasForeign = false
    }
}
