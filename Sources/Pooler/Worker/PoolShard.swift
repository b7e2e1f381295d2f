import Bytes
import Configuration
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
    /// What this worker decides about the pool, and what it knows of it for that. The other workers see at once how things stand here.
    var machine: PoolStateMachine {
        @inline(__always) _read { yield state }
        @inline(__always) _modify {
            yield &state
            publish()
        }
    }
    /// Never changed but through `machine`.
    private var state: PoolStateMachine
    /// What was published last.
    private var shown = Shown()
    var clients = 0 {
        didSet { shared.clients.add(clients - oldValue) }
    }
    /// The database has another user by now: some clients of this pool belong to another one. They go there with their next request.
    private(set) var isOrphaned = false
    /// It is in no table any more: who comes now needs a new one.
    var isForgotten = false
    /// What servers that are opened now belong to; see `SharedPool.generation`.
    var generation: UInt32
    /// Why clients wait here, as all workers together found lately; and when they were asked.
    var explanation: WaitExplanation?
    var explanationAsked: Int64?
    /// What has happened here.
    var counters = PoolCounters()
    var tally = PeriodTally()

    /// `serversLent`: what the worker has lent of the pool when it had a shard of it before.
    init(
        shared: SharedPool, worker: Int, database: Database, settings: PoolSettings, isPaused: Bool = false, serversLent: Int = 0
    ) {
        self.shared = shared
        self.worker = worker
        self.database = database
        state = PoolStateMachine(worker: worker, settings: settings, isPaused: isPaused, serversLent: serversLent)
        generation = shared.generation.load(ordering: .acquiring)
    }

    var databaseName: String { shared.key.database }
    var statements: StatementTable { shared.statements }
    /// Without a copy: they are looked at on the query path.
    var settings: PoolSettings { @inline(__always) _read { yield state.settings } }

    /// What other workers see of this one's part of the pool.
    private struct Shown {
        var idle = 0
        var oldestWaiter = Int64.max
    }

    /// Shows the other workers how things stand here; skipped where there are none.
    @inline(__always)
    private func publish() {
        if shared.workers > 1 { show() }
    }

    private func show() {
        let gauge = shared.gauges[worker]
        let now = Shown(idle: state.queue.idleCount, oldestWaiter: state.queue.head?.since ?? .max)
        if now.idle != shown.idle { gauge.idle.store(now.idle, ordering: .sequentiallyConsistent) }
        if now.oldestWaiter != shown.oldestWaiter { gauge.oldestWaiter.store(now.oldestWaiter, ordering: .sequentiallyConsistent) }
        shown = now
    }
}

/// What a worker counted for a pool while it had a shard of it. Totals must not go back while other workers go on counting.
struct ForgottenShard {
    let shared: SharedPool
    var statistics: PoolStatistics

    init(_ shard: PoolShard) {
        shared = shard.shared
        var gauges = PoolGauges()
        gauges.serversLent = shard.machine.serversLent
        let limits = shard.settings.limits
        statistics = PoolStatistics(
            database: shard.databaseName, user: shard.shared.key.user, counters: shard.counters, period: PeriodTotals(), gauges: gauges,
            poolSize: limits.pool, reserveSize: limits.reserve, poolMode: shard.settings.policy.mode.rawValue,
            isPaused: shard.machine.isPaused)
    }

    /// Some worker has a shard of the pool: without one the pool, with all that it has counted, is gone.
    var isNeeded: Bool { shared.shards.load() > 0 }
}
