import Bytes
import Locking
import PostgresWire
import Synchronization

/// A run-time parameter and its value, spelt as the server or the client spelt them.
public struct Parameter: Sendable, Hashable {
    public let name: String
    public let value: String

    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }

    /// Bytes of both.
    public var size: Int { name.utf8.count + value.utf8.count }

    /// By bytes: a search_path that only looks like another one leads to other tables.
    public static func == (left: Parameter, right: Parameter) -> Bool {
        left.value.hasSameBytes(as: right.value) && left.name.hasSameBytes(as: right.name)
    }
}

/// The settings of a session: what a client brought or set itself, or what a server has. Sets are interned in a `ParameterTable`, so that
/// the usual question, whether a server was last set to what the client wants, is one comparison of references.
public final class ParameterSet: Sendable, Hashable {
    /// Parameters that the server reports by ParameterStatus, sorted by lower-cased name.
    public let reported: [Parameter]
    /// Parameters that it does not report (statement_timeout, search_path before PostgreSQL 18): those that a client brought in its
    /// startup packet. A set without one means the server's own default. Sorted, names in lower case.
    public let unreported: [Parameter]
    /// The lower-cased names of `reported`, in its order.
    private let keys: [String]
    private let proven: Atomic<Bool>
    /// Bytes of all names and values.
    let size: Int

    /// What a server may report at most, in number and in bytes of names and values: it may not be PostgreSQL.
    public static let mostParameters = 1000
    public static let mostBytes = 256 * 1024

    /// A value that no client can ask for (startup packets end values with a NUL): what the server has is not known.
    static let unknown = "\0"

    fileprivate init(reported: [Parameter], unreported: [Parameter], isProven: Bool) {
        self.reported = reported
        keys = reported.map { $0.name.lowercased() }
        self.unreported = unreported
        proven = Atomic(isProven)
        size = reported.reduce(0) { $0 + $1.size } + unreported.reduce(0) { $0 + $1.size }
    }

    /// A server of this pool has accepted every value, so that a SET may travel with the query that needs it. A value that none has
    /// accepted is tried first and waited for.
    public var isProven: Bool { proven.load(ordering: .relaxed) }

    fileprivate func prove() { proven.store(true, ordering: .relaxed) }

    public static func == (left: ParameterSet, right: ParameterSet) -> Bool {
        left === right || (left.reported == right.reported && left.unreported == right.unreported)
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(reported)
        hasher.combine(unreported)
    }

    /// The value of a reported parameter; the name in any case.
    public subscript(name: String) -> String? {
        if let exact = reported.first(where: { $0.name == name }) { return exact.value }
        let key = name.lowercased()
        return keys.firstIndex(of: key).map { reported[$0].value }
    }

    /// It says nothing.
    public var isEmpty: Bool { reported.isEmpty && unreported.isEmpty }

    /// The name of a reported parameter as the server writes it.
    public func spelling(of name: String) -> String {
        keys.firstIndex(of: name.lowercased()).map { reported[$0].name } ?? name
    }

    /// Whether it has a value for a parameter, whose name is in lower case.
    public func has(_ key: String) -> Bool { keys.contains(key) || unreported.contains { $0.name == key } }

    /// The same with these values of reported parameters, by their names in lower case. Not interned.
    func with(reported values: [String: String]) -> ParameterSet {
        let changed = zip(keys, reported).map { key, parameter in
            values[key].map { Parameter(name: parameter.name, value: $0) } ?? parameter
        }
        return ParameterSet(reported: changed, unreported: unreported, isProven: true)
    }

    /// The same with other unreported parameters. Not interned, which costs one longer comparison later.
    func with(unreported: [Parameter]) -> ParameterSet {
        if unreported.isEmpty, self.unreported.isEmpty { return self }
        return ParameterSet(reported: reported, unreported: unreported, isProven: true)
    }

    /// The same, but its unreported parameters, and those of these names that are not reported, may have any value.
    func withUnknownValues(of names: [String]) -> ParameterSet {
        let unknown = Set(unreported.map(\.name) + names.map { $0.lowercased() }.filter { !keys.contains($0) })
        guard !unknown.isEmpty else { return self }
        return ParameterSet(
            reported: reported, unreported: unknown.sorted().map { Parameter(name: $0, value: Self.unknown) }, isProven: false)
    }

    /// The same, but this parameter, if it is one of the unreported ones, may have any value.
    func withUnknownValue(of name: String) -> ParameterSet {
        guard let index = unreported.firstIndex(where: { $0.name.hasSameBytes(as: name) }), !hasUnknown(name) else { return self }
        var changed = unreported
        changed[index] = Parameter(name: name, value: Self.unknown)
        return ParameterSet(reported: reported, unreported: changed, isProven: false)
    }

