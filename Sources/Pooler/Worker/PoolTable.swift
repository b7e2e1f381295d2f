import Bytes
import Configuration
import EventLoop
import PoolCore
import Statistics

/// The pools of one worker: its shard of each, made on first use, and forgotten when nobody has used it for a while.
final class PoolTable: WorkerPart {
    unowned let worker: WorkerCore
    private(set) var shards: [CapacityLedger.PoolKey: PoolShard] = [:]
    /// What was counted for pools that other workers still have.
    private(set) var forgotten: [CapacityLedger.PoolKey: ForgottenShard] = [:]

    init(of worker: WorkerCore) { self.worker = worker }

    /// The shard of this worker for a pool, made on first use.
    func shard(of database: Database, user: String, isForLookups: Bool = false, startup: StartupValues = .none) -> PoolShard {
        let key = CapacityLedger.PoolKey(database: database.name, user: user, isForLookups: isForLookups, startup: startup)
        if let shard = shards[key] { return shard }
        let settings = PoolSettings(configuration, database: database, user: user)
        let pool = shared.pool(key, workers: shared.clientsOfWorkers.count)
        let before = forgotten.removeValue(forKey: key).flatMap { $0.shared === pool ? $0.statistics : nil }
        let shard = PoolShard(
            shared: pool, worker: worker.index, database: database, settings: settings, isPaused: worker.admin.state.pauses(database.name),
            serversLent: before?.gauges.serversLent ?? 0)
        // After the pool has been made: the name goes with the database's last pool.
        if configuration.databases[database.name] == nil, shared.isNewAutoDatabase(database.name) {
            shared.log.info("registered new auto-database: db=\(database.name)")
        }
        if let before {
            shard.counters = before.counters
            shard.tally = PeriodTally(countedBefore: before.counters.totals)
        }
        worker.janitor.advanceStatements(shard)
        shards[key] = shard
        return shard
    }

    /// The database is not in the file any more.
    func remove(_ shard: PoolShard) {
        shard.shared.forgetServersOnce(for: shard.database, isRemoved: true)
        worker.logins.failLookups(shard) { _ in .databaseRemoved }
        // Those who wait first: they must not get the servers of those who leave.
        for waiter in shard.machine.queue.allWaiting { worker.clients[waiter.client].map { worker.fail($0, .databaseRemoved) } }
        for client in worker.clients.all where client.shard === shard { worker.fail(client, .databaseRemoved) }
        for server in worker.servers.all where server.shard === shard { worker.close(server, .databaseRemoved) }
        forget(shard)
    }

    private func forget(_ shard: PoolShard) {
        shards[shard.shared.key] = nil
        forgotten[shard.shared.key] = ForgottenShard(shard)
        shard.isForgotten = true
        worker.logins.forgetTemplates()
        shared.forgetShard(of: shard.shared)
    }

    /// Pools that nobody uses go after a while.
    func forgetUnused() {
        if !forgotten.isEmpty { forgotten = forgotten.filter { $0.value.isNeeded } }
        for shard in shards.values {
            while true {
                switch retirement(of: shard) {
                case .stay: break
                case .closeIdle:
                    for server in worker.servers.all where server.shard === shard && server.phase == .idle {
                        worker.close(server, .poolIdleTimeout)
                    }
                    continue
                case .forget: forget(shard)
                }
                break
            }
        }
    }

    private func retirement(of shard: PoolShard) -> PoolStateMachine.Retirement {
        let isKeptWarm = shard.settings.minPoolSize > 0 && shard.database.forcedUser?.hasSameBytes(as: shard.shared.key.user) == true
        return shard.machine.retirement(
            clients: shard.clients, clientsOfAll: shard.shared.clients.load(), isKeptWarm: isKeptWarm,
            isSpecial: !shard.shared.key.startup.isEmpty, isOrphaned: shard.isOrphaned, now: now)
    }

    // MARK: Another user

    /// The pool that a client belongs to, if a reload has given its database another user, or taken a forced one away.
    private func home(of client: ClientConnection, now shard: PoolShard) -> PoolShard? {
        let user = shard.database.forcedUser ?? client.user
        if user.hasSameBytes(as: shard.shared.key.user) { return nil }
        return self.shard(of: shard.database, user: user, startup: shard.shared.key.startup)
    }

    /// Moves a client that has no server to the pool that it belongs to. Its parameters mean the same there.
    func rehome(_ client: ClientConnection) {
        guard let old = client.shard, let new = home(of: client, now: old) else { return }
        old.clients -= 1
        new.clients += 1
        client.shard = new
        let table = new.shared.parameters
        client.session.parameters = client.session.parameters.map {
            table.intern(reported: $0.reported, unreported: $0.unreported, byServer: false)
        }
        client.session.startup = client.session.startup.map {
            table.intern(reported: $0.reported, unreported: $0.unreported, byServer: false)
        }
    }

    /// Those who wait would wait for servers that nobody opens any more.
    func rehomeWaiting(_ shard: PoolShard) {
        for waiter in shard.machine.queue.allWaiting {
            guard let client = worker.clients[waiter.client], case .waiting(let ticket) = client.phase else { continue }
            shard.machine.clientLeaves(ticket)
            client.move(to: .idle)
            worker.requestServer(client)
            worker.carryOn(client)
        }
        for waiter in shard.machine.takeAwaitingGreeting() {
            guard let client = worker.clients[waiter.client], let login = client.login else { continue }
            rehome(client)
            guard let new = client.shard else { continue }
            new.machine.awaitGreeting(waiter.client, since: waiter.since)
            if let greeting = new.shared.greeting { worker.logins.admit(client, login, greeting) } else { worker.opener.serve(new) }
        }
        for waiter in shard.machine.takeAwaitingDedicated() {
            guard let client = worker.clients[waiter.client] else { continue }
            rehome(client)
            client.shard?.machine.awaitDedicated(waiter.client, since: waiter.since)
            client.shard.map(worker.opener.serveDedicated)
        }
    }
}
