import PostgresClient

/// What one round of questions to the console brought.
struct TopSample: Equatable {
    struct Pool: Equatable {
        var database: String
        var user: String
        var clientsActive = 0
        var clientsWaiting = 0
        var serversActive = 0
        var serversIdle = 0
        var serversLogin = 0
        /// Microseconds.
        var longestWait = 0
        var mode = ""

        var name: PoolName { PoolName(database: database, user: user) }
    }

    /// Counts since the start, in SHOW STATS' units.
    struct Counts: Equatable {
        var transactions = 0.0
        var queries = 0.0
        var received = 0.0
        var sent = 0.0
        /// Microseconds that clients waited.
        var waitTime = 0.0
        var assignments = 0.0
    }

    /// How many durations fell between two bounds, in microseconds.
    struct Bucket: Equatable {
        var from: Double
        var upTo: Double
        var count: Double
    }

    struct PoolName: Hashable {
        var database: String
        var user: String
    }

    /// Seconds of a clock that only goes forward.
    var time: Double
    var version = ""
    var isPaused = false
    var pools: [Pool] = []
    var databases: [String: Counts] = [:]
    /// SHOW CLIENTS and SHOW SERVERS, for the views of that name; of clients at least those that wait.
    var clients: [[String: String]] = []
    var servers: [[String: String]] = []
    /// Wait histograms by pool, where the console has them.
    var waits: [PoolName: [Bucket]]?
    /// Errors and closes by reason since the start, where the console has them.
    var errors: [String: Double]?
    /// Server limit by database, from SHOW DATABASES.
    var poolSizes: [String: Int] = [:]
    /// Databases that are paused or disabled, and in which words.
    var held: [String: String] = [:]
    /// What WHY POOL says, and about which pool: the one that was asked for, or the one with the longest wait.
    var why: [String] = []
    var whyPool: PoolName?

    /// The database of the console, whose figures are those of operators.
    static let console = "pgbouncer"

    init(time: Double) { self.time = time }
}

/// Two samples and what happened between them.
struct TopRates {
    let seconds: Double
    var byDatabase: [String: TopSample.Counts] = [:]
    var total = TopSample.Counts()
    /// Waits between the two samples, by pool.
    private var waits: [TopSample.PoolName: [TopSample.Bucket]] = [:]
    /// Errors a second, the most frequent first.
    var errors: [(name: String, rate: Double, total: Double)] = []
    let hasHistograms: Bool

    init(from old: TopSample?, to new: TopSample) {
        seconds = max(0.001, new.time - (old?.time ?? new.time))
        hasHistograms = new.waits != nil
        errors = (new.errors ?? [:]).map { ($0.key, 0, $0.value) }
        guard let old else { return }
        let seconds = seconds
        for (database, counts) in new.databases {
            let before = old.databases[database] ?? TopSample.Counts()
            let rate = TopSample.Counts(
                transactions: max(0, counts.transactions - before.transactions) / seconds,
                queries: max(0, counts.queries - before.queries) / seconds,
                received: max(0, counts.received - before.received) / seconds,
                sent: max(0, counts.sent - before.sent) / seconds,
                waitTime: max(0, counts.waitTime - before.waitTime),
                assignments: max(0, counts.assignments - before.assignments))
            byDatabase[database] = rate
            // What `top` itself asks is no traffic.
            if database == TopSample.console { continue }
            total.transactions += rate.transactions
            total.queries += rate.queries
            total.received += rate.received
            total.sent += rate.sent
            total.waitTime += rate.waitTime
            total.assignments += rate.assignments
        }
        for (pool, buckets) in new.waits ?? [:] { waits[pool] = Self.difference(buckets, old.waits?[pool] ?? []) }
        errors = (new.errors ?? [:]).map { name, count in (name, max(0, count - (old.errors?[name] ?? 0)) / seconds, count) }
            .sorted { ($0.rate, $0.total, $1.name) > ($1.rate, $1.total, $0.name) }
    }

    static func difference(_ new: [TopSample.Bucket], _ old: [TopSample.Bucket]) -> [TopSample.Bucket] {
        let before = Dictionary(old.map { ($0.upTo, $0.count) }) { first, _ in first }
        return new.map { bucket in
            TopSample.Bucket(from: bucket.from, upTo: bucket.upTo, count: max(0, bucket.count - (before[bucket.upTo] ?? 0)))
        }
    }

    /// Waits of one pool, or of all of them, at a share such as 0.95, in microseconds; nil when nobody got a server in between.
    func wait(_ share: Double, of pool: TopSample.PoolName? = nil) -> Double? {
        if let pool { return Self.quantile(share, waits[pool] ?? []) }
        var sum: [Double: TopSample.Bucket] = [:]
        for bucket in waits.values.joined() {
            sum[bucket.upTo, default: TopSample.Bucket(from: bucket.from, upTo: bucket.upTo, count: 0)].count += bucket.count
        }
        return Self.quantile(share, Array(sum.values))
    }

    /// Interpolated inside the bucket.
    static func quantile(_ share: Double, _ buckets: [TopSample.Bucket]) -> Double? {
        let total = buckets.reduce(0) { $0 + $1.count }
        guard total > 0 else { return nil }
        let rank = share * total
        var before = 0.0
        for bucket in buckets.sorted(by: { $0.upTo < $1.upTo }) where bucket.count > 0 {
            if before + bucket.count >= rank { return bucket.from + (bucket.upTo - bucket.from) * (rank - before) / bucket.count }
            before += bucket.count
        }
        return buckets.map(\.upTo).max()
    }
}
