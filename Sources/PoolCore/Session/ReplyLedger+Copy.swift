import PostgresWire

/// COPY from the client: the one place of the protocol where it can be uncertain what a server will answer.
///
/// While a COPY reads, it ignores Sync. A Sync that the server reads after the COPY has failed is answered. Which of the two happened
/// does not show in the error. So:
///
/// - Until CopyInResponse has come, no CopyData, CopyDone or CopyFail is sent: `ServerSession` makes them wait.
/// - Syncs inside a COPY are counted (`syncsInCopy`), and nothing but COPY messages and Syncs is sent behind them before the COPY's outcome
///   is known.
/// - If the COPY fails, nothing is sent but a probe: a Close of a portal that nobody has and a Sync, behind another Sync of the pooler's own
///   where the server may be skipping. How many ReadyForQuery come before the CloseComplete tells how many Syncs the COPY had not read. (An
///   empty query would do, too, but it drops the unnamed statement.)
extension ReplyLedger {
    /// CopyInResponse for the head. False: there is more behind it than Syncs, and no way to tell what the COPY makes of it.
    mutating func beginCopy(_ first: Owed) -> Bool {
        while owed.count > 1, owed[1].request == .sync { liftSync() }
        if first.request == .execute {
            guard owed.count == 1 else { return false }
            isUnsynced = true
            mayBeSkipped = true
        }
        copy = .receiving
        return true
    }

    /// Takes out the Sync behind the head: the COPY at the head ignores it if it reads it.
    private mutating func liftSync() {
        let sync = owed.removeSecond()
        uncount(sync)
        if sync.note != 0 { lifted.append(sync) }
        syncsInCopy += 1
    }

    /// Enters a Sync, CopyDone or CopyFail of the client, sent while the COPY reads.
    mutating func enterInCopy(_ type: UInt8) {
        assert(copy == .receiving)
        if type == Frontend.sync { syncsInCopy += 1 } else { copy = .ended }
    }

    mutating func endCopy() {
        copy = .none
        syncsInCopy = 0
    }

    /// The simple query at the head has failed in its COPY and is answered.
    mutating func doubtSyncsOfQuery() {
        defer { syncsInCopy = 0 }
        guard let next = owed.first, next.request != .sync else {
            takeSyncs()
            doubt = Doubt(needsSync: false)
            return
        }
        // What the client sent behind the Syncs is answered by something else first, and that tells.
        looseReadies = syncsInCopy
    }

    /// The Execute at the head has failed in its COPY. Behind it are none but Syncs that the COPY can't have read.
    mutating func doubtSyncsOfExecute() {
        syncsInCopy = 0
        let needsSync = owed.isEmpty
        takeSyncs()
        doubt = Doubt(needsSync: needsSync)
        isUnsynced = true
    }

    private mutating func takeSyncs() {
        while let entry = owed.first, entry.request == .sync {
            pop()
            if entry.note != 0 { lifted.append(entry) }
        }
    }

    // MARK: The probe

    /// A probe has to be sent now, and whether a Sync goes ahead of it; nil: there is no doubt that a probe would end.
    var probeNeedsSync: Bool? {
        guard let doubt, !doubt.isProbed else { return nil }
        return doubt.needsSync
    }

    mutating func enterProbe() {
        doubt?.isProbed = true
        enter(.probe, .swallow)
        isUnsynced = true
    }

    /// A ReadyForQuery for a Sync that the COPY has not read.
    mutating func readyInDoubt() -> Verdict {
        if looseReadies > 0 {
            looseReadies -= 1
            return .ready(Owed(request: .sync, disposition: .forward, note: 0))
        }
        guard doubt != nil else { return .violation }
        doubt?.readies += 1
        return .counted
    }

    mutating func answeredProbe() -> Verdict {
        guard let known = doubt, !known.isAnswered else { return .violation }
        doubt?.isAnswered = true
        return .swallow
    }

    mutating func readyOfProbe() -> Verdict {
        guard let known = doubt else { return .violation }
        guard known.isAnswered else { return readyInDoubt() }
        // The last one before the probe's answer was for the pooler's own Sync.
        let readies = known.readies - (known.needsSync ? 1 : 0)
        guard readies >= 0 else { return .violation }
        pop()
        doubt = nil
        // The COPY has read all of the client's Syncs: what the client sends up to its next one is skipped, as the server would have done.
        isSkipping = known.needsSync && readies == 0
        isUnsynced = isSkipping
        mayBeSkipped = false
        return .resolved(readies: readies)
    }
}