    func hasUnknown(_ name: String) -> Bool {
        unreported.contains { $0.name.hasSameBytes(as: name) && $0.value.hasSameBytes(as: Self.unknown) }
    }
}

/// One step from one parameter set to another.
public enum ParameterChange: Sendable, Hashable {
    case set(Parameter)
    case reset(String)

    public var name: String {
        switch self {
        case .set(let parameter): parameter.name
        case .reset(let name): name
        }
    }

    /// In which order changes are made. What the last client brought is undone first, since it may forbid what follows: the role before all,
    /// then what may cut a statement off. Of what is set the role comes last, and before it the encoding: values are set as bytes.
    var rank: Int {
        let isRole = Self.roles.contains(name.lowercased())
        let isTimeout = name.hasSuffix("_timeout")
        switch self {
        case .reset: return isRole ? 0 : isTimeout ? 1 : 2
        case .set: return isRole ? 6 : name.lowercased() == "client_encoding" ? 5 : isTimeout ? 4 : 3
        }
    }

    /// The same, with the name as the clients of a pool spell it.
    public func spelt(by startup: StartupValues) -> ParameterChange {
        guard !startup.isEmpty, case .set(let parameter) = self else { return self }
        return .set(startup.spelling(parameter))
    }

    private static let roles: Set<String> = ["role", "session_authorization"]

    /// It may fail though servers have done it before: it puts an end to a timeout that may cut it off, or depends on what the session has
    /// done (`temp_buffers`), or on what others have granted.
    public var isUncertain: Bool {
        let name = name.lowercased()
        if case .reset = self, name.hasSuffix("_timeout") { return true }
        return name == "temp_buffers" || Self.roles.contains(name)
    }

    /// Values of these are single identifiers or words to SET; all others go through set_config, which takes lists (search_path) as
    /// the startup packet does.
    private static let words: Set<String> = [
        "application_name", "client_encoding", "datestyle", "intervalstyle", "timezone", "standard_conforming_strings",
        "extra_float_digits", "statement_timeout", "lock_timeout",
    ]

    /// The SQL of this step.
    public var sql: String {
        switch self {
        case .set(let parameter):
            let value = Self.quoted(parameter.value)
            if Self.words.contains(parameter.name.lowercased()) { return "SET \(parameter.name)=\(value)" }
            return "SELECT pg_catalog.set_config(\(Self.quoted(parameter.name)),\(value),false)"
        case .reset(let name):
            return "RESET \"\(name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\""))\""
        }
    }

    /// A literal that means the same whatever standard_conforming_strings says.
    static func quoted(_ text: String) -> String {
        var out = text.utf8.contains(UInt8(ascii: "\\")) ? "E'" : "'"
        for character in text.unicodeScalars {
            switch character {
            case "'": out += "''"
            case "\\": out += "\\\\"
            default: out.unicodeScalars.append(character)
            }
        }
        return out + "'"
    }
}

/// The parameter sets of one pool (one database and user, all workers), and what its servers have accepted so far.
public final class ParameterTable: Sendable {
    private struct Content {
        var sets: Set<ParameterSet> = []
        /// Bytes of `sets`, and from how many on it is looked which of them nobody uses.
        var bytes = 0
        var sweepAtBytes = ParameterTable.fewBytes
        var accepted: Set<Parameter> = []
        var acceptedBytes = 0
        /// How servers write accepted values that clients write otherwise.
        var spellings: [Parameter: String] = [:]
        /// Lower-cased names whose RESET has worked.
        var resettable: Set<String> = []
        var sweepAt = 256
    }

    /// Reported by the server, but not to be set by a client.
    private static let fixed: Set<String> = [
        "server_version", "server_encoding", "integer_datetimes", "in_hot_standby", "is_superuser", "session_authorization",
    ]
    private static let acceptedLimit = 10_000
    private static let mostResettable = 1_000
    /// No name of PostgreSQL's is as long.
    private static let longestName = 256
    private static let fewBytes = 4 << 20

    private let content = Locked(Content())

    /// Nothing known.
    public let empty = ParameterSet(reported: [], unreported: [], isProven: true)

    public init() {}

    /// How many sets are stored.
    public var count: Int { content.withLock { $0.sets.count } }

    /// Whether a reported parameter belongs to the state that follows a client from server to server.
    public static func isTracked(_ name: String) -> Bool { !fixed.contains(name.lowercased()) }

