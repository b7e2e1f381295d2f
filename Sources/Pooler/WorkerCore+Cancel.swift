import EventLoop
import PoolCore
import PostgresWire
import Synchronization
import TLS

/// A cancel request on its way to PostgreSQL, on a connection of its own.
final class CancelErrand {
    let slot: UInt32
    let id: UInt64
    var socket: Socket
    let key: CancelKey
    /// The server that runs the query; it is not given to anybody else before this is over.
    let server: ServerConnection
    /// The client socket that asked, here or at another worker.
    let requester: (worker: Worker, request: UInt32)?
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
        requester: (worker: Worker, request: UInt32)?, now: Int64
    ) {
        self.slot = slot
        self.id = id
        self.key = key
        self.server = server
        self.requester = requester
        startTime = now
        socket = Socket(adopting: descriptor, on: loop, token: TokenKind.errand.token(slot))
    }
}

/// Cancel requests: they reach the query of the client whose key they carry, and no other.
extension WorkerCore {
    /// A client socket turned out to carry a CancelRequest. It gets no answer; it is closed when the request has been delivered.
    func cancelRequested(_ client: ClientConnection, _ wire: CancelKey) {
        client.login = nil
        let target = CancelDirectory.key(wire).map { shared.cancels.find($0) } ?? .nowhere("unknown key")
        let (key, address): (UInt64, CancelDirectory.Address)
        switch target {
        case .nowhere(let reason):
            close(client, .quiet("cancel request: \(reason)"))
            return
        case .peer(let peer, let forwarded):
            counters.cancelRequests &+= 1
            forward(client, key: forwarded, to: peer)
            return
        case .here(let found, let original): (key, address) = (original, found)
        }
        client.phase = .canceling
        counters.cancelRequests &+= 1
        let (me, slot, worker) = (peers[index], client.slot, peers[Int(address.worker)])
        if Int(address.worker) == index {
            cancelClient(key, slot: address.slot, requester: me, request: slot)
        } else {
            Task { await worker.cancel(key, slot: address.slot, from: me, request: slot) }
        }
    }

    /// Cancels what runs for one of this worker's clients.
    func cancelClient(_ key: UInt64, slot: UInt32, requester: Worker, request: UInt32) {
        // The slot may have been given to somebody else since: the key decides.
        if let client = clients[slot], client.cancelKey == key, let console = client.console, console.session.isBusy {
            shared.desk.post(.cancel, for: client.id)
        }
        if let client = clients[slot], client.cancelKey == key, let server = client.server, server.phase == .linked,
            server.session.ledger.isRunning, cancel(server, for: (requester, request))
        {
            return
        }
        finish((requester, request))
    }

    private func finish(_ requester: (worker: Worker, request: UInt32), _ reason: String = "cancel request done") {
        if requester.worker === peers[index] {
            cancelIsOver(requester.request, reason)
        } else {
            Task { await requester.worker.cancelIsOver(requester.request, reason) }
        }
    }

    func cancelIsOver(_ request: UInt32, _ reason: String) {
        guard let client = clients[request], case .canceling = client.phase else { return }
        close(client, .quiet(reason))
    }

    /// Sends a cancel request for what a server runs.
    @discardableResult
    func cancel(_ server: ServerConnection, for requester: (worker: Worker, request: UInt32)? = nil) -> Bool {
        guard let key = server.cancelKey, let descriptor = try? Connector.start(to: server.address, options: socketOptions) else {
            return false
        }
        let slot = errands.reserve()
        let errand = CancelErrand(
            slot: slot, id: shared.nextID(), descriptor: descriptor, loop: loop, key: key, server: server, requester: requester, now: now)
        errands.set(slot, errand)
        server.cancelsInFlight += 1
        return true
    }

    func ready(_ errand: CancelErrand, _ readiness: Readiness) {
        if case .connecting = errand.progress {
            if errand.socket.connectError() != nil {
                finish(errand, "connect failed")
                return
            }
            guard readiness.contains(.writable), !errand.socket.isConnecting() else { return }
            guard begin(errand) else {
                finish(errand, "cancel request can't be sent")
                return
            }
        }
        if !errand.isSent, !advance(errand) {
            finish(errand, "cancel request can't be sent")
            return
        }
        // PostgreSQL closes the connection once it has sent the signal: only then can't it hit a later query.
        if errand.isSent, isOver(errand) { finish(errand, "cancel request done") }
    }

    private func finish(_ errand: CancelErrand, _ reason: String) {
        if settings.logDisconnections {
            let pool = errand.server.shard.shared.key
            let label = "S-0x\(String(errand.id, radix: 16)): \(pool.database)/\(pool.user)@\(errand.server.address.description)"
            shared.log.info("\(label) closing because: \(reason) (age=\((now - errand.startTime) / 1_000_000)s)")
        }
        errand.server.shard.counters.serverDisconnects.add(reason)
        errand.socket.close()
        errands.remove(errand.slot)
        if let requester = errand.requester { finish(requester, reason) }
        let server = errand.server
        server.cancelsInFlight -= 1
        guard server.isOpen, server.cancelsInFlight == 0 else { return }
        if server.phase == .beingCanceled { free(server) } else { continueAbandoned(server) }
    }

    /// A request that the server does not take in time is given up; its target may be hit late, so it is not used again.
    func expireCancels() {
        expirePeerErrands()
        guard settings.cancelWaitTimeout > 0 else { return }
        for errand in errands.all where now - errand.startTime > settings.cancelWaitTimeout {
            if errand.isSent { errand.server.mayBeHit = true }
            finish(errand, "cancel_wait_timeout")
        }
    }
}
