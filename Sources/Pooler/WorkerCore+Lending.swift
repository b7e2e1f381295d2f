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

/// Servers move between workers, so that limits hold for the whole process and nobody starves beside an idle server.
///
/// Who enqueues a client stores that before it looks for idle servers elsewhere; who parks a server stores that before it looks for
/// waiters elsewhere. With sequentially consistent cells at least one of the two sees the other.
extension WorkerCore {
    /// A client of another worker that has waited this much longer (microseconds) goes first; below it, a server stays where it is,
    /// because moving one costs four system calls.
    private static let ownPreference: Int64 = 2_000
    /// While clients wait here too, the servers of a pool leave one by one, this far apart (microseconds), unless somebody has waited
    /// longer by `longPreference`. Waits differ by milliseconds all the time; servers that followed each difference would be moved to
    /// and fro, once in four transactions.
    private static let lendingPause: Int64 = 10_000
    private static let longPreference: Int64 = 20_000
    /// For the same client no other one leaves within this time (microseconds): the first is on its way, and its worker may not run just
    /// now. All servers would follow.
    private static let arrivalTime: Int64 = 1_000_000

    // MARK: Taking

    /// Asks a worker that has an idle server of this pool. False: none has.
    func borrow(_ shard: PoolShard) -> Bool {
        let cells = shard.shared.cells
        guard let lender = cells.indices.first(where: { $0 != index && cells[$0].idle.load(ordering: .sequentiallyConsistent) > 0 })
        else { return false }
        shard.borrowing += 1
        tell(lender, .lend(shard.shared.key, to: index))
        return true
    }

    /// `mayAskAgain`: at once. Not where the other worker shows a server that it can't give: that would be an endless conversation.
    func nothingToLend(_ key: CapacityLedger.PoolKey, mayAskAgain: Bool) {
        guard let shard = shards[key] else { return }
        shard.borrowing = max(0, shard.borrowing - 1)
        serve(shard, borrows: mayAskAgain)
    }

    func adopt(_ lent: consuming LentServer) {
        let key = lent.pool.key
        // What the server holds of statements has a meaning in the pool that it comes from only.
        guard let shard = shards[key] ?? shardOfPool(key), shard.shared === lent.pool else {
            if settings.logDisconnections {
                shared.log.info(
                    closing(.databaseRemoved as ServerCloseReason, since: lent.connectTime),
                    about: .server(id: lent.id, database: key.database, user: key.user, address: lent.address.description))
            }
            Connector.discard(lent.descriptor.release())
            shared.capacity.withLock { $0.closeServer(key) }
            lent.pool.countLogin(lent.generation, -1)
            lent.pool.countServer(lent.generation, -1)
            tellThoseWhoAwaitCloses()
            return
        }
        let slot = servers.reserve()
        var opening = Opening(shard: shard, generation: lent.generation, started: lent.connectTime)
        opening.host = lent.host
        let server = ServerConnection(
            slot: slot, id: lent.id, descriptor: lent.descriptor.release(), loop: loop, opening: opening, address: lent.address,
            now: lent.lastActivity, settings: lent.settings, phase: .idle)
        lent.tls?.move(to: tlsBuffers)
        server.tls = lent.tls
        server.session.statements = lent.statements
        server.uses = lent.uses
        server.cancelKey = lent.cancelKey
        server.listeners = lent.listeners
        servers.set(slot, server)
        shard.servers += 1
        shard.serversLent -= 1
        shard.borrowing = max(0, shard.borrowing - 1)
        // Where it comes from nobody has tested it: a server that rests again after its test would be given away and tested for ever.
        if lent.hasRested, needsCheck(server) { test(server) } else { free(server) }
        // Where it comes from there may be more.
        if shard.queue.waiting > 0 { serve(shard) }
    }

    private func shardOfPool(_ key: CapacityLedger.PoolKey) -> PoolShard? {
        configuration.database(named: key.database).map { shard(of: $0, user: key.user, startup: key.startup) }
    }

    // MARK: Giving

