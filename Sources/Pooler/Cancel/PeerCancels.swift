import Configuration
import EventLoop
import PoolCore
import PostgresWire
import Statistics
import Telemetry

/// A cancel request on its way to the process that has the client.
final class PeerCancel {
    enum Stage {
        /// As many connections as `pool_size` allows lead to the peer already, or its name is being looked up.
        case waiting, lookingUp
        case connecting, sent
    }

    let peer: Int
    /// The key for the peer.
    let key: UInt64
    /// The client socket that asked, and its id: the slot may be somebody else's by now.
    let client: (slot: UInt32, id: UInt64)
    /// Of its own connection, as SHOW and the log name connections.
    let id: UInt64
    let startTime: Int64
    var stage = Stage.waiting
    var addresses: [SocketAddress] = []
    var socket: Socket?

    /// It counts as a connection to the peer.
    var isUnderWay: Bool { stage != .waiting }

    init(peer: Int, id: UInt64, key: UInt64, client: (slot: UInt32, id: UInt64), now: Int64) {
        self.peer = peer
        self.id = id
        self.key = key
        self.client = client
        startTime = now
    }
}

/// Cancel requests between processes that share a port: the kernel gives a request to any of them, and the key names the right one.
final class PeerCancels: WorkerPart {
    /// Tokens of cancel requests with this bit belong to requests between peers.
    static let tokenBit: UInt32 = 1 << 29

    unowned let worker: WorkerCore
    private var requests = SlotTable<PeerCancel>()
    /// `serve` is at work, and whether there is something for another round.
    private var isServing = false
    private var hasRoom = false

    init(of worker: WorkerCore) { self.worker = worker }

    /// All requests, for SHOW.
    func visit(_ body: (PeerCancel) -> Void) { requests.visit(body) }

    /// Passes a request on. The client's socket stays open until the peer has done what it can.
    func forward(_ client: ClientConnection, key: UInt64, to peer: Int) {
        guard configuration.peers[peer] != nil else {
            worker.close(client, .cancelRefused(.unknownPeer(peer)))
            return
        }
        client.move(to: .canceling)
        send(PeerCancel(peer: peer, id: shared.nextID(), key: key, client: (client.slot, client.id), now: now))
    }

    /// Sends a request as soon as the limits allow it. Returns its slot.
    @discardableResult
    func send(_ request: PeerCancel) -> UInt32 {
        let slot = requests.reserve()
        requests.set(slot, request)
        start(slot)
        return slot
    }

    subscript(slot: UInt32) -> PeerCancel? { requests[slot] }

    /// What may go now, goes; the limits hold for the process, so room may come from another worker.
    ///
    /// A request that fails at once makes room for the next one. Thousands may wait: so only the outermost call serves them, one after
    /// the other, or the stack would grow with their number.
    func serve() {
        guard requests.count > 0 else { return }
        hasRoom = true
        guard !isServing else { return }
        isServing = true
        defer { isServing = false }
        while hasRoom {
            hasRoom = false
            var full: Set<Int> = []
            for slot in requests.slots {
                guard let request = requests[slot], request.stage == .waiting, !full.contains(request.peer) else { continue }
                if !start(slot) { full.insert(request.peer) }
            }
        }
    }

    /// Sends a request on its way, or ends it. False: there is no room.
    @discardableResult
    private func start(_ slot: UInt32) -> Bool {
        guard let request = requests[slot], case .waiting = request.stage else { return true }
        guard let peer = configuration.peers[request.peer], let host = peer.host else {
            end(slot, .peerRemoved)
            return true
        }
        let limit = peer.poolSize ?? settings.defaultPoolSize
        let isGranted = shared.peerConnections.withLock { counts in
            if limit > 0, counts[request.peer, default: 0] >= limit { return false }
            counts[request.peer, default: 0] += 1
            return true
        }
        guard isGranted else { return false }
        request.stage = .lookingUp
        let port = UInt16(clamping: peer.port)
        if host.hasPrefix("/") || host.hasPrefix("@") {
            request.addresses = SocketAddress(unixPath: "\(host)/.s.PGSQL.\(peer.port)").map { [$0] } ?? []
            connect(slot)
        } else {
            worker.opener.hosts.find(host, port: port, now: now) { [unowned self] finding in
                // Given up meanwhile, and its slot may be another request's.
                guard requests[slot] === request, case .lookingUp = request.stage else { return }
                if case .addresses(let addresses) = finding { request.addresses = addresses }
                connect(slot)
            }
        }
        return true
    }

    private func connect(_ slot: UInt32) {
        guard let request = requests[slot] else { return }
        while !request.addresses.isEmpty {
            let address = request.addresses.removeFirst()
            guard let descriptor = try? Connector.start(to: address, options: worker.opener.socketOptions) else { continue }
            request.stage = .connecting
            request.socket = Socket(adopting: descriptor, on: worker.loop, token: TokenKind.cancel.token(slot | Self.tokenBit))
            return
        }
        shared.log.warning("connect failed, a cancel request is lost", about: subject(request))
        end(slot, .connectFailed)
    }

    func ready(_ slot: UInt32, _ readiness: Readiness) {
        guard let request = requests[slot], request.socket != nil else { return }
        if request.stage == .connecting {
            if request.socket?.connectError() != nil {
                request.socket?.close()
                request.socket = nil
                connect(slot)
                return
            }
            guard readiness.contains(.writable), request.socket?.isConnecting() == false else { return }
            var writer = MessageWriter()
            writer.cancelRequest(key: CancelDirectory.wire(request.key))
            guard case .bytes(writer.bytes.count)? = request.socket?.send(writer.bytes.span) else {
                end(slot, .connectFailed)
                return
            }
            request.stage = .sent
        }
        // The peer closes when the request has reached PostgreSQL.
        if request.socket?.isDead() == true { end(slot, .done) }
    }

    private func end(_ slot: UInt32, _ outcome: CancelOutcome) {
        guard let request = requests[slot] else { return }
        if settings.logDisconnections, request.socket != nil {
            shared.log.info(worker.closing(.cancelOver(outcome) as ServerCloseReason, since: request.startTime), about: subject(request))
        }
        request.socket?.close()
        requests.remove(slot)
        if request.isUnderWay {
            shared.peerConnections.withLock { counts in
                let left = counts[request.peer, default: 0] - 1
                counts[request.peer] = left > 0 ? left : nil
            }
        }
        if let client = worker.clients[request.client.slot], client.id == request.client.id { worker.close(client, .cancelOver(outcome)) }
        serve()
    }

    private func subject(_ request: PeerCancel) -> LogSubject {
        .peer(id: request.id, number: request.peer, host: configuration.peers[request.peer]?.host)
    }

    /// Requests that take too long are given up, as those to PostgreSQL are.
    func expire() {
        guard requests.count > 0 else { return }
        if settings.cancelWaitTimeout > 0 {
            // Those who wait come last, or each that is given up would let the next one begin.
            isServing = true
            for slot in requests.slots {
                if let request = requests[slot], now - request.startTime > settings.cancelWaitTimeout { end(slot, .timedOut) }
            }
            isServing = false
        }
        serve()
    }

    /// How many requests wait for a connection to each peer, and how many are under way.
    func counts() -> [Int: PeerRequests] {
        var counts: [Int: PeerRequests] = [:]
        requests.visit { request in
            if request.isUnderWay {
                counts[request.peer, default: PeerRequests()].active += 1
            } else {
                counts[request.peer, default: PeerRequests()].waiting += 1
            }
        }
        return counts
    }
}
