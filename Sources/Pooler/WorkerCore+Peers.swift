import Configuration
import EventLoop
import PoolCore
import PostgresWire
import Statistics
import Telemetry

/// A cancel request on its way to the process that has the client.
final class PeerErrand {
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
extension WorkerCore {
    /// Tokens of errands with this bit belong to errands between peers.
    static let peerBit: UInt32 = 1 << 29

    /// Passes a request on. The client's socket stays open until the peer has done what it can.
    func forward(_ client: ClientConnection, key: UInt64, to peer: Int) {
        guard configuration.peers[peer] != nil else {
            close(client, .cancelRefused(.unknownPeer(peer)))
            return
        }
        client.move(to: .canceling)
        let slot = peerErrands.reserve()
        peerErrands.set(slot, PeerErrand(peer: peer, id: shared.nextID(), key: key, client: (client.slot, client.id), now: now))
        serveErrand(slot)
    }

    /// What may go now, goes; the limits hold for the process, so room may come from another worker.
    ///
    /// An errand that fails at once makes room for the next one. Thousands may wait: so only the outermost call serves them, one after
    /// the other, or the stack would grow with their number.
    func servePeers() {
        guard peerErrands.count > 0 else { return }
        hasRoomForPeers = true
        guard !isServingPeers else { return }
        isServingPeers = true
        defer { isServingPeers = false }
        while hasRoomForPeers {
            hasRoomForPeers = false
            var full: Set<Int> = []
            for slot in peerErrands.slots {
                guard let errand = peerErrands[slot], errand.stage == .waiting, !full.contains(errand.peer) else { continue }
                if !serveErrand(slot) { full.insert(errand.peer) }
            }
        }
    }

    /// Sends the errand on its way, or ends it. False: there is no room.
    @discardableResult
    private func serveErrand(_ slot: UInt32) -> Bool {
        guard let errand = peerErrands[slot], case .waiting = errand.stage else { return true }
        guard let peer = configuration.peers[errand.peer], let host = peer.host else {
            end(slot, .peerRemoved)
            return true
        }
        let limit = peer.poolSize ?? settings.defaultPoolSize
        let isGranted = shared.peerConnections.withLock { counts in
            if limit > 0, counts[errand.peer, default: 0] >= limit { return false }
            counts[errand.peer, default: 0] += 1
            return true
        }
        guard isGranted else { return false }
        errand.stage = .lookingUp
        let port = UInt16(clamping: peer.port)
        if host.hasPrefix("/") || host.hasPrefix("@") {
            errand.addresses = SocketAddress(unixPath: "\(host)/.s.PGSQL.\(peer.port)").map { [$0] } ?? []
            connect(slot)
        } else {
            find(host, port: port) { [unowned self] finding in
                // Given up meanwhile, and its slot may be another errand's.
                guard peerErrands[slot] === errand, case .lookingUp = errand.stage else { return }
                if case .addresses(let addresses) = finding { errand.addresses = addresses }
                connect(slot)
            }
        }
        return true
    }

    private func connect(_ slot: UInt32) {
        guard let errand = peerErrands[slot] else { return }
        while !errand.addresses.isEmpty {
            let address = errand.addresses.removeFirst()
            guard let descriptor = try? Connector.start(to: address, options: socketOptions) else { continue }
            errand.stage = .connecting
            errand.socket = Socket(adopting: descriptor, on: loop, token: TokenKind.errand.token(slot | Self.peerBit))
            return
        }
        shared.log.warning("connect failed, a cancel request is lost", about: subject(errand))
        end(slot, .connectFailed)
    }

    func readyPeer(_ slot: UInt32, _ readiness: Readiness) {
        guard let errand = peerErrands[slot], errand.socket != nil else { return }
        if errand.stage == .connecting {
            if errand.socket?.connectError() != nil {
                errand.socket?.close()
                errand.socket = nil
                connect(slot)
                return
            }
            guard readiness.contains(.writable), errand.socket?.isConnecting() == false else { return }
            var writer = MessageWriter()
            writer.cancelRequest(key: CancelDirectory.wire(errand.key))
            guard case .bytes(writer.bytes.count)? = errand.socket?.send(writer.bytes.span) else {
                end(slot, .connectFailed)
                return
            }
            errand.stage = .sent
        }
        // The peer closes when the request has reached PostgreSQL.
        if errand.socket?.isDead() == true { end(slot, .done) }
    }

    private func end(_ slot: UInt32, _ outcome: CancelOutcome) {
        guard let errand = peerErrands[slot] else { return }
        if settings.logDisconnections, errand.socket != nil {
            shared.log.info(closing(.cancelOver(outcome) as ServerCloseReason, since: errand.startTime), about: subject(errand))
        }
        errand.socket?.close()
        peerErrands.remove(slot)
        if errand.isUnderWay {
            shared.peerConnections.withLock { counts in
                let left = counts[errand.peer, default: 0] - 1
                counts[errand.peer] = left > 0 ? left : nil
            }
        }
        if let client = clients[errand.client.slot], client.id == errand.client.id { close(client, .cancelOver(outcome)) }
        servePeers()
    }

    private func subject(_ errand: PeerErrand) -> LogSubject {
        .peer(id: errand.id, number: errand.peer, host: configuration.peers[errand.peer]?.host)
    }

    /// Requests that take too long are given up, as those to PostgreSQL are.
    func expirePeerErrands() {
        guard peerErrands.count > 0 else { return }
        if settings.cancelWaitTimeout > 0 {
            // Those who wait come last, or each that is given up would let the next one begin.
            isServingPeers = true
            for slot in peerErrands.slots {
                if let errand = peerErrands[slot], now - errand.startTime > settings.cancelWaitTimeout { end(slot, .timedOut) }
            }
            isServingPeers = false
        }
        servePeers()
    }

    /// How many requests wait for a connection to each peer, and how many are under way.
    func peerRequests() -> [Int: PeerRequests] {
        var counts: [Int: PeerRequests] = [:]
        peerErrands.visit { errand in
            if errand.isUnderWay {
                counts[errand.peer, default: PeerRequests()].active += 1
            } else {
                counts[errand.peer, default: PeerRequests()].waiting += 1
            }
        }
        return counts
    }
}
