/// All that one worker counts for one pool. Written by the worker alone, without lock or system call, and read by the worker itself when
/// it is asked.
@frozen public struct PoolCounters: Sendable {
    /// The counts and times of SHOW STATS.
    public var totals = PoolTotals()
    /// How long clients waited for a server, one entry for each assignment.
    public var waits = Histogram()
    /// How long servers took to answer.
    public var queries = Histogram()
    /// How long transactions took.
    public var transactions = Histogram()
    /// Errors of servers that clients got, by SQLSTATE.
    public var errors = BoundedCounts(limit: 100)
    /// Clients that left or were closed, by reason.
    public var clientDisconnects = CauseCounts<ClientCloseCause>()
    /// Servers that were closed, by reason.
    public var serverDisconnects = CauseCounts<ServerCloseCause>()
    /// Servers that could not be connected to, or refused the login, by reason.
    public var openingFailures = CauseCounts<ServerCloseCause>()
    /// Servers that have logged in.
    public var serversOpened: Int64 = 0

    /// All zero.
    public init() {}

    /// A client got a server after so many microseconds.
    @inlinable @inline(__always)
    public mutating func assigned(waited: Int64) {
        totals.assignments &+= 1
        totals.waitTime &+= waited
        waits.record(waited)
    }

    /// A server has answered after so many microseconds.
    @inlinable @inline(__always)
    public mutating func answered(after time: Int64) {
        totals.queries &+= 1
        totals.queryTime &+= time
        queries.record(time)
    }

    /// A transaction has ended.
    @inlinable @inline(__always)
    public mutating func ended(transactionOf time: Int64) {
        totals.transactions &+= 1
        totals.transactionTime &+= time
        transactions.record(time)
    }

    /// Adds what another worker has counted.
    public static func += (sum: inout PoolCounters, other: PoolCounters) {
        sum.totals += other.totals
        sum.waits += other.waits
        sum.queries += other.queries
        sum.transactions += other.transactions
        sum.errors += other.errors
        sum.clientDisconnects += other.clientDisconnects
        sum.serverDisconnects += other.serverDisconnects
        sum.serversOpened &+= other.serversOpened
        sum.openingFailures += other.openingFailures
    }
}

/// What a worker counts that belongs to no pool.
public struct WorkerCounters: Sendable {
    /// Client sockets that were accepted.
    public var accepted: Int64 = 0
    /// Cancel requests that named a client.
    public var cancelRequests: Int64 = 0
    /// TLS handshakes with clients that succeeded.
    public var tlsHandshakes: Int64 = 0
    /// TLS handshakes with clients that failed.
    public var tlsFailures: Int64 = 0
    /// Clients that were closed before they had a pool, by reason: refused logins among them.
    public var disconnects = CauseCounts<ClientCloseCause>()

    /// All zero.
    public init() {}

    /// Adds what another worker has counted.
    public static func += (sum: inout WorkerCounters, other: WorkerCounters) {
        sum.accepted &+= other.accepted
        sum.cancelRequests &+= other.cancelRequests
        sum.tlsHandshakes &+= other.tlsHandshakes
        sum.tlsFailures &+= other.tlsFailures
        sum.disconnects += other.disconnects
    }
}
