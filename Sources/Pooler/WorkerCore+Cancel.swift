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
    var errand: CancelErrand?
    /// Another one is asked for, since then, by these; nobody may be among them, for the pooler itself asks, too.
    var isNextWanted = false
    var requesters: [CancelRequester] = []
    var since: Int64 = 0
    /// It waits for room among the cancel requests of the process.
    var isQueued = false
}

/// A cancel request on its way to PostgreSQL, on a connection of its own.
final class CancelErrand {
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
        socket = Socket(adopting: descriptor, on: loop, token: TokenKind.errand.token(slot))
    }
}

/// Cancel requests: they reach the query of the client whose key they carry, and no other.
extension WorkerCore {
    /// A client socket turned out to carry a CancelRequest. It gets no answer; it is closed when the request has been delivered.
    func cancelRequested(_ client: ClientConnection, _ wire: CancelKey) {
        client.login = nil
        let (key, address): (UInt64, CancelDirectory.Address)
        switch shared.cancels.find(wire) {
        case .nowhere(let refusal):
            close(client, .cancelRefused(refusal))
            return
        case .peer(let peer, let forwarded):
            counters.cancelRequests &+= 1
            peerCancels.forward(client, key: forwarded, to: peer)
            return
        case .here(let found, let original): (key, address) = (original, found)
        }
        client.move(to: .canceling)
        counters.cancelRequests &+= 1
        let requester = CancelRequester(worker: index, slot: client.slot, id: client.id)
        if Int(address.worker) == index {
            cancelClient(key, slot: address.slot, for: requester)
        } else {
            tell(Int(address.worker), .cancel(key: key, slot: address.slot, requester))
        }
    }

    /// Gives a client that has logged in the key for its cancel requests, and tells it.
    func giveCancelKey(to client: ClientConnection, _ writer: inout MessageWriter) {
        client.cancelKey = shared.cancels.register(
            CancelDirectory.Address(worker: UInt16(index), slot: client.slot), takesLongKeys: client.takesLongKeys, tell: &writer)
    }

    /// Cancels what one of this worker's clients has asked for: what runs, or what waits for a server.
    func cancelClient(_ key: UInt64, slot: UInt32, for requester: CancelRequester) {
        // The slot may have been given to somebody else since: the key decides.
        guard let client = clients[slot], client.cancelKey == key else {
            finish(requester)
            return
        }
        if let console = client.console, console.session.isBusy { shared.desk.post(.cancel, for: client.id) }
        if endWait(client) {
            finish(requester)
        } else if let server = client.server, server.phase == .trying || server.session.ledger.isRunning {
            cancel(server, for: requester)
        } else {
            finish(requester)
        }
    }

    private func finish(_ requester: CancelRequester, _ outcome: CancelOutcome = .done) {
        if requester.worker == index {
            cancelIsOver(requester.slot, id: requester.id, outcome)
        } else {
            tell(requester.worker, .cancelIsOver(slot: requester.slot, id: requester.id, outcome: outcome))
        }
    }

    func cancelIsOver(_ slot: UInt32, id: UInt64, _ outcome: CancelOutcome) {
        guard let client = clients[slot], client.id == id, case .canceling = client.phase else { return }
        close(client, .cancelOver(outcome))
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
        sendNextCancel(server)
    }

    /// Sends the next request on its way, if it may go now, or forgets it, if there is nothing left to be cancelled.
    func sendNextCancel(_ server: ServerConnection) {
        guard let cancels = server.cancels, cancels.isNextWanted else { return }
        switch server.phase {
        case .trying:
            return
        case .linked, .abandoned:
            guard server.session.ledger.isRunning else { break }
            // Nor one that would hit what the pooler itself has asked, while the client's query goes on.
            if cancels.errand != nil || server.session.isOnErrand { return }
            guard mayStartCancel() else {
                if !cancels.isQueued { cancelQueue.append(server) }
                cancels.isQueued = true
                return
            }
            if let errand = startCancel(server, cancels.requesters) {
                cancels.errand = errand
                cancels.requesters = []
                cancels.isNextWanted = false
                return
            }
        default:
            break
        }
        forgetNextCancel(server)
    }

    /// What the next request is about is over, or it can't be sent.
    func forgetNextCancel(_ server: ServerConnection, _ outcome: CancelOutcome = .done) {
        guard let cancels = server.cancels, cancels.isNextWanted else { return }
        let requesters = cancels.requesters
        cancels.requesters = []
        cancels.isNextWanted = false
        cancels.isQueued = false
        if cancels.errand == nil { server.cancels = nil }
        for requester in requesters { finish(requester, outcome) }
    }

