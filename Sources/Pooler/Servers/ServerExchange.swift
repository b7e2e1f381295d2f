import EventLoop
import PoolCore
import PostgresWire
import Synchronization
import TLS
import Telemetry

/// An idle server on its way from one worker to another. Of its session nothing is left between two transactions but what it is set to
/// and which statements it holds.
struct LentServer: ~Copyable, Sendable {
    let pool: SharedPool
    let id: UInt64
    let descriptor: OwnedDescriptor
    let address: SocketAddress
    let host: String?
    let tls: TLSSession?
    let settings: ServerParameters
    let uses: Int
    let statements: ServerStatements
    let cancelKey: CancelKey?
    let generation: UInt32
    let listeners: Set<UInt64>
    let connectTime: Int64
    let lastActivity: Int64
    /// It lay idle; else it comes straight from its last client.
    let hasRested: Bool
}

/// Servers on their way between workers; which of them go where, and when, is decided by `PoolStateMachine` (+Migration).
final class ServerExchange: WorkerPart {
    unowned let worker: WorkerCore
    /// The pools of servers that have become idle in this turn, once for each, while there are other workers.
    private var offered: [PoolShard] = []

    init(of worker: WorkerCore) { self.worker = worker }

    // MARK: Taking

    /// `mayAskAgain`: at once. Not where the other worker shows a server that it can't give: that would be an endless conversation.
    func nothingToLend(_ key: CapacityLedger.PoolKey, mayAskAgain: Bool) {
        guard let shard = worker.shards[key] else { return }
        shard.machine.borrowingFailed()
        worker.opener.serve(shard, borrows: mayAskAgain)
    }

    func adopt(_ lent: consuming LentServer) {
        let key = lent.pool.key
        // What the server holds of statements has a meaning in the pool that it comes from only.
        guard let shard = worker.shards[key] ?? shardOfPool(key), shard.shared === lent.pool else {
            if settings.logDisconnections {
                shared.log.info(
                    worker.closing(.databaseRemoved as ServerCloseReason, since: lent.connectTime),
                    about: .server(id: lent.id, database: key.database, user: key.user, address: lent.address.description))
            }
            Connector.discard(lent.descriptor.release())
            shared.capacity.withLock { $0.closeServer(key) }
            lent.pool.countLogin(lent.generation, -1)
            lent.pool.countServer(lent.generation, -1)
            worker.admin.tellThoseWhoAwaitCloses()
            return
        }
        let slot = worker.servers.reserve()
        var opening = Opening(shard: shard, generation: lent.generation, started: lent.connectTime)
        opening.host = lent.host
        let server = ServerConnection(
            slot: slot, id: lent.id, descriptor: lent.descriptor.release(), loop: worker.loop, opening: opening, address: lent.address,
            now: lent.lastActivity, settings: lent.settings, phase: .idle)
        if let session = lent.tls {
            session.move(to: worker.transport.tlsBuffers)
            server.channel.encrypt(with: session)
        }
        server.session.statements = lent.statements
        server.uses = lent.uses
        server.cancelKey = lent.cancelKey
        server.listeners = lent.listeners
        worker.servers.set(slot, server)
        shard.machine.arrived()
        // Where it comes from nobody has tested it: a server that rests again after its test would be given away and tested for ever.
        if lent.hasRested, shard.machine.needsTest(restingSince: server.lastActivity, now: now) {
            shard.machine.testBegan()
            worker.test(server)
        } else {
            worker.returnToPool(server)
        }
        // Where it comes from there may be more.
        if shard.machine.queue.waiting > 0 { worker.opener.serve(shard) }
    }

    private func shardOfPool(_ key: CapacityLedger.PoolKey) -> PoolShard? {
        configuration.database(named: key.database).map { worker.pools.shard(of: $0, user: key.user, startup: key.startup) }
    }

    // MARK: Giving

    func lend(_ key: CapacityLedger.PoolKey, to borrower: Int) {
        let isKept = worker.shards[key]?.machine.keepsIdleServers ?? false
        guard !isKept, let shard = worker.shards[key], let server = worker.takeIdle(shard, isTested: false) else {
            worker.tell(borrower, .nothingToLend(key, mayAskAgain: !isKept))
            return
        }
        guard isPortable(server) else {
            keepIdle(server)
            worker.tell(borrower, .nothingToLend(key, mayAskAgain: false))
            return
        }
        shard.machine.left()
        handOver(server, to: borrower, hasRested: true)
    }

    /// An idle server was taken for another worker, and can't be moved.
    private func keepIdle(_ server: ServerConnection) {
        guard server.isOpen else { return }
        server.shard.machine.staysIdle(server.slot, generation: server.generation, since: server.lastActivity)
    }

    /// Bytes that have been received, or not been sent, can't be taken along.
    func isPortable(_ server: ServerConnection) -> Bool {
        worker.sendPosted(for: server)
        return server.isClean && server.held.isEmpty && !server.isBroken
    }

    private func handOver(_ server: ServerConnection, to borrower: Int, hasRested: Bool) {
        let shard = server.shard
        let session = server.tls
        let lent = LentServer(
            pool: shard.shared, id: server.id, descriptor: server.channel.detach(), address: server.address,
            host: server.host, tls: session,
            settings: server.session.settings, uses: server.uses, statements: server.session.statements, cancelKey: server.cancelKey,
            generation: server.generation, listeners: server.listeners, connectTime: server.connectTime, lastActivity: server.lastActivity,
            hasRested: hasRested)
        server.move(to: .closed)
        worker.servers.remove(server.slot)
        worker.tell(borrower, .adoptServer(lent))
    }

    /// A free server goes to a worker that did not ask for it.
    func migrate(_ server: ServerConnection, to borrower: Int, isIdle: Bool) {
        let shard = server.shard
        shard.machine.migrates(to: borrower, isIdle: isIdle, now: now, shard.shared)
        handOver(server, to: borrower, hasRested: isIdle)
    }

    /// After parking a server: has `offerIdle` look at the end of the turn, since clients whose messages have come with it may want it.
    func offerIdleSoon(_ shard: PoolShard) {
        if worker.transport.isInTurn { offered.append(shard) } else { offerIdle(shard) }
    }

    func offerIdleNow() {
        while let shard = offered.popLast() { offerIdle(shard) }
    }

    /// Gives an idle server to the worker where somebody has waited longest.
    private func offerIdle(_ shard: PoolShard) {
        guard let borrower = shard.machine.borrowerOfIdle(now: now, shard.shared), let server = worker.takeIdle(shard, isTested: false)
        else {
            return
        }
        if isPortable(server) { migrate(server, to: borrower, isIdle: true) } else { keepIdle(server) }
    }
}
