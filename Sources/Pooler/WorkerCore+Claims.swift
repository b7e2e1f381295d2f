import EventLoop
import PoolCore
import Synchronization

/// Somebody waits in a pool that has no room for another server, since other pools of its family have them all.
struct Claim {
    /// Since when the client waits that has waited longest.
    let since: Int64
    /// When this was said last. Who still waits says it again.
    let time: Int64
}

/// Room for pools whose startup values set them apart from the others of their family: these hold servers that are no use to them.
///
/// An idle server makes room at once. Where all are busy, the next one that is free is closed for the pool that has waited longest, as long
/// as the clients of its own pool have not waited about as long: a server that is opened anew for each transaction would serve nobody well.
extension WorkerCore {
    /// For so long the clients of a pool may go first though those of another one have waited longer (microseconds).
    private static let turn: Int64 = 50_000
    /// A claim is void when it has not been repeated for so long (microseconds); the janitor repeats it more often.
    private static let claimLife: Int64 = 1_000_000

    /// Since when the client of a pool waits that has waited longest here, for whatever; `Int64.max`: nobody does.
    private func oldestDemand(_ shard: PoolShard) -> Int64 {
        let greeted = shard.awaitingGreeting.lazy.compactMap { self.clients[$0]?.requestTime }.min() ?? .max
        return min(shard.queue.head?.since ?? .max, greeted)
    }

    /// The size that the pool shares with others is used up, and it wants a server.
    func claimRoom(_ shard: PoolShard) {
        let key = shard.shared.key
        if evictIdle(for: key, .poolFull) { return }
        let since = oldestDemand(shard)
        guard since < .max else { return }
        let isNews = claims[key].map { now - $0.time > Self.turn } ?? true
        claims[key] = Claim(since: since, time: now)
        if isNews { tellOthers { .claimRoom(key, since: since) } }
    }

    /// The same of another worker's.
    func claimRoom(for key: CapacityLedger.PoolKey, since: Int64) {
        if !evictIdle(for: key, .poolFull) { claims[key] = Claim(since: since, time: now) }
    }

    /// Closes a free server if a pool of its family has waited for room for longer than its own clients wait. False: it goes on.
    func yields(_ server: ServerConnection) -> Bool {
        if claims.isEmpty { return false }
        claims = claims.filter { now - $0.value.time < Self.claimLife }
        let own = server.shard.shared
        var limit = oldestDemand(server.shard)
        for cell in own.cells { limit = min(limit, cell.oldestWaiter.load(ordering: .sequentiallyConsistent)) }
        if limit < .max { limit -= Self.turn }
        let rivals = claims.filter { $0.key.family == own.key.family && $0.key != own.key && $0.value.since < limit }
        guard let (key, _) = rivals.min(by: { $0.value.since < $1.value.since }) else { return false }
        claims[key] = nil
        // Another server may have made room meanwhile.
        guard shared.capacity.withLock({ $0.verdict(on: key, limits: server.shard.settings.limits) }) == .poolFull else { return false }
        yieldsTo = key
        defer { yieldsTo = nil }
        close(server, .otherStartupValues)
        return true
    }

    /// Room has just been made for another pool of the family.
    func isYielding(_ shard: PoolShard) -> Bool {
        guard let yieldsTo else { return false }
        return yieldsTo != shard.shared.key && yieldsTo.family == shard.shared.key.family
    }
}
