import EventLoop
import PoolCore
import PostgresWire
import Synchronization
import TLS
import Telemetry

/// The client socket that asked for a cancel, here or at another worker. Its slot may be somebody else's by the time of the answer, its id
/// is not.
struct CancelRequester {
    let worker: Int
    let slot: UInt32
    let id: UInt64
}

/// The cancel requests about one server: one on its way, and at most one behind it. Thousands may ask for the same; all that ask while
/// one is on its way share the next one, for that one may have hit an earlier query.
final class ServerCancels {
    /// The one on its way.
    var connection: CancelConnection?
    /// Another one is asked for, since then, by these; nobody may be among them, for the pooler itself asks, too.
    var isNextWanted = false
    var requesters: [CancelRequester] = []
    var since: Int64 = 0
    /// It waits for room among the cancel requests of the process.
    var isQueued = false
}

/// A cancel request on its way to PostgreSQL, on a connection of its own.
final class CancelConnection {
    /// Connections of this kind at any time, of all workers.
    static let most = 64

    let slot: UInt32
    let id: UInt64
    var socket: Socket
    let key: CancelKey
    /// The server that runs the query; it is not given to anybody else before this is over.
    let server: ServerConnection
    let requesters: [CancelRequester]
    let startTime: Int64
    /// How far it has come on its own connection, which is as encrypted as the server's.
    enum Progress {
        case connecting
        case requestingTLS(TLSContext)
        case shakingHands
        case sent
    }
    var progress = Progress.connecting
    var tls: TLSSession?
    var isSent: Bool { if case .sent = progress { true } else { false } }

    init(
        slot: UInt32, id: UInt64, descriptor: Int32, loop: EventLoop, key: CancelKey, server: ServerConnection,
        requesters: [CancelRequester], now: Int64
    ) {
        self.slot = slot
        self.id = id
        self.key = key
        self.server = server
        self.requesters = requesters
        startTime = now
        socket = Socket(adopting: descriptor, on: loop, token: TokenKind.cancel.token(slot))
    }
}

/// Cancel requests of one worker: they reach the query of the client whose key they carry, and no other.
final class CancelService: WorkerPart {
    unowned let worker: WorkerCore
    /// Requests that belong to other processes.
    let peers: PeerCancels
    /// Connections that carry requests to PostgreSQL.
    private(set) var connections = SlotTable<CancelConnection>()
    /// Servers about which there are requests that wait for room in the process.
    private var queue: [ServerConnection] = []

    init(of worker: WorkerCore) {
        self.worker = worker
        peers = PeerCancels(of: worker)
    }

    /// Servers about which there are requests that wait for room.
    var waiting: Int { queue.count }

    /// A client socket turned out to carry a CancelRequest. It gets no answer; it is closed when the request has been delivered.
    func requested(_ client: ClientConnection, _ wire: CancelKey) {
        client.login = nil
        let (key, address): (UInt64, CancelDirectory.Address)
        switch shared.cancels.find(wire) {
        case .nowhere(let refusal):
            worker.close(client, .cancelRefused(refusal))
            return
        case .peer(let peer, let forwarded):
            worker.snapshots.counters.cancelRequests &+= 1
            peers.forward(client, key: forwarded, to: peer)
            return
        case .here(let found, let original): (key, address) = (original, found)
        }
        client.move(to: .canceling)
        worker.snapshots.counters.cancelRequests &+= 1
        let requester = CancelRequester(worker: worker.index, slot: client.slot, id: client.id)
        if Int(address.worker) == worker.index {
            cancelClient(key, slot: address.slot, for: requester)
        } else {
            worker.tell(Int(address.worker), .cancel(key: key, slot: address.slot, requester))
        }
    }

    /// Gives a client that has logged in the key for its cancel requests, and tells it.
    func giveCancelKey(to client: ClientConnection, _ writer: inout MessageWriter) {
        client.cancelKey = shared.cancels.register(
            CancelDirectory.Address(worker: UInt16(worker.index), slot: client.slot), takesLongKeys: client.takesLongKeys, tell: &writer)
    }

