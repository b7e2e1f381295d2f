import PoolCore
import PostgresWire
import Synchronization

/// How long clients wait for a server: with a query, for the greeting at the end of a login, or for the answer of `auth_query`.
final class WaitNotices: WorkerPart {
    unowned let worker: WorkerCore

    init(of worker: WorkerCore) { self.worker = worker }

    private func patience(_ shard: PoolShard) -> WaitPatience {
        shard.machine.patience(isStopping: shared.isStopping, shard.shared)
    }

    /// The error with the reason of the waiting, for a client that has shown who it is; nil when other workers have been asked first.
    private func withReason(_ error: PoolerError, _ shard: PoolShard, since: Int64) -> PoolerError? {
        switch error {
        case .queryWaitTimeout:
            guard let words = words(on: shard, since: since) else { return nil }
            return .queryWaitTimeout(detail: words.detail, hint: words.hint)
        case .loginTimeout:
            guard let words = words(on: shard, since: since) else { return nil }
            switch words.limit {
            case .unreachable, .opening: return .loginTimeoutServerDown(detail: words.detail, hint: words.hint)
            default: return .loginTimeout(detail: words.detail, hint: words.hint)
            }
        default:
            return error
        }
    }

    // MARK: With a query

    func checkWaiting() {
        for shard in worker.shards.values where shard.machine.queue.waiting > 0 { checkWaiting(shard) }
    }

    func checkWaiting(_ shard: PoolShard) {
        let notifyAfter = settings.queryWaitNotify > 0 ? Int64(settings.queryWaitNotify) * 1_000_000 : .max
        for waiter in shard.machine.overdue(now: now, notifyAfter: notifyAfter, isStopping: shared.isStopping, shard.shared) {
            guard let client = worker.clients[waiter.client] else { continue }
            if let end = waiter.end {
                guard let error = withReason(end, shard, since: waiter.since) else { return }
                worker.fail(client, error)
            } else if !client.wasNotified, client.login == nil {
                guard let words = words(on: shard, since: waiter.since) else { return }
                notifyOfWaiting(client, words.detail, words.hint)
            }
        }
    }

    private func notifyOfWaiting(_ client: ClientConnection, _ detail: String, _ hint: String) {
        client.wasNotified = true
        var writer = MessageWriter()
        writer.notice(
            ErrorFields(
                severity: "NOTICE", code: SQLState.successfulCompletion,
                message: "No server connection available in postgres backend, client being queued", detail: detail, hint: hint))
        worker.send(writer.bytes, to: client)
    }

    // MARK: In the login

    func checkLogins() {
        checkLookups()
        guard worker.logins.underWay > 0 else { return }
        let limit = settings.clientLoginTimeout > 0 ? settings.clientLoginTimeout : .max
        for client in worker.clients.all {
            switch client.phase {
            case .startup, .authenticating:
                if now - client.connectTime > limit { worker.fail(client, .loginTimeout()) }
            case .waiting where client.login != nil:
                // For a server to try its values on; `checkWaiting` bounds the wait, too.
                if now - client.connectTime > limit { worker.fail(client, .loginTimeout()) }
            case .awaitingGreeting:
                guard let shard = client.shard else { continue }
                let patience = patience(shard)
                var end = patience.end(since: client.requestTime, now: now)
                if end == nil, now - client.connectTime > limit { end = patience.words(since: client.requestTime) ?? .loginTimeout() }
                if let end, let error = withReason(end, shard, since: client.requestTime) { worker.fail(client, error) }
            default:
                break
            }
        }
    }

    /// Questions of `auth_query` that wait for a server. Nobody has shown yet who he is, so nothing is explained.
    private func checkLookups() {
        for shard in worker.shards.values where !shard.machine.lookups.isEmpty {
            let patience = patience(shard)
            worker.logins.failLookups(shard) { patience.end(since: $0.since, now: now) }
        }
    }
}
