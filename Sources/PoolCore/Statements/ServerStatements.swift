/// Which pooled statements one server connection holds, and which to give up when there are too many: the least recently used.
public struct ServerStatements: Sendable {
    /// The server's plan of a statement. Moments are those of the `PlanClock`.
    private struct Plan: Sendable {
        /// When the server was asked to parse it.
        let parsed: UInt64
        /// The last moment at which it is known to have been valid: then it was parsed, or has served a name that was as young.
        var valid: UInt64
        /// What the server says of it, as far as it was heard.
        var description = PlanDescription.unknown
        /// It was only to be described: a Bind would plan it under settings that are not its own.
        var isUnplanned = false
    }

    private var plans = RecencyTable<Plan>()
    /// The statement that the server's unnamed slot holds, if the pooler knows it. By its id, so that an idle server keeps no text.
    public var unnamed: UInt64? {
        didSet { unnamedDescription = .unknown }
    }
    /// What the server says of that.
    var unnamedDescription = PlanDescription.unknown
    /// Statements that were parsed where objects are seen that others do not see (yet).
    private var passing: [UInt64] = []
    /// A statement was made with SQL PREPARE, of which the pooler knows no more than that.
    public var hasForeign = false
    /// Names of a client under which the server may have an empty statement, made for the DEALLOCATE of a query to find. They are closed
    /// ahead of the next message of whoever has the server.
    var standIns: [[UInt8]] = []

    public init() {}

    public var count: Int { plans.count + uncertain.count }
    public var ids: [UInt64] { Array(plans.ids) }

    @inline(__always)
    private func index(of id: UInt64) -> Int? { plans.index(of: id) }

    /// Whether the server has the statement; counts as a use.
    @inline(__always)
    public mutating func use(_ statement: Statement) -> Bool {
        guard let index = index(of: statement.id) else { return false }
        plans.touch(index)
        return true
    }

    public func contains(_ id: UInt64) -> Bool { index(of: id) != nil }

    /// Enters a statement that is being parsed on the server.
    public mutating func insert(_ statement: Statement, at moment: UInt64 = 0) {
        plans.enter(Plan(parsed: moment, valid: moment), as: statement.id)
    }

    // MARK: What its plan is good for

    /// What the server's plan of a statement is for a name that means it.
    enum Fitness {
        /// The server has none.
        case missing
        case good
        /// It has served no name that is as young. PostgreSQL may find it stale, where a Parse of the name's age would not be.
        case old
        /// It has to be parsed again.
        case stale
        /// The name was told of columns or parameters, and it is not known whether they are those of this plan.
        case undescribed
        /// They are others.
        case changed
    }

    /// Whether the plan is good; counts as a use. Asked for each Bind: where it says no, `fitness` says why.
    ///
    /// - Parameters:
    ///   - told: What the client was told of the name's columns and parameters.
    ///   - born: The moment of the client's Parse.
    @inline(__always)
    mutating func use(_ statement: Statement, told: PlanDescription, born: UInt64) -> Bool {
        guard let index = index(of: statement.id) else { return false }
        plans.touch(index)
        let valid = plans[index].valid
        return valid >= born && valid >= statement.validFrom && (told.isUnknown || told == plans[index].description)
    }

    /// - Parameter plans: See `ServerSession.prepare`.
    func fitness(_ statement: Statement, told: PlanDescription, born: UInt64, plans: Bool = true) -> Fitness {
        guard let index = index(of: statement.id) else { return .missing }
        let plan = self.plans[index]
        if plan.isUnplanned, plans { return .stale }
        let valid = plan.isUnplanned ? plan.parsed : plan.valid
        if valid < statement.validFrom { return .stale }
        let isOld = valid < born
        if !plan.description.agrees(with: told) { return isOld ? .stale : .changed }
        if !plan.description.covers(told) { return isOld ? .stale : .undescribed }
        return isOld ? .old : .good
    }

    /// Whether a Parse can be answered with the plan; counts as a use.
    mutating func mayTakeOver(_ statement: Statement, _ clock: PlanClock) -> Bool {
        guard use(statement), let index = index(of: statement.id) else { return false }
        return plans[index].parsed >= clock.freshFrom && plans[index].valid >= statement.validFrom
    }

    /// When the plan was parsed, and what is known of its description. Nil: the server has none.
    func plan(of id: UInt64) -> (parsed: UInt64, description: PlanDescription)? {
        index(of: id).map { (plans[$0].parsed, plans[$0].description) }
    }

    /// The server has described the plan that was parsed then.
    mutating func describe(_ id: UInt64, parsed: UInt64, _ description: PlanDescription) {
        guard let index = index(of: id), plans[index].parsed == parsed else { return }
        if description.columns != 0 { plans[index].description.columns = description.columns }
        if description.parameters != 0 { plans[index].description.parameters = description.parameters }
    }

    /// The plan that was parsed then has served a name that was born at this moment.
    mutating func validate(_ id: UInt64, parsed: UInt64, at born: UInt64) {
        guard let index = index(of: id), plans[index].parsed == parsed, !plans[index].isUnplanned else { return }
        plans[index].valid = max(plans[index].valid, born)
    }

    /// What is being parsed is described, and then parsed again before anybody uses it.
    mutating func leaveUnplanned(_ id: UInt64) {
        guard let index = index(of: id) else { return }
        plans[index].isUnplanned = true
        // So that `use` says no.
        plans[index].valid = 0
    }

    /// What was parsed now has seen what others do not see (yet): it is parsed again when the transaction is over.
    mutating func notePassing(_ id: UInt64) {
        // Of what has been given up since there is no end in a long transaction.
        if passing.count >= max(1000, 2 * plans.count) { passing = passing.filter(contains) }
        passing.append(id)
    }

    mutating func endPassing() {
        for id in passing { distrust(id) }
        passing = []
    }

    /// Takes out the statement that keeps the server from holding one more, the least recently used one; its id. Nil: there is room. More
    /// than one are in the way where the limit has been lowered.
    mutating func takeSurplus(limit: Int) -> UInt64? {
        guard count >= max(limit, 1) else { return nil }
        if let id = uncertain.popLast() { return id }
        guard let oldest = plans.oldest else { return nil }
        plans.remove(oldest)
        return oldest
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
        uncertain += plans.ids
        plans.removeAll()
    }

    /// This one is to be parsed again.
    mutating func distrust(_ id: UInt64) {
        if plans.remove(id) { uncertain.append(id) }
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

    /// The server does not have it (any more). Returns whether it had.
    @discardableResult
    public mutating func remove(_ id: UInt64) -> Bool {
        takeUncertain(id)
        return plans.remove(id)
    }

    /// Nobody will use it again: the first one to be given up.
    mutating func demote(_ id: UInt64) {
        if let index = index(of: id) { plans.demote(index) }
    }

    /// Puts back a statement whose Close was refused or skipped. It is closed before it is used again.
    public mutating func restore(_ id: UInt64) {
        if !contains(id) { uncertain.append(id) }
    }

    /// DEALLOCATE ALL or DISCARD ALL ran on the server.
    public mutating func removeAll() {
        plans.removeAll()
        uncertain = []
        unnamed = nil
        hasForeign = false
        standIns = []
        passing = []
    }
}
