/// What ends because time passes.
extension PoolStateMachine {
    /// Why an idle server is closed now; nil if it stays. `total`: the servers of the pool, and of those that share its size, in all workers.
    public func unfitness(
        ofIdle server: ServerCondition, total: Int, now: Int64, isStopping: Bool, _ whole: some WholePool
    ) -> ServerUnfitness? {
        if server.generation != whole.presentGeneration { return .configurationChanged }
        if settings.serverIdleTimeout > 0, now - server.lastActivity > settings.serverIdleTimeout, total > settings.minPoolSize {
            return .idleTimeout
        }
        if settings.serverLifetime > 0, now - server.connectTime > settings.serverLifetime,
            whole.mayCloseForAge(now: now, spacing: ageSpacing)
        {
            return .lifetimeOver
        }
        let limits = settings.limits
        if limits.pool > 0, total > limits.pool + limits.reserve { return .tooManyServers }
        return isStopping ? .shuttingDown : nil
    }

    /// What a client does with its server. Moments, 0 for none.
    public struct Use: Sendable {
        /// A query runs, or the server owes an answer.
        public var isRunning: Bool
        /// No transaction is open, and nothing is owed.
        public var isReusable: Bool
        public var queryStart: Int64
        public var transactionStart: Int64
        /// When server or client did something last.
        public var lastActivity: Int64

        /// A use.
        public init(isRunning: Bool, isReusable: Bool, queryStart: Int64, transactionStart: Int64, lastActivity: Int64) {
            self.isRunning = isRunning
            self.isReusable = isReusable
            self.queryStart = queryStart
            self.transactionStart = transactionStart
            self.lastActivity = lastActivity
        }
    }

    /// Why a server is closed though a client has it; nil if it is not.
    public func timeout(of use: Use, generation: UInt32, now: Int64, _ whole: some WholePool) -> ServerCloseReason? {
        func isOver(_ limit: Int64, since start: Int64) -> Bool { limit > 0 && now - start > limit }
        if use.isRunning, use.queryStart > 0, isOver(settings.queryTimeout, since: use.queryStart) { return .queryTimeout }
        // Before its first ReadyForQuery a transaction is no more than a query.
        let start = use.transactionStart > 0 ? use.transactionStart : use.isRunning ? use.queryStart : 0
        if start > 0, isOver(settings.transactionTimeout, since: start) { return .transactionTimeout }
        if !use.isRunning, !(use.isReusable && settings.policy.mayIdleOutsideTransactions),
            isOver(settings.idleTransactionTimeout, since: use.lastActivity)
        {
            return .idleTransactionTimeout
        }
        if settings.serverFastClose, settings.policy.keepsObsoleteServers, generation != whole.presentGeneration, use.isReusable {
            return .configurationChangedInUse
        }
        return nil
    }

    /// The limit on a login also bounds every other exchange in which the server alone is awaited.
    public func isOverdue(since moment: Int64, now: Int64) -> Bool {
        settings.serverConnectTimeout > 0 && now - moment > settings.serverConnectTimeout
    }

    /// A question of `auth_query` has run for longer than a query may.
    public func isLookupOverdue(since moment: Int64, now: Int64) -> Bool {
        settings.queryTimeout > 0 && now - moment > settings.queryTimeout
    }

    // MARK: The end of a pool

    /// What becomes of a pool that nobody uses.
    public enum Retirement: Sendable, Equatable {
        case stay
        /// Its idle servers are closed; then this is asked again.
        case closeIdle
        case forget
    }

    /// Pools for startup values of a few clients' own are made again in no time (microseconds).
    static let specialPoolLife: Int64 = 5_000_000

    /// Pools that nobody uses go after a while: those for special startup values; those that a `*` entry made, for their names come from
    /// clients; all of them with `pool_idle_timeout`.
    ///
    /// `clients`: those that are here; `clientsOfAll`: in all workers; `isKeptWarm`: a pool that is to be warm before anybody comes is not
    /// idle; `isSpecial`: its servers bring startup values of their own; `isOrphaned`: its database has another user by now.
    public mutating func retirement(
        clients: Int, clientsOfAll: Int, isKeptWarm: Bool, isSpecial: Bool, isOrphaned: Bool, now: Int64
    ) -> Retirement {
        guard clients == 0, !hasDemand else {
            (unusedSince, desertedSince) = (nil, nil)
            return .stay
        }
        if clientsOfAll > 0 || isKeptWarm {
            desertedSince = nil
        } else {
            let since = desertedSince ?? now
            desertedSince = since
            if settings.poolIdleTimeout > 0, now - since > settings.poolIdleTimeout {
                if servers == 0 { return .forget }
                if queue.idleCount > 0 { return .closeIdle }
            }
        }
        guard servers == 0 else {
            unusedSince = nil
            return .stay
        }
        let since = unusedSince ?? now
        unusedSince = since
        let isUnused = { (limit: Int64) in limit > 0 && now - since > limit }
        return isOrphaned || (isSpecial && isUnused(Self.specialPoolLife)) || isUnused(settings.autodbIdleTimeout) ? .forget : .stay
    }
}
