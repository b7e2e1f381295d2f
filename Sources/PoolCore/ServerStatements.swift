/// Which pooled statements one server connection holds, and which to give up when there are too many: the least recently used.
public struct ServerStatements: Sendable {
    private var lastUse: [UInt32: UInt64] = [:]
    private var clock: UInt64 = 0
    /// Statements of which a Parse or a Close is on its way, and the part of the pipeline (from Sync to Sync) that carries the last.
    private var underway: [UInt32: (batch: UInt32, count: Int)] = [:]
    /// The statement that the server's unnamed slot holds, if the pooler knows it.
    public var unnamed: Statement?
    /// A statement was made with SQL PREPARE, of which the pooler knows no more than that.
    public var hasForeign = false

    public init() {}

    public var count: Int { lastUse.count }
    public var ids: some Collection<UInt32> { lastUse.keys }

    /// Whether the server has the statement; counts as a use.
    @inline(__always)
    public mutating func use(_ statement: Statement) -> Bool {
        clock += 1
        guard let index = lastUse.index(forKey: statement.id) else { return false }
        lastUse.values[index] = clock
        return true
    }

    public func contains(_ id: UInt32) -> Bool { lastUse[id] != nil }

    /// Whether the server's having the statement depends on an earlier part of the pipeline, which an error may have cut short.
    @inline(__always)
    func isInDoubt(_ id: UInt32, in batch: UInt32) -> Bool {
        if underway.isEmpty { return false }
        return underway[id].map { $0.batch != batch } ?? false
    }

    /// A Parse or Close is sent.
    mutating func depart(_ id: UInt32, in batch: UInt32) { underway[id] = (batch, (underway[id]?.count ?? 0) + 1) }

    /// It was answered, or will never be.
    mutating func arrive(_ id: UInt32) {
        guard let (batch, count) = underway[id] else { return }
        underway[id] = count > 1 ? (batch, count - 1) : nil
    }

    /// Enters a statement that is being parsed on the server. Returns what has to be closed there to stay within `limit`.
    public mutating func insert(_ statement: Statement, limit: Int) -> [UInt32] {
        clock += 1
        lastUse[statement.id] = clock
        guard lastUse.count > max(limit, 1) else { return [] }
        let surplus = lastUse.count - max(limit, 1)
        if surplus == 1, let oldest = lastUse.min(by: { $0.value < $1.value })?.key {
            lastUse[oldest] = nil
            return [oldest]
        }
        let oldest = lastUse.sorted { $0.value < $1.value }.prefix(surplus).map(\.key)
        for id in oldest { lastUse[id] = nil }
        return oldest
    }

    /// The server does not have it (any more). Returns whether it had.
    @discardableResult
    public mutating func remove(_ id: UInt32) -> Bool { lastUse.removeValue(forKey: id) != nil }

    /// Puts back a statement whose Close was refused or skipped.
    public mutating func restore(_ id: UInt32) {
        if lastUse[id] == nil { lastUse[id] = 0 }
    }

    /// DEALLOCATE ALL or DISCARD ALL ran on the server.
    public mutating func removeAll() {
        lastUse = [:]
        unnamed = nil
        hasForeign = false
    }
}
