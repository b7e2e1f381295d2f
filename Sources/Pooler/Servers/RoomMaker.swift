import EventLoop
import PoolCore

/// Room for servers where a limit is reached: idle servers of other pools are closed, here or at another worker, and pools that share a size
/// take turns (`RoomClaims`, `Eviction`).
final class RoomMaker: WorkerPart {
    unowned let worker: WorkerCore
    /// Pools, of all workers, that have no room though others of their family have servers.
    private var claims = RoomClaims()
    /// When another worker was last asked to close an idle server, and which one is next.
    private var lastEvictionRequest: Int64 = 0
    private var nextToAsk = 0

    /// So long passes between two requests to other workers (microseconds).
    private static let requestPause: Int64 = 50_000

    init(of worker: WorkerCore) { self.worker = worker }

    // MARK: A limit across pools

    /// A limit across pools is reached: the server that has been idle longest makes room. With none here, one other worker is asked, a
    /// different one each time.
    func makeRoom(for shard: PoolShard, _ verdict: CapacityLedger.ServerVerdict) {
        let (key, limits) = (shard.shared.key, shard.settings.limits)
        // A worker that has just been made does not know the others yet.
        let workers = worker.peers.count
        if evictIdle(for: key, verdict) || workers < 2 { return }
        guard now - lastEvictionRequest > Self.requestPause else { return }
        lastEvictionRequest = now
        nextToAsk = (nextToAsk + 1) % workers
        if nextToAsk == worker.index { nextToAsk = (nextToAsk + 1) % workers }
        worker.tell(nextToAsk, .makeRoom(key, limits, verdict))
    }

    /// Another worker had no room for a server of that pool. By now it may have some.
    func roomIsWanted(for key: CapacityLedger.PoolKey, _ limits: CapacityLedger.ServerLimits, _ verdict: CapacityLedger.ServerVerdict) {
        if shared.capacity.withLock({ $0.verdict(on: key, limits: limits) }) != .granted { evictIdle(for: key, verdict) }
    }

    /// Closes the server that has been idle longest of those that count against this limit. False: there is none.
    @discardableResult
    private func evictIdle(for key: CapacityLedger.PoolKey, _ verdict: CapacityLedger.ServerVerdict) -> Bool {
        guard let limit = verdict.evictingLimit else { return false }
        let candidates = worker.shards.values.compactMap { shard in
            Eviction.counts(shard.shared.key, hasDemand: shard.machine.hasDemand, against: limit, of: key)
                ? shard.machine.queue.longestIdle : nil
        }
        guard let victim = candidates.min(by: { $0.since < $1.since }), let server = worker.servers[victim.slot] else { return false }
        worker.close(server, .evicted(limit))
        return true
    }

    // MARK: A size that pools share

    /// The size that the pool shares with others is used up, and it wants a server.
    func claim(for shard: PoolShard) {
        let key = shard.shared.key
        if evictIdle(for: key, .poolFull) { return }
        let since = shard.machine.oldestDemand
        guard since < .max else { return }
        if claims.claim(key, since: since, now: now) { worker.tellOthers { .claimRoom(key, since: since) } }
    }

    /// The same of another worker's.
    func isClaimed(for key: CapacityLedger.PoolKey, since: Int64) {
        if !evictIdle(for: key, .poolFull) { _ = claims.claim(key, since: since, now: now) }
    }

    /// Somebody claims room.
    @inline(__always)
    var isWanted: Bool { !claims.isEmpty }

    /// Closes a free server if a pool of its family has waited for room for longer than its own clients wait. False: it goes on.
    func takes(_ server: ServerConnection) -> Bool {
        let own = server.shard.shared
        var oldestDemand = server.shard.machine.oldestDemand
        for worker in 0..<own.workers { oldestDemand = min(oldestDemand, own.oldestWaiter(of: worker)) }
        guard let key = claims.takeRival(of: own.key, oldestDemand: oldestDemand, now: now) else { return false }
        // Another server may have made room meanwhile.
        guard shared.capacity.withLock({ $0.verdict(on: key, limits: server.shard.settings.limits) }) == .poolFull else { return false }
        claims.beginYielding(to: key)
        defer { claims.endYielding() }
        worker.close(server, .otherStartupValues)
        return true
    }

    /// Room is just being made for another pool of the family.
    func isKept(from pool: CapacityLedger.PoolKey) -> Bool { claims.isYielding(pool) }
}