    func lend(_ key: CapacityLedger.PoolKey, to borrower: Int) {
        // Nobody here may be made to wait for it; for each of those who do wait another server is tested.
        let isKept = shards[key].map { $0.queue.idleCount > 0 && $0.queue.waiting > $0.testing } ?? false
        guard !isKept, let shard = shards[key], let server = takeRested(shard) else {
            tell(borrower, .nothingToLend(key, mayAskAgain: !isKept))
            return
        }
        guard isPortable(server) else {
            shard.queue.parkLast(server.slot)
            shard.publish()
            tell(borrower, .nothingToLend(key, mayAskAgain: false))
            return
        }
        handOver(server, to: borrower, hasRested: true)
    }

    /// Bytes that have been received, or not been sent, can't be taken along.
    private func isPortable(_ server: ServerConnection) -> Bool {
        sendPosted(for: server)
        return server.isClean && server.held.isEmpty && !server.isBroken
    }

    private func handOver(_ server: ServerConnection, to borrower: Int, hasRested: Bool) {
        let shard = server.shard
        shard.publish()
        let lent = LentServer(
            pool: shard.shared, id: server.id, descriptor: OwnedDescriptor(server.socket.detach()), address: server.address,
            host: server.host, tls: server.tls,
            settings: server.session.settings, uses: server.uses, statements: server.session.statements, cancelKey: server.cancelKey,
            generation: server.generation, listeners: server.listeners, connectTime: server.connectTime, lastActivity: server.lastActivity,
            hasRested: hasRested)
        server.tls = nil
        server.move(to: .closed)
        servers.remove(server.slot)
        shard.servers -= 1
        shard.serversLent += 1
        tell(borrower, .adoptServer(lent))
    }

    /// Gives a free server to another worker, if somebody there has waited clearly longer than everybody here. Where nobody waits here,
    /// the server is parked first, and `offerIdle` decides when all that came in this turn is handled.
    func lendToOldest(_ server: ServerConnection) -> Bool {
        let shard = server.shard
        guard let own = shard.queue.head?.since, isPortable(server) else { return false }
        let isTooSoon = now - shard.lastLending < Self.lendingPause
        guard let borrower = workerThatWaits(shard, since: own - (isTooSoon ? Self.longPreference : Self.ownPreference)) else {
            return false
        }
        shard.lastLending = now
        give(server, to: borrower, hasRested: false)
        return true
    }

    /// The other worker whose oldest waiter is the oldest of all, if it began to wait before `limit`. A waiter for whom a server has just
    /// left counts no more; if others wait there, too, `adopt` asks for more.
    private func workerThatWaits(_ shard: PoolShard, since limit: Int64) -> Int? {
        var oldest = limit
        var worker: Int?
        for (number, cell) in shard.shared.cells.enumerated() where number != index {
            let since = cell.oldestWaiter.load(ordering: .sequentiallyConsistent)
            guard since < oldest else { continue }
            if let gift = shard.gifts[number], gift.since == since, now - gift.time < Self.arrivalTime { continue }
            oldest = since
            worker = number
        }
        return worker
    }

    private func give(_ server: ServerConnection, to borrower: Int, hasRested: Bool) {
        let shard = server.shard
        shard.gifts[borrower] = (shard.shared.cells[borrower].oldestWaiter.load(ordering: .sequentiallyConsistent), now)
        handOver(server, to: borrower, hasRested: hasRested)
    }

    /// After parking a server: has `offerIdle` look at the end of the turn, since clients whose messages have come with it may want it.
    func offerIdleSoon(_ shard: PoolShard) {
        if isInTurn { offered.append(shard) } else { offerIdle(shard) }
    }

    func offerIdleNow() {
        while let shard = offered.popLast() { offerIdle(shard) }
    }

    /// Gives an idle server to the worker where somebody has waited longest.
    private func offerIdle(_ shard: PoolShard) {
        guard shard.queue.waiting == 0, shard.queue.idleCount > 0, let borrower = workerThatWaits(shard, since: .max),
            let server = takeRested(shard)
        else { return }
        guard isPortable(server) else {
            shard.queue.parkLast(server.slot)
            shard.publish()
            return
        }
        give(server, to: borrower, hasRested: true)
    }
}
