import EventLoop
import PoolCore
import PostgresWire
import Synchronization

/// The last login of a pool was refused, and it has no server.
struct StandingRefusal {
    let error: PoolerError
    /// When that login began.
    let started: Int64
    /// Who has waited for so long hears of it.
    let patience: Int64
}

/// Logins that the server refuses: who hears of it, and when the next one is tried.
///
/// A refusal is about one login. The database may be there a moment later, the password may be changed, a connection may be free again.
/// So it is told, in the server's own words, to those who have waited for that login, and to nobody else; who comes later is a reason to
/// try again. A server that can't be reached at all is another thing: there `server_login_retry` is the pause.
extension WorkerCore {
    /// Between a refused login and the next one of the same pool, in microseconds.
    static let refusalPause: Int64 = 100_000
    /// Who waits for a server that is starting up hears of it after this time (microseconds).
    private static let startupPatience: Int64 = 15_000_000

    // MARK: Who hears of it

    /// What a client hears at once, while no server of the pool can be reached.
    func cachedFailure(_ shard: PoolShard) -> PoolerError? {
        guard let failure = shard.shared.failure, !failure.isRefusal, shard.shared.connected == 0,
            now < failure.time + settings.serverLoginRetry
        else { return nil }
        return .serverLoginFailing(String((failure.fields.message ?? "connect failed").prefix(99)))
    }

    /// The server has refused a login: with no server left that could serve them, those who waited for it hear why at once. For who came
    /// later, and while a server starts up, it is tried again.
    func loginFailed(_ key: CapacityLedger.PoolKey) {
        guard let shard = shards[key], let failure = shard.shared.failure else { return }
        if forgetsName(shard, failure.fields) { return }
        if !failure.isTemporary, shard.shared.usable == 0 {
            let error = PoolerError.serverLoginFailed(failure.fields)
            for waiter in shard.queue.allWaiting where waiter.since <= failure.started {
                if let client = clients[waiter.client] { fail(client, error) }
            }
            for slot in shard.awaitingGreeting {
                if let client = clients[slot], client.requestTime <= failure.started { fail(client, error) }
            }
            failLookups(shard) { $0.since <= failure.started ? error : nil }
        }
        if shard.hasDemand { serve(shard) }
    }

    /// What somebody hears whose time is up: the server's own words, if a login was refused that began while he waited.
    func standingRefusal(_ shard: PoolShard) -> StandingRefusal? {
        guard let failure = shard.shared.failure, failure.isRefusal, shard.shared.usable == 0 else { return nil }
        return StandingRefusal(
            error: .serverLoginFailed(failure.fields), started: failure.started,
            patience: failure.isTemporary ? Self.startupPatience : .max)
    }

    // MARK: The next try

    /// How long the pool waits after a failure.
    func pause(after failure: SharedPool.Failure, _ shard: PoolShard, isWanted: Bool) -> Int64 {
        guard failure.isRefusal, isWanted else { return settings.serverLoginRetry }
        let first = max(Self.refusalPause / 10, min(Self.refusalPause, settings.serverLoginRetry))
        // The pool has servers, and would like more than it gets: there the pause grows.
        guard shard.shared.usable > 0 else { return first }
        return max(first, min(first << Int64(min(failure.refusals - 1, 20)), settings.serverLoginRetry))
    }

    /// Takes the right to a login after one that was refused: of the pool, and of the process.
    func takeTry(_ shard: PoolShard, after pause: Int64) -> Bool {
        shard.shared.takeTry(after: pause, now: now) && shared.loginTries.withLock { $0.take(now: now) }
    }

    /// Looks after those who wait for a login again at that time, or before. A moment that is farther away is left to the janitor.
    func wakeForLogins(at moment: Int64) {
        guard loginsDue == .max, moment - now <= 3 * Self.refusalPause else { return }
        let time = max(1_000, min(moment - now, Self.refusalPause))
        loginsDue = now + time
        loop.wake(after: time)
    }

    /// Those whose login was refused longest ago come first, or a crowd of others would take all tries.
    func tryLogins() {
        loginsDue = .max
        let failing = shards.values.compactMap { shard in
            shard.hasDemand ? shard.shared.failure.flatMap { $0.isRefusal ? (shard: shard, time: $0.time) : nil } : nil
        }
        for (shard, _) in failing.sorted(by: { $0.time < $1.time }) { serve(shard) }
    }
}
