import Bytes
import PostgresWire

/// What a server is set to, and what of that is whose: the server's own values, and what clients have put in their places.
///
/// Only what a client itself brought or set follows it from server to server. Everything else is the server's own, and may change at any
/// time (ALTER SYSTEM, ALTER DATABASE, another version of PostgreSQL): clients hear of it, and it is never forced on another server.
public struct ServerParameters: Sendable {
    /// What the server reports now, of the parameters that clients may set; and the unreported ones that its client brought.
    public var current: ParameterSet
    /// What it reports of its own, fixed parameters (`server_version`) included, without what clients have set.
    public private(set) var defaults: ParameterSet
    /// The client's own values that it was set to last. The same object as the client's: nothing has to be done. Nil: it may have lost some.
    public private(set) var adjustedTo: ParameterSet?
    /// It may not have kept what it was set to: the next one to get it has to have a look.
    public private(set) var isDoubtful = false
    /// What may differ from the server's own value, in lower case: it has to be reset for a client that did not ask for it.
    private(set) var overrides: Set<String> = []
    /// The same before the changes that are being tried.
    private var overridesBefore: Set<String> = []
    /// Reported parameters that were set by `connect_query`.
    private var pinned: Set<String> = []
    /// What the pooler has set itself with the last changes: what it reports of these is no value of the server's own.
    private var beingSet: Set<String> = []
    /// What changed without a SET: whether a client has set it, or the server's own value is another one, has to be asked.
    public private(set) var unexplained: [String] = []
    /// DISCARD ALL has run, and since then nobody has looked at what became of the values (`acceptDefaults`).
    private var isDiscarded = false
    private let empty: ParameterSet

    /// Nothing is known. `empty`: that of the pool's table.
    public init(empty: ParameterSet) {
        self.empty = empty
        current = empty
        defaults = empty
        adjustedTo = empty
    }

    /// A server has logged in and said this of itself.
    public init(reported: [Parameter], in table: ParameterTable) {
        empty = table.empty
        defaults = table.intern(reported: reported, unreported: [], byServer: true)
        current = table.intern(reported: reported.filter { ParameterTable.isTracked($0.name) }, unreported: [], byServer: true)
        adjustedTo = table.empty
    }

    // MARK: Towards a client's values

    /// What has to be undone, and then set, for a client with these values of its own.
    public func changes(to wanted: ParameterSet) -> [ParameterChange] {
        var changes: [ParameterChange] = []
        if !overrides.isEmpty {
            changes = overrides.filter { !wanted.has($0) }.sorted().map { undoing($0) }
        }
        for parameter in wanted.reported {
            guard let present = current[parameter.name], !present.hasSameBytes(as: parameter.value) else { continue }
            let key = parameter.key
            // A part of a DateStyle stands on the server's own value, not on the last client's.
            if key == "datestyle", !wanted.isProven, overrides.contains(key) { changes.append(undoing(key)) }
            changes.append(.set(parameter))
        }
        for parameter in wanted.unreported where !current.unreported.contains(parameter) { changes.append(.set(parameter)) }
        return changes.count > 1 ? changes.sorted { $0.rank < $1.rank } : changes
    }

    private func undoing(_ name: String) -> ParameterChange {
        guard pinned.contains(name), let value = defaults[name] else { return .reset(name) }
        return .set(Parameter(name: defaults.spelling(of: name), value: value))
    }

    /// The server is being set to these values: what has been undone is the server's own again.
    public mutating func adjust(to wanted: ParameterSet, by changes: [ParameterChange]) {
        if !changes.isEmpty {
            noteSet(changes)
            overrides = overrides.filter { wanted.has($0) }
            current = current.with(reported: values(after: changes))
        }
        current = current.with(unreported: wanted.unreported)
        adjustedTo = wanted
        isDoubtful = false
    }

    /// A trial has ended well: the server has been set to these values, in its own spelling.
    public mutating func settle(_ settled: ParameterSet) {
        overrides = overrides.filter { settled.has($0) }
        adjust(to: settled, by: [])
    }

    /// A server refused to be set to this: it has the value that it had before.
    public mutating func refused(_ name: String) {
        let key = name.lowercased()
        guard !overridesBefore.contains(key) else { return }
        overrides.remove(key)
        current = current.with(unreported: current.unreported.filter { $0.name != key })
    }

    /// The value that the server has now is its own.
    public mutating func acceptDefault(_ name: String, in table: ParameterTable) {
        overrides.remove(name.lowercased())
        guard let value = current[name] else { return }
        defaults = table.replacing(Parameter(name: defaults.spelling(of: name), value: value), in: defaults) ?? defaults
    }

