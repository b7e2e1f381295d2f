import Bytes
import Configuration
import DequeModule
import PoolCore
import PostgresWire
import Statistics
import Synchronization

/// One worker's part of a pool.
final class PoolShard {
    let shared: SharedPool
    let worker: Int
    var database: Database {
        // Clients of the time before may be here as long as the pool is.
        didSet {
            let user = database.forcedUser.map { Name($0) }
            if user != oldValue.forcedUser.map({ Name($0) }) { isOrphaned = user != Name(shared.key.user) }
        }
    }
    var settings: PoolSettings
    var queue = PoolQueue()
    /// Servers of this worker that are not ready for use yet.
    var opening = 0
    /// All servers of this worker.
    var servers = 0
    /// Servers that went from here to other workers, less those that came; see `PoolGauges.serversLent`.
    var serversLent = 0
    /// Clients that have logged in and wait for the pool's first server.
    var awaitingGreeting: [UInt32] = []
    /// Replication clients that have logged in and wait for room for a server of their own.
    var awaitingDedicated: [UInt32] = []
    var clients = 0 {
        didSet { shared.clients.add(clients - oldValue) }
    }
    /// Since when neither client nor server has been here.
    var unusedSince: Int64?
    /// Since when no worker has had a client of this pool.
    var deserted: Int64?
    /// The database has another user by now: some clients of this pool belong to another one. They go there with their next request.
    private(set) var isOrphaned = false
    /// It is in no table any more: who comes now needs a new one.
    var isForgotten = false
    /// Idle servers that are being checked; they come back by themselves.
    var testing = 0
    /// The pool had no room for another server; void as soon as one is closed.
    var isFull = false
    /// What servers that are opened now belong to; see `SharedPool.generation`.
    var generation: UInt32
    /// Another worker has been asked for an idle server.
    var borrowing = 0
    /// When a server left for another worker although clients waited here.
    var lastLending: Int64 = 0
    /// The last server that went to each other worker unasked: since when the client waits for whom it is, and when it left.
    var gifts: [Int: (since: Int64, time: Int64)] = [:]
    /// PAUSE or KILL: no client gets a server.
    var isPaused = false
    /// Why clients wait here, as all workers together found lately; and when they were asked.
    var explanation: WaitExplanation?
    var explanationAsked: Int64?
    /// What has happened here.
    var counters = PoolCounters()
    /// The counts at the last end of a `stats_period`, and what the period before that end brought.
    var countedBefore = PoolTotals()
    var period = PeriodTotals()

    init(shared: SharedPool, worker: Int, database: Database, settings: PoolSettings) {
        self.shared = shared
        self.worker = worker
        self.database = database
        self.settings = settings
        generation = shared.generation.load(ordering: .acquiring)
        queue.isRoundRobin = settings.isRoundRobin
    }

    var databaseName: String { shared.key.database }
    var statements: StatementTable { shared.statements }
    /// Questions of `auth_query` that wait for a server; only pools for lookups have any.
    var lookups: Deque<PendingLookup> = []
    var hasDemand: Bool { queue.waiting > 0 || !awaitingGreeting.isEmpty || !awaitingDedicated.isEmpty || !lookups.isEmpty }

    /// Shows the other workers how things stand here; skipped where there are none.
    @inline(__always)
    func publish() {
        guard shared.cells.count > 1 else { return }
        let cell = shared.cells[worker]
        cell.idle.store(queue.idleCount, ordering: .sequentiallyConsistent)
        cell.oldestWaiter.store(queue.head?.since ?? .max, ordering: .sequentiallyConsistent)
    }
}

/// What a worker counted for a pool while it had a shard of it. Totals must not go back while other workers go on counting.
struct ForgottenShard {
    let shared: SharedPool
    var statistics: PoolStatistics

    init(_ shard: PoolShard) {
        shared = shard.shared
        var gauges = PoolGauges()
        gauges.serversLent = shard.serversLent
        let limits = shard.settings.limits
        statistics = PoolStatistics(
            database: shard.databaseName, user: shard.shared.key.user, counters: shard.counters, period: PeriodTotals(), gauges: gauges,
            poolSize: limits.pool, reserveSize: limits.reserve, poolMode: shard.settings.policy.mode.rawValue, isPaused: shard.isPaused)
    }

    /// Some worker has a shard of the pool: without one the pool, with all that it has counted, is gone.
    var isNeeded: Bool { shared.shards.load() > 0 }
}

/// The settings that apply to one pool, looked up once: user beats database beats global.
struct PoolSettings: Sendable {
    var policy: PoolPolicy
    var rules: ServerSession.Rules
    var limits: CapacityLedger.ServerLimits
    var minPoolSize: Int
    var isRoundRobin: Bool
    var serverLifetime: Int64
    var queryTimeout: Int64
    var queryWaitTimeout: Int64
    var idleTransactionTimeout: Int64
    var transactionTimeout: Int64

    init(_ configuration: Configuration, database: Database, user: String) {
        let settings = configuration.settings
        policy = PoolPolicy(configuration.poolMode(database: database, user: user))
        rules = ServerSession.Rules(
            mapsStatements: policy.mapsStatements && settings.maxPreparedStatements > 0, statementLimit: settings.maxPreparedStatements,
            refusesSimpleQuery: settings.disablePqexec, sharesStatements: settings.statementSharing == .auto)
        limits = CapacityLedger.ServerLimits(
            pool: configuration.poolSize(database: database, user: user),
            reserve: configuration.reservePoolSize(database: database, user: user),
            database: configuration.maxDatabaseConnections(database: database), user: configuration.maxUserConnections(user: user))
        minPoolSize = configuration.minPoolSize(database: database)
        isRoundRobin = settings.serverRoundRobin
        serverLifetime = configuration.serverLifetime(database: database)
        queryTimeout = configuration.queryTimeout(user: user)
        queryWaitTimeout = configuration.queryWaitTimeout(database: database, user: user)
        idleTransactionTimeout = configuration.idleTransactionTimeout(user: user)
        transactionTimeout = configuration.transactionTimeout(user: user)
    }
}
