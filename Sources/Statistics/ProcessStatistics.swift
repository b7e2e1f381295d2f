import Bytes

/// How many connections of a pool are in which state at the moment.
public struct PoolGauges: Sendable, Equatable {
    /// Clients that have a server, less those that idle in a transaction.
    public var clientsLinked = 0
    /// Clients that have a server and a transaction open, and ask for nothing.
    public var clientsIdleInTransaction = 0
    /// Clients that have no server and want none.
    public var clientsIdle = 0
    /// Clients that wait for a server, or for the pool's first one.
    public var clientsWaiting = 0
    /// Cancel requests of clients that are being delivered.
    public var cancelRequests = 0
    /// Cancel requests that wait for a connection to the server of their client.
    public var cancelRequestsWaiting = 0
    /// Servers that a client has, or that are being cleaned up after one.
    public var serversActive = 0
    /// Connections that carry a cancel request.
    public var serversCanceling = 0
    /// Servers that are free but for a cancel request that may still hit them.
    public var serversBeingCanceled = 0
    /// Servers that can be given to a client at once.
    public var serversIdle = 0
    /// Idle servers that have rested so long that they are checked before use.
    public var serversUsed = 0
    /// Servers on which `server_reset_query` or `server_check_query` runs.
    public var serversTested = 0
    /// Servers that are being connected to or logged in to.
    public var serversLogin = 0
    /// Servers that this worker has ever lent to others, less those that it got from them. Over all workers that is the number of free
    /// servers which were on their way when the workers were asked, one after the other, and so were counted by none; or, below 0, of
    /// those that were counted twice.
    public var serversLent = 0
    /// How long the longest waiting client has waited, in microseconds; 0 when nobody waits.
    public var longestWait: Int64 = 0

    /// Nobody is here.
    public init() {}

    /// Clients in all.
    public var clients: Int { clientsLinked + clientsIdleInTransaction + clientsIdle + clientsWaiting }
    /// Clients that do not wait, which is what PgBouncer calls active.
    public var activeClients: Int { clientsLinked + clientsIdleInTransaction + clientsIdle }
    /// Servers in all, without those that carry cancel requests.
    public var servers: Int { serversActive + serversBeingCanceled + serversIdle + serversUsed + serversTested + serversLogin }

    /// Once all workers' parts are added up: counts each server once that changed workers meanwhile.
    mutating func settleLent() {
        if serversLent >= 0 {
            serversIdle += serversLent
        } else {
            // Lent while free, and asked for because somebody waited: the borrower has it in use, the lender saw it idle.
            for path in [\PoolGauges.serversIdle, \.serversUsed, \.serversTested, \.serversActive] {
                let surplus = min(-serversLent, self[keyPath: path])
                self[keyPath: path] -= surplus
                serversLent += surplus
            }
        }
        serversLent = 0
    }

    /// Adds another worker's part of the pool.
    public static func += (sum: inout PoolGauges, other: PoolGauges) {
        sum.clientsLinked += other.clientsLinked
        sum.clientsIdleInTransaction += other.clientsIdleInTransaction
        sum.clientsIdle += other.clientsIdle
        sum.clientsWaiting += other.clientsWaiting
        sum.cancelRequests += other.cancelRequests
        sum.cancelRequestsWaiting += other.cancelRequestsWaiting
        sum.serversLent += other.serversLent
        sum.serversActive += other.serversActive
        sum.serversCanceling += other.serversCanceling
        sum.serversBeingCanceled += other.serversBeingCanceled
        sum.serversIdle += other.serversIdle
        sum.serversUsed += other.serversUsed
        sum.serversTested += other.serversTested
        sum.serversLogin += other.serversLogin
        sum.longestWait = max(sum.longestWait, other.longestWait)
    }
}

/// One pool as a worker, or all of them together, see it.
public struct PoolStatistics: Sendable {
    /// Name of the database as clients know it.
    public let database: String
    /// User that servers are logged in as.
    public let user: String
    /// What has been counted since the pool came into being.
    public var counters: PoolCounters
    /// What was counted in the last whole `stats_period`.
    public var period: PeriodTotals
    /// What was counted in it and since: averages that are there from the first moment on, as in PgBouncer.
    public var recent: PeriodTotals
    /// How things stand now.
    public var gauges: PoolGauges
    /// Limit on servers (`pool_size`); 0 means none.
    public var poolSize: Int
    /// Further servers for clients that wait too long.
    public var reserveSize: Int
    /// The pool mode, as the settings write it.
    public var poolMode: String
    /// The pool is paused.
    public var isPaused: Bool

    /// Puts the parts together.
    public init(
        database: String, user: String, counters: PoolCounters, period: PeriodTotals, recent: PeriodTotals = PeriodTotals(),
        gauges: PoolGauges, poolSize: Int = 0, reserveSize: Int = 0, poolMode: String = "session", isPaused: Bool = false
    ) {
        self.database = database
        self.user = user
        self.counters = counters
        self.period = period
        self.recent = recent
        self.gauges = gauges
        self.poolSize = poolSize
        self.reserveSize = reserveSize
        self.poolMode = poolMode
        self.isPaused = isPaused
    }