    /// The interned set of these values. Values that a server reported itself are accepted by that.
    public func intern(reported: [Parameter], unreported: [Parameter], byServer: Bool) -> ParameterSet {
        if reported.isEmpty, unreported.isEmpty { return empty }
        let reported = reported.sorted { $0.name.lowercased() < $1.name.lowercased() }
        let unreported = unreported.sorted { $0.name < $1.name }
        return content.withLock { content in
            if byServer { Self.accept(reported, &content) }
            let isProven = (reported + unreported).allSatisfy { Self.isHarmless($0) || content.accepted.contains($0) }
            let candidate = ParameterSet(reported: reported, unreported: unreported, isProven: isProven)
            if let index = content.sets.firstIndex(of: candidate) {
                let known = content.sets[index]
                if isProven { known.prove() }
                return known
            }
            if content.sets.count >= content.sweepAt || content.bytes >= content.sweepAtBytes { Self.sweep(&content) }
            content.sets.insert(candidate)
            content.bytes += candidate.size
            return candidate
        }
    }

    private static func sweep(_ content: inout Content) {
        var all = Array(content.sets)
        content.sets = []
        content.bytes = 0
        while var set = all.popLast() {
            if isKnownUniquelyReferenced(&set) { continue }
            content.sets.insert(set)
            content.bytes += set.size
        }
        content.sweepAt = max(256, content.sets.count * 2)
        content.sweepAtBytes = max(fewBytes, content.bytes * 2)
    }

    /// PostgreSQL takes any application_name.
    private static func isHarmless(_ parameter: Parameter) -> Bool {
        parameter.name == "application_name" && parameter.value.utf8.allSatisfy { $0 >= 32 && $0 < 127 }
    }

    private static func accept(_ parameters: [Parameter], _ content: inout Content) {
        if content.accepted.count > acceptedLimit || content.acceptedBytes > fewBytes {
            content.accepted = []
            content.spellings = [:]
            content.acceptedBytes = 0
        }
        for parameter in parameters where content.accepted.insert(parameter).inserted { content.acceptedBytes += parameter.size }
    }

    /// A server has accepted these values.
    public func accept(_ set: ParameterSet) {
        content.withLock { Self.accept(set.reported + set.unreported, &$0) }
        set.prove()
    }

    /// A server has taken this value, and reports it so.
    public func noteSpelling(_ spelling: String, of parameter: Parameter) {
        content.withLock { content in
            if content.spellings.updateValue(spelling, forKey: parameter) == nil {
                content.acceptedBytes += parameter.size + spelling.utf8.count
            }
        }
    }

    /// The value as servers write it, where that is known.
    public func canonical(_ parameter: Parameter) -> Parameter {
        if let spelling = content.withLock({ $0.spellings[parameter] }) { return Parameter(name: parameter.name, value: spelling) }
        guard Self.isHarmless(parameter), parameter.value.utf8.count > Identifier.significantBytes else { return parameter }
        // As much as PostgreSQL keeps of an application_name.
        return Parameter(
            name: parameter.name, value: String(decoding: parameter.value.utf8.prefix(Identifier.significantBytes), as: UTF8.self))
    }

    /// A server has reset this parameter: it may be done without waiting for it from now on.
    public func noteReset(_ name: String) {
        guard name.utf8.count <= Self.longestName else { return }
        content.withLock { content in
            if content.resettable.count >= Self.mostResettable { content.resettable = [] }
            content.resettable.insert(name.lowercased())
        }
    }

    /// Whether each RESET among these changes has worked before. One that fails is no fault of the client for which it is done.
    public func knowsResets(of changes: [ParameterChange]) -> Bool {
        content.withLock { content in
            changes.allSatisfy { change in
                switch change {
                case .set: true
                case .reset(let name): content.resettable.contains(name)
                }
            }
        }
    }

    /// Whether a server has taken this value.
    public func isAccepted(_ parameter: Parameter) -> Bool { content.withLock { $0.accepted.contains(parameter) } }

    /// `set` with one reported value replaced, as a ParameterStatus message tells; nil where that would make it too large.
    public func replacing(_ parameter: Parameter, in set: ParameterSet) -> ParameterSet? {
        guard set.reported.count < ParameterSet.mostParameters, set.size + parameter.size <= ParameterSet.mostBytes else { return nil }
        let key = parameter.name.lowercased()
        var reported = set.reported.filter { $0.name.lowercased() != key }
        reported.append(parameter)
        return intern(reported: reported, unreported: set.unreported, byServer: true)
    }

    /// `set` without a value for this parameter, or with that of another set.
    public func removing(_ name: String, from set: ParameterSet, inFavourOf other: ParameterSet?) -> ParameterSet {
        let key = name.lowercased()
        func changed(_ list: [Parameter], _ others: [Parameter]?) -> [Parameter] {
            list.filter { $0.name.lowercased() != key } + (others ?? []).filter { $0.name.lowercased() == key }
        }
        return intern(
            reported: changed(set.reported, other?.reported), unreported: changed(set.unreported, other?.unreported), byServer: false)
    }
}
