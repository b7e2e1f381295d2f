/// Servers move between workers, so that limits hold for the whole process and nobody starves beside an idle server.
///
/// Who enqueues a client shows that before it looks for idle servers elsewhere; who parks a server shows that before it looks for waiters
/// elsewhere. At least one of the two sees the other (`WholePool` is sequentially consistent).
extension PoolStateMachine {
    /// A client of another worker that has waited this much longer (microseconds) goes first; below it, a server stays where it is,
    /// because moving one costs four system calls.
    static let ownPreference: Int64 = 2_000
    /// While clients wait here too, the servers of a pool leave one by one, this far apart (microseconds), unless somebody has waited
    /// longer by `longPreference`. Waits differ by milliseconds all the time; servers that followed each difference would be moved to
    /// and fro, once in four transactions.
    static let migrationPause: Int64 = 10_000
    static let longPreference: Int64 = 20_000
    /// For the same client no other one leaves within this time (microseconds): the first is on its way, and its worker may not run just
    /// now. All servers would follow.
    static let arrivalTime: Int64 = 1_000_000

    // MARK: Taking

    /// A worker that shows an idle server of this pool.
    func lender(_ whole: some WholePool) -> Int? {
        guard whole.workers > 1 else { return nil }
        return (0..<whole.workers).first { $0 != worker && whole.idleServers(of: $0) > 0 }
    }

    /// A worker that was asked for an idle server has none to give.
    public mutating func borrowingFailed() { borrowing = max(0, borrowing - 1) }

    /// A server has come from another worker, asked for or not. One that comes unasked is as good as one that is still to come.
    public mutating func arrived() {
        servers += 1
        serversLent -= 1
        // An answer to a question of the pool's former part here is no answer to one of this part.
        borrowing = max(0, borrowing - 1)
    }

    // MARK: Giving

    /// Nobody here may be made to wait for another worker's client; for each of those who do wait another idle server is tested.
    public var keepsIdleServers: Bool { queue.idleCount > 0 && queue.waiting > testing }

    /// The worker that gets a server which has just become free though somebody waits here since then.
    func borrower(whileWaitingSince own: Int64, now: Int64, _ whole: some WholePool) -> Int? {
        let isTooSoon = now - lastMigration < Self.migrationPause
        return workerThatWaits(since: own - (isTooSoon ? Self.longPreference : Self.ownPreference), now: now, whole)
    }

    /// The worker that gets an idle server nobody here wants; nil if none does.
    public func borrowerOfIdle(now: Int64, _ whole: some WholePool) -> Int? {
        guard queue.waiting == 0, queue.idleCount > 0 else { return nil }
        return workerThatWaits(since: .max, now: now, whole)
    }

    /// The other worker whose oldest waiter is the oldest of all, if it began to wait before `limit`. A waiter for whom a server has just
    /// left counts no more; if others wait there, too, it asks for more when that one arrives.
    private func workerThatWaits(since limit: Int64, now: Int64, _ whole: some WholePool) -> Int? {
        var oldest = limit
        var borrower: Int?
        for other in 0..<whole.workers where other != worker {
            let since = whole.oldestWaiter(of: other)
            guard since < oldest else { continue }
            if let last = migrations[other], last.since == since, now - last.time < Self.arrivalTime { continue }
            oldest = since
            borrower = other
        }
        return borrower
    }

    /// A server leaves for another worker that did not ask for it. `isIdle`: nobody waits here.
    public mutating func migrates(to other: Int, isIdle: Bool, now: Int64, _ whole: some WholePool) {
        if !isIdle { lastMigration = now }
        migrations[other] = (whole.oldestWaiter(of: other), now)
        left()
    }

    /// A server leaves for a worker that has asked for it.
    public mutating func left() {
        servers -= 1
        serversLent += 1
    }

    /// An idle server was taken and can't be moved: it is taken last from now on.
    public mutating func staysIdle(_ slot: Slot, generation: UInt32, since: Int64) {
        queue.parkLast(PoolQueue.IdleServer(slot: slot, generation: generation, since: since))
    }
}
