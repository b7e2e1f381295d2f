import Bytes
import Console
import PoolCore
import Synchronization

/// What operators do to the connections of a worker. The decisions are made on the main thread (PoolerProcess+Control.swift).
final class AdminController: WorkerPart {
    unowned let worker: WorkerCore
    let console: ConsoleClients
    /// All workers of the process, by index: to ask them.
    var workers: [Worker] = []
    /// What operators hold back.
    private(set) var state = AdminState()

    init(of worker: WorkerCore) {
        self.worker = worker
        console = ConsoleClients(of: worker)
    }

    /// Takes over what is paused and what is disabled.
    func apply(_ state: AdminState) {
        self.state = state
        for shard in worker.shards.values {
            let isPaused = state.pauses(shard.databaseName)
            guard shard.machine.adminChanged(isPaused: isPaused) else { continue }
            if isPaused { emptyPool(shard) } else if shard.machine.hasDemand { worker.opener.serve(shard) }
        }
    }

    /// Closes the servers that nobody uses; the others follow when they are free (`assignOrPark`).
    private func emptyPool(_ shard: PoolShard) {
        for server in worker.servers.all where server.shard === shard {
            if PoolStateMachine.isClosedByPause(server.phase, isDedicated: server.isDedicated) { worker.close(server, .paused) }
        }
    }

    /// Whether a command for one database, or for all of them, is about this pool.
    private func isMeant(_ shard: PoolShard, by database: String?) -> Bool {
        database.map(shard.databaseName.hasSameBytes(as:)) ?? true
    }

    /// RECONNECT: servers that are older than now are not used again.
    func replaceServers(of database: String?) {
        for shard in worker.shards.values where isMeant(shard, by: database) {
            shard.generation = shard.shared.generation.load(ordering: .acquiring)
        }
        for server in worker.servers.all where isMeant(server.shard, by: database) {
            if server.phase == .idle, worker.isObsolete(server) { worker.close(server, .configurationChanged) }
        }
    }

    /// KILL: everybody goes at once.
    func killConnections(of database: String?) {
        func isMeant(_ shard: PoolShard?) -> Bool { shard.map { self.isMeant($0, by: database) } ?? false }
        for server in worker.servers.all where isMeant(server.shard) {
            // PostgreSQL would run the query to its end.
            if server.session.ledger.isRunning { worker.cancels.cancelForGood(server) }
            worker.close(server, .adminDisconnect)
        }
        for client in worker.clients.all where isMeant(client.shard) { worker.fail(client, .adminDisconnect) }
    }

    /// KILL_CLIENT. False: no such client here.
    func killClient(_ id: UInt64) -> Bool {
        guard let client = client(withID: id) else { return false }
        worker.fail(client, .adminDisconnect)
        return true
    }

    func client(withID id: UInt64) -> ClientConnection? {
        var found: ClientConnection?
        worker.clients.visit { if $0.id == id { found = $0 } }
        return found
    }

    /// A server connection is gone: PAUSE and WAIT_CLOSE may be waiting for it.
    func tellThoseWhoAwaitCloses() {
        if shared.adminRequests.isAwaited.load(ordering: .sequentiallyConsistent) { shared.adminRequests.post(.check) }
    }
}
