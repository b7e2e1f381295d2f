/// Which pooled statements one server connection holds, and which to give up when there are too many: the least recently used.
public struct ServerStatements: Sendable {
    private struct Use: Hashed {
        let id: UInt64
        var time: UInt64
        var hash: UInt64 { ServerStatements.hash(id) }
    }

    private var uses = HashedTable<Use>()
    private var clock: UInt64 = 0
    /// The statement that the server's unnamed slot holds, if the pooler knows it. By its id, so that an idle server keeps no text.
    public var unnamed: UInt64?
    /// A statement was made with SQL PREPARE, of which the pooler knows no more than that.
    public var hasForeign = false
    /// Names of a client under which the server may have an empty statement, made for the DEALLOCATE of a query to find. They are closed
    /// ahead of the next message of whoever has the server.
    var standIns: [[UInt8]] = []

    public init() {}

    public var count: Int { uses.count + uncertain.count }
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

    /// Enters a statement that is being parsed on the server.
    public mutating func insert(_ statement: Statement) {
        clock += 1
        set(statement.id, clock)
    }

    /// Takes out the statement that keeps the server from holding one more, the least recently used one; its id. Nil: there is room. More
    /// than one are in the way where the limit has been lowered.
    mutating func takeSurplus(limit: Int) -> UInt64? {
        guard uses.count + uncertain.count >= max(limit, 1) else { return nil }
        if !uncertain.isEmpty { return uncertain.removeFirst() }
        guard let oldest = uses.indices.min(by: { uses[$0].time < uses[$1].time }) else { return nil }
        return uses.remove(at: oldest).id
    }

    /// Whether something has to be closed before this one is parsed.
    func hasSurplus(for statement: Statement, limit: Int) -> Bool {
        count >= max(limit, 1) || uncertain.contains(statement.id)
    }

    // MARK: Doubts about what is held

    /// Statements that the server may have dropped, unseen by the pooler. They are closed before they are parsed again: a Close succeeds
    /// whether or not there is one.
    private(set) var uncertain: [UInt64] = []

    /// The server may have dropped any of its statements.
    mutating func distrust() {
        for use in uses.all { uncertain.append(use.id) }
        uses.removeAll()
    }

    /// Takes the statement out of those that are uncertain; whether it was one of them.
    @discardableResult @inline(__always)
    mutating func takeUncertain(_ id: UInt64) -> Bool {
        guard !uncertain.isEmpty else { return false }
        let count = uncertain.count
        uncertain.removeAll { $0 == id }
        return uncertain.count < count
    }

    // MARK: Names

    /// Statements that have another name on this server than elsewhere, with its number.
    private var renamed: [UInt64: UInt64] = [:]
    private var lastNumber: UInt64 = 0
    private static let mostRenamed = 1000

    /// The server's name for a statement.
    @inline(__always)
    func name(of statement: Statement) -> [UInt8] { renamed.isEmpty ? statement.serverName : name(ofID: statement.id) }

    func name(ofID id: UInt64) -> [UInt8] {
        guard let number = renamed[id] else { return Statement.serverName(id) }
        return Array("SLUICE_\(id)_\(number)".utf8)
    }

    /// What the server has under the name of this statement is not what the pooler believed. The name is never used again on this server.
    mutating func doubt(_ id: UInt64) {
        remove(id)
        lastNumber += 1
        renamed[id] = lastNumber
    }

    /// There have been so many doubts that the server is better closed than used again.
    public var isDubious: Bool { renamed.count >= Self.mostRenamed }

    private mutating func set(_ id: UInt64, _ time: UInt64) {
        if let index = index(of: id) { uses[index].time = time } else { uses.insert(Use(id: id, time: time)) }
    }

    /// The server does not have it (any more). Returns whether it had.
    @discardableResult
    public mutating func remove(_ id: UInt64) -> Bool {
        takeUncertain(id)
        guard let index = index(of: id) else { return false }
        uses.remove(at: index)
        return true
    }

    /// The server's plan is stale: the first one to be given up.
    mutating func demote(_ id: UInt64) {
        if contains(id) { set(id, 0) }
    }

    /// Puts back a statement whose Close was refused or skipped. It is closed before it is used again.
    public mutating func restore(_ id: UInt64) {
        if !contains(id) { uncertain.append(id) }
    }

    /// DEALLOCATE ALL or DISCARD ALL ran on the server.
    public mutating func removeAll() {
        uses.removeAll()
        uncertain = []
        unnamed = nil
        hasForeign = false
        standIns = []
    }
}
