/// What ends the waiting for servers of one pool. Times are microseconds.
public struct WaitPatience: Sendable {
    /// The last login of the pool was refused, and it has no server that could serve anybody.
    struct Refusal: Sendable {
        /// The server's own words.
        let error: PoolerError
        /// When that login began.
        let started: Int64
        /// Who has waited for so long hears of it.
        let patience: Int64
    }

    let isStopping: Bool
    let queryTimeout: Int64
    let queryWaitTimeout: Int64
    var refusal: Refusal?

    init(isStopping: Bool, queryTimeout: Int64, queryWaitTimeout: Int64, refusal: Refusal? = nil) {
        self.isStopping = isStopping
        self.queryTimeout = queryTimeout > 0 ? queryTimeout : .max
        self.queryWaitTimeout = queryWaitTimeout > 0 ? queryWaitTimeout : .max
        self.refusal = refusal
    }

    /// Who has waited for less has nothing to fear.
    var soonest: Int64 { isStopping ? -1 : min(refusal?.patience ?? .max, queryTimeout, queryWaitTimeout) }

    /// What ends the waiting of somebody who began to wait then; nil if nothing does.
    public func end(since: Int64, now: Int64) -> PoolerError? {
        if isStopping { return .serverShuttingDown }
        let waited = now - since
        guard waited > soonest else { return nil }
        if let words = words(since: since) { return words }
        if waited > queryTimeout { return .queryTimeoutWaiting }
        return waited > queryWaitTimeout ? .queryWaitTimeout() : nil
    }

    /// What ends the waiting of a login that began then and has had its time (`client_login_timeout`), in the server's own words: a login was
    /// refused meanwhile.
    public func words(since: Int64) -> PoolerError? { refusal.flatMap { $0.started >= since ? $0.error : nil } }
}