    /// Cancels what one of this worker's clients has asked for: what runs, or what waits for a server.
    func cancelClient(_ key: UInt64, slot: UInt32, for requester: CancelRequester) {
        // The slot may have been given to somebody else since: the key decides.
        guard let client = worker.clients[slot], client.cancelKey == key else {
            finish(requester)
            return
        }
        if let console = client.console, console.session.isBusy { shared.adminRequests.post(.cancel, for: client.id) }
        if endWait(client) {
            finish(requester)
        } else if let server = client.server, server.phase == .trying || server.session.ledger.isRunning {
            cancel(server, for: requester)
        } else {
            finish(requester)
        }
    }

    private func finish(_ requester: CancelRequester, _ outcome: CancelOutcome = .done) {
        if requester.worker == worker.index {
            cancelIsOver(requester.slot, id: requester.id, outcome)
        } else {
            worker.tell(requester.worker, .cancelIsOver(slot: requester.slot, id: requester.id, outcome: outcome))
        }
    }

    func cancelIsOver(_ slot: UInt32, id: UInt64, _ outcome: CancelOutcome) {
        guard let client = worker.clients[slot], client.id == id, case .canceling = client.phase else { return }
        worker.close(client, .cancelOver(outcome))
    }

    // MARK: One after the other

    /// Has what a server runs cancelled: with the request that is about to go, if there is one.
    func cancel(_ server: ServerConnection, for requester: CancelRequester? = nil) {
        let cancels = server.cancels ?? ServerCancels()
        server.cancels = cancels
        if !cancels.isNextWanted {
            cancels.isNextWanted = true
            cancels.since = now
        }
        if let requester { cancels.requesters.append(requester) }
        sendNext(about: server)
    }

    /// Sends the next request on its way, if it may go now, or forgets it, if there is nothing left to be cancelled.
    func sendNext(about server: ServerConnection) {
        guard let cancels = server.cancels, cancels.isNextWanted else { return }
        switch server.phase {
        case .trying:
            return
        case .linked, .abandoned:
            guard server.session.ledger.isRunning else { break }
            // Nor one that would hit what the pooler itself has asked, while the client's query goes on.
            if cancels.connection != nil || server.session.isOnErrand { return }
            guard mayStartCancel() else {
                if !cancels.isQueued { queue.append(server) }
                cancels.isQueued = true
                return
            }
            if let connection = startCancel(server, cancels.requesters) {
                cancels.connection = connection
                cancels.requesters = []
                cancels.isNextWanted = false
                return
            }
        default:
            break
        }
        forgetNext(about: server)
    }

    /// What the next request is about is over, or it can't be sent.
    func forgetNext(about server: ServerConnection, _ outcome: CancelOutcome = .done) {
        guard let cancels = server.cancels, cancels.isNextWanted else { return }
        let requesters = cancels.requesters
        cancels.requesters = []
        cancels.isNextWanted = false
        cancels.isQueued = false
        if cancels.connection == nil { server.cancels = nil }
        for requester in requesters { finish(requester, outcome) }
    }

    /// Takes one of the places that the process has for cancel requests.
    private func mayStartCancel() -> Bool {
        if shared.cancelsUnderWay.add(1, ordering: .relaxed).newValue <= CancelConnection.most { return true }
        shared.cancelsUnderWay.subtract(1, ordering: .relaxed)
        return false
    }

    /// Those that waited for room, in the order in which they came. Room may also come from another worker, and no word of it.
    private func serveCancelQueue() {
        while let server = queue.first {
            if let cancels = server.cancels, cancels.isQueued, server.isOpen {
                cancels.isQueued = false
                sendNext(about: server)
                if cancels.isQueued {
                    // No room: it has gone to the end.
                    queue.removeLast()
                    return
                }
                resume(server)
            }
            queue.removeFirst()
        }
    }

