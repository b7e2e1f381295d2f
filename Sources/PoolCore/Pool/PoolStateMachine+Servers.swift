/// What becomes of servers: from the first to the last that is heard of one.
extension PoolStateMachine {
    // MARK: For somebody who asks

    /// What is to be done with the next idle server.
    public enum IdleServer: Sendable, Equatable {
        /// It is fit for use, and idle no more.
        case take(Slot)
        /// It belongs to a time before; then there may be another one.
        case close(Slot)
        /// It has rested for long: the test has begun, and it comes back by itself. Those below it have rested longer still.
        case test(Slot)
        /// There is none.
        case none
    }

    /// The next idle server. `isTested`: one that has rested for long is tested first.
    @inline(__always)
    public mutating func takeIdle(now: Int64, generation: UInt32, isTested: Bool = true) -> IdleServer {
        guard let server = queue.takeIdle() else { return .none }
        if server.generation != generation { return .close(server.slot) }
        guard isTested, needsTest(restingSince: server.since, now: now) else { return .take(server.slot) }
        testing += 1
        return .test(server.slot)
    }

    /// A server that has rested for so long is tested before somebody gets it.
    public func needsTest(restingSince since: Int64, now: Int64) -> Bool { now - since >= settings.serverCheckDelay }

    /// More than one idle server is worth a test: one for each client that asks. If a test fails or hangs, the next ones are taken.
    public func wantsMoreIdle(now: Int64) -> Bool {
        queue.idleCount > 0 && queue.waiting + lookups.count > (isLate(now: now) ? 0 : testing)
    }

    /// The test of a server from elsewhere begins.
    public mutating func testBegan() { testing += 1 }

    /// A server has passed its test.
    public mutating func testPassed() { testing -= 1 }

    // MARK: Free again

    /// Why a server that nobody has is not to be used again; nil if it is.
    @inline(__always)
    public func unfitness(
        of server: ServerCondition, now: Int64, isStopping: Bool, _ whole: some WholePool
    ) -> ServerUnfitness? {
        if server.doubts.isEmpty, !isPaused, server.generation == whole.presentGeneration, !isStopping,
            now - server.connectTime < settings.serverLifetime
        {
            return nil
        }
        return findUnfitness(of: server, now: now, isStopping: isStopping, whole)
    }

    private func findUnfitness(
        of server: ServerCondition, now: Int64, isStopping: Bool, _ whole: some WholePool
    ) -> ServerUnfitness? {
        if server.doubts.contains(.strayCancel) { return .strayCancel }
        if isPaused { return .paused }
        if server.generation != whole.presentGeneration { return .configurationChanged }
        if server.doubts.contains(.reportsTooMuch) { return .tooManyParameters }
        if isOverAge(server, now: now, whole) { return .lifetimeOver }
        if server.doubts.contains(.statements) { return .statementsInDoubt }
        return isStopping ? .shuttingDown : nil
    }

    private func isOverAge(_ server: ServerCondition, now: Int64, _ whole: some WholePool) -> Bool {
        guard now - server.connectTime >= settings.serverLifetime else { return false }
        if settings.serverLifetime == 0 { return server.wasUsed }
        return whole.mayCloseForAge(now: now, spacing: ageSpacing)
    }

    /// Servers that are too old go one at a time, spread over their lifetime.
    var ageSpacing: Int64 { settings.serverLifetime / Int64(max(1, settings.limits.pool)) }

    /// What is to be done with a server that is fit for use and nobody has.
    public enum Placement: Sendable, Equatable {
        /// It answers the next question of `auth_query` (`nextLookup`).
        case lookUp
        /// A client of another worker has waited clearly longer than everybody here. If the server can't be moved, this is asked again.
        case migrate(to: Int)
        /// The client that has waited longest gets it; it waits no more.
        case link(Slot, since: Int64)
        /// It is idle.
        case parked
    }

    /// A server that is fit for use has become free. `mayMigrate`: it may go to another worker.
    @inline(__always)
    public mutating func serverFreed(
        _ slot: Slot, generation: UInt32, now: Int64, mayMigrate: Bool, _ whole: some WholePool
    ) -> Placement {
        if !lookups.isEmpty { return .lookUp }
        if let head = queue.head {
            if mayMigrate, let borrower = borrower(whileWaitingSince: head.since, now: now, whole) { return .migrate(to: borrower) }
            _ = queue.dequeue()
            return .link(head.client, since: head.since)
        }
        queue.park(PoolQueue.IdleServer(slot: slot, generation: generation, since: now))
        return .parked
    }

    // MARK: Beginning and end

    /// A server begins to be opened: there was room for it. `isDedicated`: for one replication client, and for nobody else who waits.
    public mutating func openingBegan(isDedicated: Bool = false) {
        servers += 1
        if !isDedicated { opening += 1 }
    }

    /// A new server is fit for use.
    public mutating func serverOpened() { opening -= 1 }

    /// A server could not be opened.
    public mutating func openingFailed(isDedicated: Bool = false) {
        servers -= 1
        if !isDedicated { opening -= 1 }
        isFull = false
    }

    /// A server is idle no more, since it is about to be closed.
    public mutating func leavesIdle(_ slot: Slot) { queue.remove(slot) }

    /// A server is gone that was at this stage. Its room is somebody's.
    public mutating func serverLost(at stage: ServerStage, isDedicated: Bool) {
        servers -= 1
        isFull = false
        switch stage {
        case .testing: testing -= 1
        case .connecting, .encrypting, .authenticating, .settingUp: if !isDedicated { opening -= 1 }
        case .freed, .idle, .linked, .trying, .lookingUp, .resetting, .abandoned, .beingCanceled, .closed: break
        }
    }
}
