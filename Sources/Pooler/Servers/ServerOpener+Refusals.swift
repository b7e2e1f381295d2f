import EventLoop
import PoolCore
import PostgresWire
import Synchronization

/// Logins that the server refuses: who hears of it, and when the next one is tried (`PoolFailure`).
extension ServerOpener {
    // MARK: Who hears of it

    /// The server has refused a login: those who waited for it may hear why, and for the others it is tried again.
    func loginFailed(_ key: CapacityLedger.PoolKey) {
        guard let shard = worker.shards[key], let failure = shard.shared.failure else { return }
        if worker.logins.forgetsName(shard, failure.fields) { return }
        if let refused = shard.machine.loginRefused(shard.shared) {
            for slot in refused.clients {
                if let client = worker.clients[slot] { worker.fail(client, refused.error) }
            }
            for lookup in refused.lookups { worker.logins.answer(lookup, .unavailable(refused.error)) }
        }
        if shard.machine.hasDemand { serve(shard) }
    }

    // MARK: The next try

    /// Takes the right to a login after one that was refused: of the pool, and of the process.
    func takeTry(_ shard: PoolShard, after pause: Int64) -> Bool {
        shard.shared.takeTry(after: pause, now: now) && shared.loginTries.withLock { $0.take(now: now) }
    }

    /// Looks after those who wait for a login again at that time, or before. A moment that is farther away is left to the janitor.
    func wakeForLogins(at moment: Int64) {
        guard loginsDue == .max, moment - now <= 3 * PoolFailure.refusalPause else { return }
        let time = max(1_000, min(moment - now, PoolFailure.refusalPause))
        loginsDue = now + time
        worker.loop.wake(after: time)
    }

    /// Those whose login was refused longest ago come first, or a crowd of others would take all tries.
    func tryLogins() {
        loginsDue = .max
        let failing = worker.shards.values.compactMap { shard in
            shard.machine.hasDemand ? shard.shared.failure.flatMap { $0.isRefusal ? (shard: shard, time: $0.time) : nil } : nil
        }
        for (shard, _) in failing.sorted(by: { $0.time < $1.time }) { serve(shard) }
    }
}
