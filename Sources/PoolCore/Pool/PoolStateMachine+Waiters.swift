/// What those who wait for a server may expect, and for how long.
extension PoolStateMachine {
    // MARK: A client asks

    /// What a client that found no idle server may expect.
    public enum Answer: Sendable {
        /// None before long: it hears why.
        case refuse(PoolerError)
        case wait(PoolQueue.Ticket)
    }

    /// A client asks for a server, and there is no idle one.
    public mutating func clientAsks(_ client: Slot, now: Int64, _ whole: some WholePool) -> Answer {
        if let error = refusal(now: now, whole) { return .refuse(error) }
        return .wait(queue.enqueue(client, now: now))
    }

    /// A client waits no longer: it has left, its time was up, or what it waited for is done.
    public mutating func clientLeaves(_ ticket: PoolQueue.Ticket) { queue.withdraw(ticket) }

    /// A client that has shown who it is waits for the pool's first server.
    public mutating func awaitGreeting(_ client: Slot, since: Int64) {
        awaitingGreeting.append(LoginWaiter(client: client, since: since))
    }

    /// A replication client waits for room for a server of its own.
    public mutating func awaitDedicated(_ client: Slot, since: Int64) {
        awaitingDedicated.append(LoginWaiter(client: client, since: since))
    }

    /// A client waits for the pool's first server no longer.
    public mutating func greetingIsOver(for client: Slot) { awaitingGreeting.removeAll { $0.client == client } }

    /// A replication client waits no longer.
    public mutating func dedicatedIsOver(for client: Slot) { awaitingDedicated.removeAll { $0.client == client } }

    /// Everybody who waits for the pool's first server; they wait no more.
    public mutating func takeAwaitingGreeting() -> [LoginWaiter] {
        defer { awaitingGreeting = [] }
        return awaitingGreeting
    }

    /// All replication clients that wait; they wait no more.
    public mutating func takeAwaitingDedicated() -> [LoginWaiter] {
        defer { awaitingDedicated = [] }
        return awaitingDedicated
    }

    /// A question of `auth_query` waits for a server.
    public mutating func awaitLookup(_ lookup: PendingLookup) { lookups.append(lookup) }

    /// The next question, for a server that has become free.
    public mutating func nextLookup() -> PendingLookup? { lookups.popFirst() }

    /// Ends questions for which there is an error.
    public mutating func endLookups(_ error: (PendingLookup) -> PoolerError?) -> [(PendingLookup, PoolerError)] { lookups.take(error) }

    /// Since when somebody waits who has waited longest: with a query, or for the greeting; `Int64.max`: nobody does.
    public var oldestDemand: Int64 { min(queue.head?.since ?? .max, awaitingGreeting.lazy.map(\.since).min() ?? .max) }

    /// A client that waits longer than this does not wait for the test of a server any more (microseconds).
    private static let testPatience: Int64 = 100_000

    /// Tests of servers are no reason any more to open no other one.
    func isLate(now: Int64) -> Bool { queue.head.map { now - $0.since > Self.testPatience } ?? false }

    // MARK: No server can be had

    /// What somebody who asks hears at once while no server of the pool can be reached; nil where there is hope.
    public func refusal(now: Int64, _ whole: some WholePool) -> PoolerError? {
        guard let failure = whole.failure, !failure.isRefusal, whole.connected == 0, now < failure.time + settings.serverLoginRetry
        else { return nil }
        return .serverLoginFailing(String((failure.fields.message ?? "connect failed").prefix(99)))
    }

    /// A server has refused a login: who waited for that login hears why, where no server is left that could serve him, and where it is not
    /// just starting up. The questions of `auth_query` among them are ended.
    public mutating func loginRefused(
        _ whole: some WholePool
    ) -> (error: PoolerError, clients: [Slot], lookups: [PendingLookup])? {
        guard let failure = whole.failure, !failure.isTemporary, whole.usable == 0 else { return nil }
        let error = PoolerError.serverLoginFailed(failure.fields)
        let clients =
            queue.allWaiting.filter { $0.since <= failure.started }.map(\.client)
            + awaitingGreeting.filter { $0.since <= failure.started }.map(\.client)
        return (error, clients, lookups.take { $0.since <= failure.started ? error : nil }.map(\.0))
    }

    // MARK: Time is up

    /// What ends the waiting for servers of this pool.
    public func patience(isStopping: Bool, _ whole: some WholePool) -> WaitPatience {
        var patience = WaitPatience(
            isStopping: isStopping, queryTimeout: settings.queryTimeout, queryWaitTimeout: settings.queryWaitTimeout)
        if let failure = whole.failure, failure.isRefusal, whole.usable == 0 {
            patience.refusal = WaitPatience.Refusal(
                error: .serverLoginFailed(failure.fields), started: failure.started,
                patience: failure.isTemporary ? PoolFailure.startupPatience : .max)
        }
        return patience
    }

    /// A client that has waited with a query for too long, or so long that it is told of it.
    public struct Overdue: Sendable, Equatable {
        public let client: Slot
        public let since: Int64
        /// What ends its waiting; nil: it has waited long enough to be told, and goes on.
        public let end: PoolerError?
    }

    /// Everybody who has waited with a query for too long, and everybody who has waited for longer than `notifyAfter`; longest first.
    public func overdue(now: Int64, notifyAfter: Int64, isStopping: Bool, _ whole: some WholePool) -> [Overdue] {
        guard let head = queue.head else { return [] }
        let patience = patience(isStopping: isStopping, whole)
        let soonest = min(patience.soonest, notifyAfter)
        guard now - head.since > soonest else { return [] }
        // Those behind have waited less still.
        return queue.allWaiting.prefix { now - $0.since > soonest }.compactMap { waiter in
            let end = patience.end(since: waiter.since, now: now)
            guard end != nil || now - waiter.since > notifyAfter else { return nil }
            return Overdue(client: waiter.client, since: waiter.since, end: end)
        }
    }
}