    /// After a DISCARD ALL all values that the server has are its own. Returns those that are news.
    public mutating func acceptDefaults(in table: ParameterTable) -> [Parameter] {
        guard isDiscarded else { return [] }
        isDiscarded = false
        let news = current.reported.filter { parameter in defaults[parameter.name].map { !$0.hasSameBytes(as: parameter.value) } ?? false }
        for parameter in news { acceptDefault(parameter.name, in: table) }
        return news
    }

    /// It has been reset, to the server's own value: it has to be adjusted again.
    public mutating func wasReset(_ name: String) {
        overrides.remove(name.lowercased())
        adjustedTo = nil
    }

    /// This has been reset by its client: what that brought has to be set again.
    public mutating func wasReset(_ reset: ResetStatement) {
        adjustedTo = nil
        switch reset {
        case .all: current = current.with(unreported: [])
        case .name(let name): current = current.with(unreported: current.unreported.filter { $0.name != name })
        case .unknown: current = current.withUnknownValues(of: [])
        }
    }

    /// What the server will report of reported parameters.
    private func values(after changes: [ParameterChange]) -> [String: String] {
        var values: [String: String] = [:]
        for change in changes {
            switch change {
            case .set(let parameter): values[parameter.name.lowercased()] = parameter.value
            case .reset(let name): values[name] = defaults[name]
            }
        }
        return values
    }

    /// The client itself has changed what it wants: the server has it already.
    public mutating func follow(_ own: ParameterSet) { adjustedTo = own }

    private mutating func noteSet(_ changes: [ParameterChange]) {
        beingSet = []
        for case .set(let parameter) in changes { beingSet.insert(parameter.name.lowercased()) }
        overrides.formUnion(beingSet)
    }

    /// The changes are being made, and may or may not have been.
    public mutating func doubt(_ changes: [ParameterChange]) {
        overridesBefore = overrides
        noteSet(changes)
        overrides.formUnion(changes.map { $0.name.lowercased() })
        adjustedTo = nil
        current = current.withUnknownValues(of: changes.map(\.name))
    }

    /// A SET or RESET of an unreported parameter has run, or may have run.
    public mutating func doubtUnreported() {
        guard !current.unreported.isEmpty else { return }
        current = current.withUnknownValues(of: [])
        isDoubtful = true
    }

    /// The same of one parameter.
    mutating func doubtUnreported(_ name: String) {
        let doubtful = current.withUnknownValue(of: name)
        if doubtful !== current { isDoubtful = true }
        current = doubtful
    }

    /// DISCARD ALL has run.
    mutating func discard() {
        isDiscarded = true
        overrides = []
        pinned = []
        unexplained = []
        current = current.with(unreported: [])
        adjustedTo = empty
        isDoubtful = false
    }

    // MARK: What the server reports

    /// Why a server tells a value.
    public enum Cause: Sendable {
        /// The pooler has set or reset it for a client.
        case pooler
        /// `connect_query` has set it: RESET would not lead back to it.
        case setUp
        /// The linked client has, for all that is known.
        case client
        /// Nobody has: the server's own value is another one.
        case server
    }

    /// The server tells a value. False: it tells more than is kept.
    public mutating func report(_ parameter: Parameter, by cause: Cause, in table: ParameterTable) -> Bool {
        let key = parameter.name.lowercased()
        if cause == .setUp { pinned.insert(key) }
        if cause == .server || cause == .setUp || (cause == .pooler && !beingSet.contains(key)) {
            guard let changed = table.replacing(parameter, in: defaults) else { return false }
            defaults = changed
        }
        if cause == .client {
            overrides.insert(key)
            isDiscarded = false
        }
        let isKnown = current[parameter.name].map { $0.hasSameBytes(as: parameter.value) } ?? false
        guard ParameterTable.isTracked(parameter.name), !isKnown else { return true }
        guard let changed = table.replacing(parameter, in: current) else { return false }
        current = changed
        return true
    }

    /// PostgreSQL reports half as many parameters.
    private static let mostUnexplained = 32

    /// It changed without a SET. False: more has than can be asked about.
    public mutating func noteUnexplained(_ name: String) -> Bool {
        let key = name.lowercased()
        if unexplained.contains(key) { return true }
        guard unexplained.count < Self.mostUnexplained else { return false }
        unexplained.append(key)
        return true
    }

    /// What has to be asked about, by resetting it.
    public mutating func takeUnexplained() -> [String] {
        defer { unexplained = [] }
        return unexplained
    }
}