    /// Connects. The place in the process is given back if that fails at once.
    private func startCancel(_ server: ServerConnection, _ requesters: [CancelRequester]) -> CancelConnection? {
        guard let key = server.cancelKey, let descriptor = try? Connector.start(to: server.address, options: worker.opener.socketOptions)
        else {
            shared.cancelsUnderWay.subtract(1, ordering: .relaxed)
            return nil
        }
        let slot = connections.reserve()
        let connection = CancelConnection(
            slot: slot, id: shared.nextID(), descriptor: descriptor, loop: worker.loop, key: key, server: server, requesters: requesters,
            now: now)
        connections.set(slot, connection)
        return connection
    }

    /// What a server that is about to be closed runs is cancelled, whatever else is under way.
    func cancelForGood(_ server: ServerConnection) {
        shared.cancelsUnderWay.add(1, ordering: .relaxed)
        _ = startCancel(server, [])
    }

    // MARK: On its way

    func ready(_ connection: CancelConnection, _ readiness: Readiness) {
        if case .connecting = connection.progress {
            if connection.socket.connectError() != nil {
                finish(connection, .connectFailed)
                return
            }
            guard readiness.contains(.writable), !connection.socket.isConnecting() else { return }
            guard begin(connection) else {
                finish(connection, .notSent)
                return
            }
        }
        if !connection.isSent, !advance(connection) {
            finish(connection, .notSent)
            return
        }
        // PostgreSQL closes the connection once it has sent the signal: only then can't it hit a later query.
        if connection.isSent, isOver(connection) { finish(connection, .done) }
    }

    private func finish(_ connection: CancelConnection, _ outcome: CancelOutcome) {
        let reason = ServerCloseReason.cancelOver(outcome)
        if settings.logDisconnections {
            let pool = connection.server.shard.shared.key
            shared.log.info(
                worker.closing(reason, since: connection.startTime),
                about: .server(id: connection.id, database: pool.database, user: pool.user, address: connection.server.address.description))
        }
        connection.server.shard.counters.serverDisconnects.add(reason.cause)
        connection.socket.close()
        connections.remove(connection.slot)
        shared.cancelsUnderWay.subtract(1, ordering: .relaxed)
        for requester in connection.requesters { finish(requester, outcome) }
        let server = connection.server
        // A server that is closed for good has none.
        if let cancels = server.cancels, cancels.connection === connection {
            cancels.connection = nil
            sendNext(about: server)
            if cancels.connection == nil, !cancels.isNextWanted { server.cancels = nil }
            resume(server)
        }
        serveCancelQueue()
    }

    /// No cancel request is on its way to the server any more: what had to wait for that goes on.
    private func resume(_ server: ServerConnection) {
        guard server.isOpen, server.cancels == nil else { return }
        switch server.phase {
        case .beingCanceled:
            if server.resetsNext { worker.reset(server) } else { worker.returnToPool(server) }
        case .linked:
            if let client = server.client { worker.carryOn(client) }
        default:
            worker.continueAbandoned(server)
        }
    }

    /// How long (microseconds) a cancel waits for the pooler's own query.
    private static let patience: Int64 = 1_000_000

    /// A request that the server does not take in time is given up; its target may be hit late, so it is not used again.
    func expireCancels() {
        peers.expire()
        serveCancelQueue()
        for server in worker.servers.all where server.phase == .linked && server.session.isOnErrand {
            if let cancels = server.cancels, cancels.isNextWanted, now - cancels.since > Self.patience { giveUpOwnQuery(server) }
        }
        guard settings.cancelWaitTimeout > 0 else { return }
        for connection in connections.all where now - connection.startTime > settings.cancelWaitTimeout {
            if connection.isSent { connection.server.hasStrayCancel = true }
            finish(connection, .timedOut)
        }
        for server in worker.servers.all {
            guard let cancels = server.cancels, cancels.isNextWanted, now - cancels.since > settings.cancelWaitTimeout else { continue }
            if cancels.connection == nil {
                forgetNext(about: server, .timedOut)
                resume(server)
            }
        }
    }
}