    /// Adds another worker's part of the same pool.
    public static func += (sum: inout PoolStatistics, other: PoolStatistics) {
        sum.counters += other.counters
        sum.period += other.period
        sum.recent += other.recent
        sum.gauges += other.gauges
    }
}

/// What there is of one kind of object, and the memory that it takes.
public struct ObjectUse: Sendable, Equatable {
    /// How many there are.
    public var count: Int
    /// Bytes that one of them takes.
    public var size: Int
    /// Bytes that all of them take.
    public var total: Int

    /// Objects of the same size.
    public init(count: Int, size: Int) { self.init(count: count, size: size, total: count * size) }

    /// Objects of different sizes, `size` of which is an example.
    public init(count: Int, size: Int, total: Int) {
        self.count = count
        self.size = size
        self.total = total
    }

    /// Adds another worker's.
    public static func += (sum: inout ObjectUse, other: ObjectUse) {
        sum.count += other.count
        sum.size = max(sum.size, other.size)
        sum.total += other.total
    }
}

/// What one worker has counted and how things stand there.
public struct WorkerStatistics: Sendable {
    /// Its part of each pool.
    public var pools: [PoolStatistics]
    /// What belongs to no pool.
    public var counters: WorkerCounters
    /// Clients that have not logged in.
    public var clientsLoggingIn: Int
    /// All client sockets.
    public var clients: Int
    /// All server sockets.
    public var servers: Int
    /// Cancel requests for each peer: those that wait for a connection to it, and those that are on their way.
    public var peerRequests: [Int: PeerRequests] = [:]
    /// Host names that are being looked up.
    public var lookups = 0
    /// Objects of the worker's own, by kind.
    public var objects: [String: ObjectUse] = [:]

    /// Puts the parts together.
    public init(
        pools: [PoolStatistics] = [], counters: WorkerCounters = WorkerCounters(), clientsLoggingIn: Int = 0, clients: Int = 0,
        servers: Int = 0
    ) {
        self.pools = pools
        self.counters = counters
        self.clientsLoggingIn = clientsLoggingIn
        self.clients = clients
        self.servers = servers
    }
}

/// Cancel requests for one peer.
public struct PeerRequests: Sendable, Equatable {
    /// They wait for a connection to the peer.
    public var waiting = 0
    /// They are on their way.
    public var active = 0

    /// None.
    public init() {}
}

/// All workers together: what SHOW, the log and the metrics are made of.
public struct ProcessStatistics: Sendable {
    /// Every pool once, by database, then by user (in the order of their bytes).
    public var pools: [PoolStatistics] = []
    /// What belongs to no pool.
    public var counters = WorkerCounters()
    /// Clients that have not logged in.
    public var clientsLoggingIn = 0
    /// All client sockets.
    public var clients = 0
    /// All server sockets.
    public var servers = 0
    /// Cancel requests for each peer.
    public var peerRequests: [Int: PeerRequests] = [:]
    /// Host names that are being looked up.
    public var lookups = 0
    /// Objects of the workers, by kind.
    public var objects: [String: ObjectUse] = [:]

    /// Adds the workers up.
    public init(_ workers: [WorkerStatistics]) {
        var places: [[Name]: Int] = [:]
        for worker in workers {
            for pool in worker.pools {
                let key = [Name(pool.database), Name(pool.user)]
                if let place = places[key] {
                    pools[place] += pool
                } else {
                    places[key] = pools.count
                    pools.append(pool)
                }
            }
            counters += worker.counters
            clientsLoggingIn += worker.clientsLoggingIn
            clients += worker.clients
            servers += worker.servers
            lookups += worker.lookups
            for (kind, use) in worker.objects { objects[kind, default: ObjectUse(count: 0, size: 0)] += use }
            for (peer, requests) in worker.peerRequests {
                peerRequests[peer, default: PeerRequests()].waiting += requests.waiting
                peerRequests[peer, default: PeerRequests()].active += requests.active
            }
        }
        for index in pools.indices {
            servers += pools[index].gauges.serversLent
            pools[index].gauges.settleLent()
        }
        pools.sort { Self.precedes(($0.database, $0.user), ($1.database, $1.user)) }
    }

    private static func precedes(_ left: (String, String), _ right: (String, String)) -> Bool {
        if !left.0.hasSameBytes(as: right.0) { return left.0.utf8.lexicographicallyPrecedes(right.0.utf8) }
        return left.1.utf8.lexicographicallyPrecedes(right.1.utf8)
    }

    /// The pools of each database added up, in order of the databases' names.
    public var databases: [(name: String, totals: PoolTotals, recent: PeriodTotals)] {
        var result: [(name: String, totals: PoolTotals, recent: PeriodTotals)] = []
        for pool in pools {
            if result.last?.name.hasSameBytes(as: pool.database) != true { result.append((pool.database, PoolTotals(), PeriodTotals())) }
            result[result.count - 1].totals += pool.counters.totals
            result[result.count - 1].recent += pool.recent
        }
        return result
    }

    /// All pools added up.
    public var total: (totals: PoolTotals, period: PeriodTotals, recent: PeriodTotals) {
        var result = (totals: PoolTotals(), period: PeriodTotals(), recent: PeriodTotals())
        for pool in pools {
            result.totals += pool.counters.totals
            result.period += pool.period
            result.recent += pool.recent
        }
        return result
    }
}
