/// Why a connection was closed, without the particulars: one of a fixed set, by which closes are counted, named in metrics and in SHOW ERRORS,
/// and found in the log. What clients, servers or files say is no part of it.
///
/// Raw values number the cases from 0 on.
public protocol CloseCause: CaseIterable, RawRepresentable<UInt8>, Hashable, Sendable {
    /// What there is to know of it. It stands in one `switch` without a `default`, so a new case does not compile without.
    var entry: CloseCauseEntry { get }
    /// Whether something went wrong that somebody may want to look at.
    var isError: Bool { get }
}

/// Who ended a connection.
public enum CloseClass: String, Sendable, CaseIterable {
    /// It was not needed any more: whoever used it is done.
    case farewell
    /// A limit or a setting, or an operator, wanted it.
    case policy
    /// Something was wrong.
    case fault
}

/// What there is to know of a cause.
public struct CloseCauseEntry: Sendable {
    /// The value of the metrics' label `reason`: lower-case, and never another one, since dashboards ask for it.
    public let name: String
    /// Who ended the connection.
    public let closeClass: CloseClass
    /// A sentence for docs/metrics.md.
    public let meaning: String

    init(_ name: String, _ closeClass: CloseClass, _ meaning: String) {
        self.name = name
        self.closeClass = closeClass
        self.meaning = meaning
    }
}

extension CloseCause {
    /// The value of the metrics' label `reason`.
    public var name: String { entry.name }
}

/// How often each cause occurred.
public struct CauseCounts<Cause: CloseCause>: Sendable, Equatable {
    /// By raw value; empty as long as nothing was counted, as for most pools of most workers.
    private var counts: [Int64] = []

    /// No counts yet.
    public init() {}

    /// Counts one more.
    public mutating func add(_ cause: Cause) {
        if counts.isEmpty { counts = [Int64](repeating: 0, count: Cause.allCases.count) }
        counts[Int(cause.rawValue)] &+= 1
    }

    /// The count of a cause.
    public subscript(cause: Cause) -> Int64 { counts.isEmpty ? 0 : counts[Int(cause.rawValue)] }

    /// All causes together.
    public var total: Int64 { counts.reduce(0, &+) }

    /// The causes that occurred, in the order of their names.
    public var occurred: [(cause: Cause, count: Int64)] {
        Cause.allCases.map { (cause: $0, count: self[$0]) }.filter { $0.count > 0 }.sorted { $0.cause.name < $1.cause.name }
    }

    /// Adds what was counted elsewhere.
    public static func += (sum: inout CauseCounts, other: CauseCounts) {
        guard !other.counts.isEmpty else { return }
        guard !sum.counts.isEmpty else {
            sum = other
            return
        }
        for index in sum.counts.indices { sum.counts[index] &+= other.counts[index] }
    }

    /// Both together.
    public static func + (left: CauseCounts, right: CauseCounts) -> CauseCounts {
        var sum = left
        sum += right
        return sum
    }
}
