/// When there is to be another server.
extension PoolStateMachine {
    // MARK: For those who wait

    /// The next step towards servers for those who wait.
    public enum Provision: Sendable, Equatable {
        /// Another worker has an idle one; it has been counted as asked for.
        case borrow(from: Int)
        /// A new one is needed, if it may be opened (`mayOpen`).
        case open
        /// Enough are on their way.
        case nothing
    }

    /// What is to be done next for those who wait. `borrows`: idle servers of other workers may be asked for. One that is being opened may take
    /// long: it is no reason to let an idle one rest.
    public mutating func provide(now: Int64, borrows: Bool, _ whole: some WholePool) -> Provision {
        if isFull, settings.limits.reserve == 0, whole.workers == 1 { return .nothing }
        let onTheWay = borrowing + (isLate(now: now) ? 0 : testing)
        if borrows, queue.waiting > onTheWay, let lender = lender(whole) {
            borrowing += 1
            return .borrow(from: lender)
        }
        // One connection answers for all that wait for the greeting.
        let wanted = queue.waiting + lookups.count + (awaitingGreeting.isEmpty ? 0 : 1)
        return wanted > opening + onTheWay ? .open : .nothing
    }

    /// Fewer servers are there than are to be kept open. Somebody uses the pool, or its user is forced; `total` counts all workers.
    public func lacksMinimum(total: Int) -> Bool { settings.minPoolSize > 0 && opening == 0 && total < settings.minPoolSize }

    /// A client has waited long enough to be given a server of the reserve.
    public func mayUseReserve(now: Int64) -> Bool {
        guard settings.limits.reserve > 0, settings.reservePoolTimeout > 0, let head = queue.head else { return false }
        return now - head.since >= settings.reservePoolTimeout
    }

    /// Whether a server may be opened now.
    public enum Opening: Sendable, Equatable {
        case no
        /// After a login that was refused; nobody is told before.
        case later(at: Int64)
        /// If the limits allow it (`granted`). `retryAfter`: the last login was refused, and so long is the pause that it must respect.
        case ask(mayUseReserve: Bool, retryAfter: Int64?)
    }

    /// Whether a server may be opened. `isWanted`: somebody waits for it. No login that was refused is tried again, where nobody does.
    public func mayOpen(isWanted: Bool, now: Int64, isStopping: Bool, _ whole: some WholePool) -> Opening {
        guard !isStopping, !isPaused else { return .no }
        let mayUseReserve = mayUseReserve(now: now)
        if isFull, !mayUseReserve { return .no }
        guard let failure = whole.failure else { return .ask(mayUseReserve: mayUseReserve, retryAfter: nil) }
        // One try at a time, and a pause after each.
        guard opening == 0 else { return .no }
        let pause = failure.pause(loginRetry: settings.serverLoginRetry, isWanted: isWanted, hasServers: whole.usable > 0)
        guard now >= failure.time + pause else { return failure.isRefusal && isWanted ? .later(at: failure.time + pause) : .no }
        return .ask(mayUseReserve: mayUseReserve, retryAfter: failure.isRefusal ? pause : nil)
    }

    /// What follows from the answer of the limits.
    public enum Grant: Sendable, Equatable {
        case open
        /// Beyond the pool's size.
        case openFromReserve
        /// Other pools have servers that count against the size of this one: one of them is to make room.
        case claimRoom
        /// A limit across pools: an idle server of some pool is to make room.
        case makeRoom
        case giveUp
    }

    /// The limits have answered (`CapacityLedger.openServer`). No server is closed for one that nobody waits for.
    public mutating func granted(_ verdict: CapacityLedger.ServerVerdict, isWanted: Bool, _ whole: some WholePool) -> Grant {
        switch verdict {
        case .granted: return .open
        case .grantedFromReserve: return .openFromReserve
        case .poolFull:
            isFull = true
            return isWanted && whole.isDivided ? .claimRoom : .giveUp
        case .databaseFull, .userFull: return isWanted ? .makeRoom : .giveUp
        }
    }

    /// There may be room that there was not before.
    public mutating func roomChanged() { isFull = false }

    /// The next replication client for which a server is to be opened; nil: there is none, or nobody gets one now.
    public func nextDedicated(isStopping: Bool) -> Slot? { isStopping || isPaused ? nil : awaitingDedicated.first?.client }
}