    /// Takes one of the places that the process has for cancel requests.
    private func mayStartCancel() -> Bool {
        if shared.cancelsUnderWay.add(1, ordering: .relaxed).newValue <= CancelErrand.most { return true }
        shared.cancelsUnderWay.subtract(1, ordering: .relaxed)
        return false
    }

    /// Those that waited for room, in the order in which they came. Room may also come from another worker, and no word of it.
    private func serveCancelQueue() {
        while let server = cancelQueue.first {
            if let cancels = server.cancels, cancels.isQueued, server.isOpen {
                cancels.isQueued = false
                sendNextCancel(server)
                if cancels.isQueued {
                    // No room: it has gone to the end.
                    cancelQueue.removeLast()
                    return
                }
                resume(server)
            }
            cancelQueue.removeFirst()
        }
    }

    /// Connects. The place in the process is given back if that fails at once.
    private func startCancel(_ server: ServerConnection, _ requesters: [CancelRequester]) -> CancelErrand? {
        guard let key = server.cancelKey, let descriptor = try? Connector.start(to: server.address, options: socketOptions) else {
            shared.cancelsUnderWay.subtract(1, ordering: .relaxed)
            return nil
        }
        let slot = errands.reserve()
        let errand = CancelErrand(
            slot: slot, id: shared.nextID(), descriptor: descriptor, loop: loop, key: key, server: server, requesters: requesters, now: now)
        errands.set(slot, errand)
        return errand
    }

    /// What a server that is about to be closed runs is cancelled, whatever else is under way.
    func cancelForGood(_ server: ServerConnection) {
        shared.cancelsUnderWay.add(1, ordering: .relaxed)
        _ = startCancel(server, [])
    }

    // MARK: On its way

    func ready(_ errand: CancelErrand, _ readiness: Readiness) {
        if case .connecting = errand.progress {
            if errand.socket.connectError() != nil {
                finish(errand, .connectFailed)
                return
            }
            guard readiness.contains(.writable), !errand.socket.isConnecting() else { return }
            guard begin(errand) else {
                finish(errand, .notSent)
                return
            }
        }
        if !errand.isSent, !advance(errand) {
            finish(errand, .notSent)
            return
        }
        // PostgreSQL closes the connection once it has sent the signal: only then can't it hit a later query.
        if errand.isSent, isOver(errand) { finish(errand, .done) }
    }

    private func finish(_ errand: CancelErrand, _ outcome: CancelOutcome) {
        let reason = ServerCloseReason.cancelOver(outcome)
        if settings.logDisconnections {
            let pool = errand.server.shard.shared.key
            shared.log.info(
                closing(reason, since: errand.startTime),
                about: .server(id: errand.id, database: pool.database, user: pool.user, address: errand.server.address.description))
        }
        errand.server.shard.counters.serverDisconnects.add(reason.cause)
        errand.socket.close()
        errands.remove(errand.slot)
        shared.cancelsUnderWay.subtract(1, ordering: .relaxed)
        for requester in errand.requesters { finish(requester, outcome) }
        let server = errand.server
        // A server that is closed for good has none.
        if let cancels = server.cancels, cancels.errand === errand {
            cancels.errand = nil
            sendNextCancel(server)
            if cancels.errand == nil, !cancels.isNextWanted { server.cancels = nil }
            resume(server)
        }
        serveCancelQueue()
    }

    /// No cancel request is on its way to the server any more: what had to wait for that goes on.
    private func resume(_ server: ServerConnection) {
        guard server.isOpen, server.cancels == nil else { return }
        switch server.phase {
        case .beingCanceled:
            if server.resetsNext { reset(server) } else { free(server) }
        case .linked:
            if let client = server.client { carryOn(client) }
        default:
            continueAbandoned(server)
        }
    }

    /// How long (microseconds) a cancel waits for the pooler's own query.
    private static let patience: Int64 = 1_000_000

    /// A request that the server does not take in time is given up; its target may be hit late, so it is not used again.
    func expireCancels() {
        peerCancels.expire()
        serveCancelQueue()
        for server in servers.all where server.phase == .linked && server.session.isOnErrand {
            if let cancels = server.cancels, cancels.isNextWanted, now - cancels.since > Self.patience { giveUpErrand(server) }
        }
        guard settings.cancelWaitTimeout > 0 else { return }
        for errand in errands.all where now - errand.startTime > settings.cancelWaitTimeout {
            if errand.isSent { errand.server.mayBeHit = true }
            finish(errand, .timedOut)
        }
        for server in servers.all {
            guard let cancels = server.cancels, cancels.isNextWanted, now - cancels.since > settings.cancelWaitTimeout else { continue }
            if cancels.errand == nil {
                forgetNextCancel(server, .timedOut)
                resume(server)
            }
        }
    }
}
