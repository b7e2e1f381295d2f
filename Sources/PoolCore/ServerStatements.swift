/// Which pooled statements one server connection holds, and which to give up when there are too many: the least recently used.
public struct ServerStatements: Sendable {
    private var lastUse: [UInt64: UInt64] = [:]
    private var clock: UInt64 = 0
    /// The statement that the server's unnamed slot holds, if the pooler knows it.
    public var unnamed: Statement?
    /// A statement was made with SQL PREPARE, of which the pooler knows no more than that.
    public var hasForeign = false

    public init() {}

    public var count: Int { lastUse.count }
    public var ids: some Collection<UInt64> { lastUse.keys }

    /// Whether the server has the statement; counts as a use.
    @inline(__always)
    public mutating func use(_ statement: Statement) -> Bool {
        clock += 1
        guard let index = lastUse.index(forKey: statement.id) else { return false }
        lastUse.values[index] = clock
        return true
    }

    public func contains(_ id: UInt64) -> Bool { lastUse[id] != nil }

    /// Enters a statement that is being parsed on the server. Returns what has to be closed there to stay within `limit`.
    public mutating func insert(_ statement: Statement, limit: Int) -> [UInt64] {
        clock += 1
        lastUse[statement.id] = clock
        guard lastUse.count > max(limit, 1) else { return [] }
        // One, unless the limit has been lowered.
        var surplus: [UInt64] = []
        while lastUse.count > max(limit, 1), let oldest = lastUse.min(by: { $0.value < $1.value })?.key {
            lastUse[oldest] = nil
            surplus.append(oldest)
        }
        return surplus
    }

    /// The server does not have it (any more). Returns whether it had.
    @discardableResult
    public mutating func remove(_ id: UInt64) -> Bool { lastUse.removeValue(forKey: id) != nil }

    /// The server's plan is stale: the first one to be given up.
    mutating func demote(_ id: UInt64) {
        if lastUse[id] != nil { lastUse[id] = 0 }
    }

    /// Puts back a statement whose Close was refused or skipped.
    public mutating func restore(_ id: UInt64) {
        if lastUse[id] == nil { lastUse[id] = 0 }
    }

    /// DEALLOCATE ALL or DISCARD ALL ran on the server.
    public mutating func removeAll() {
        lastUse = [:]
        unnamed = nil
        hasForeign = false
    }
}
