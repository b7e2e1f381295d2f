import EventLoop
import PoolCore
import Synchronization

/// Room for pools whose startup values set them apart from the others of their family (`RoomClaims`).
extension WorkerCore {
    /// The size that the pool shares with others is used up, and it wants a server.
    func claimRoom(_ shard: PoolShard) {
        let key = shard.shared.key
        if evictIdle(for: key, .poolFull) { return }
        let since = shard.machine.oldestDemand
        guard since < .max else { return }
        if rooms.claim(key, since: since, now: now) { tellOthers { .claimRoom(key, since: since) } }
    }

    /// The same of another worker's.
    func claimRoom(for key: CapacityLedger.PoolKey, since: Int64) {
        if !evictIdle(for: key, .poolFull) { _ = rooms.claim(key, since: since, now: now) }
    }

    /// Closes a free server if a pool of its family has waited for room for longer than its own clients wait. False: it goes on.
    func yields(_ server: ServerConnection) -> Bool {
        let own = server.shard.shared
        var oldestDemand = server.shard.machine.oldestDemand
        for worker in 0..<own.workers { oldestDemand = min(oldestDemand, own.oldestWaiter(of: worker)) }
        guard let key = rooms.takeRival(of: own.key, oldestDemand: oldestDemand, now: now) else { return false }
        // Another server may have made room meanwhile.
        guard shared.capacity.withLock({ $0.verdict(on: key, limits: server.shard.settings.limits) }) == .poolFull else { return false }
        rooms.beginYielding(to: key)
        defer { rooms.endYielding() }
        close(server, .otherStartupValues)
        return true
    }
}
