/// What a pool has done since it came into being. Times are in microseconds.
@frozen public struct PoolTotals: Sendable, Equatable {
    /// Times that a client got a server.
    public var assignments: Int64 = 0
    /// Transactions that have ended.
    public var transactions: Int64 = 0
    /// Queries, or pipelines up to a Sync, that were answered.
    public var queries: Int64 = 0
    /// Bytes that clients sent to servers.
    public var bytesReceived: Int64 = 0
    /// Bytes that servers sent to clients.
    public var bytesSent: Int64 = 0
    /// Time that clients held a server in a transaction.
    public var transactionTime: Int64 = 0
    /// Time that servers took to answer queries; without the time in the queue.
    public var queryTime: Int64 = 0
    /// Time that clients waited for a server.
    public var waitTime: Int64 = 0
    /// Parse messages of clients.
    public var clientParses: Int64 = 0
    /// Parse messages that were sent to servers.
    public var serverParses: Int64 = 0
    /// Bind messages.
    public var binds: Int64 = 0
    /// Clients that have logged in.
    public var logins: Int64 = 0

    /// All zero.
    @inlinable
    public init() {}

    private static let all: [WritableKeyPath<PoolTotals, Int64> & Sendable] = [
        \.assignments, \.transactions, \.queries, \.bytesReceived, \.bytesSent, \.transactionTime, \.queryTime, \.waitTime,
        \.clientParses, \.serverParses, \.binds, \.logins,
    ]

    /// The sum of each count.
    public static func += (sum: inout PoolTotals, other: PoolTotals) {
        for path in all { sum[keyPath: path] &+= other[keyPath: path] }
    }

    /// What was added to each count since an earlier copy.
    public static func - (now: PoolTotals, earlier: PoolTotals) -> PoolTotals {
        var difference = now
        for path in all { difference[keyPath: path] &-= earlier[keyPath: path] }
        return difference
    }
}

/// What happened in the last whole `stats_period`.
public struct PeriodTotals: Sendable, Equatable {
    /// The counts of the period.
    public var totals = PoolTotals()
    /// How long it was, in microseconds; 0 before the first one has ended.
    public var duration: Int64 = 0

    /// No period yet.
    public init() {}

    /// A finished period.
    public init(totals: PoolTotals, duration: Int64) {
        self.totals = totals
        self.duration = duration
    }

    /// Events a second.
    public func rate(_ count: Int64) -> Int64 {
        duration > 0 ? Int64(Double(count) * 1_000_000 / Double(duration)) : 0
    }

    /// Adds what another worker did in the same period.
    public static func += (sum: inout PeriodTotals, other: PeriodTotals) {
        sum.totals += other.totals
        sum.duration = max(sum.duration, other.duration)
    }
}
