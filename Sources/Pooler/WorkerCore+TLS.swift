import Bytes
import EventLoop
import PoolCore
import PostgresWire
import TLS

/// TLS with clients: from the request for it to encrypted bytes in either direction.
///
/// A connection with `tls` set reads and sends here only; nothing on it is plain any more.
extension WorkerCore {
    // MARK: Beginning

    /// A client asked for TLS. Answers, and from a yes on takes nothing that is not TLS.
    func tlsRequested(_ client: ClientConnection) {
        guard let context = clientContext(client) else {
            send([UInt8(ascii: "N")], to: client)
            return
        }
        send([UInt8(ascii: "S")], to: client)
        beginTLS(client, context)
    }

    /// A client began with a handshake. False: TLS is off. Its bytes stay where they are until the handshake's turn comes.
    func tlsBegun(_ client: ClientConnection) -> Bool {
        if let session = client.tls { return !session.isEstablished }
        guard let context = clientContext(client) else { return false }
        client.isDirectTLS = true
        beginTLS(client, context)
        guard client.isOpen else { return true }
        client.isQueuedForReading = true
        postponeHandshake(TokenKind.client.token(client.slot))
        return true
    }

    private func clientContext(_ client: ClientConnection) -> TLSContext? {
        guard let context = shared.tls.withLock({ $0.client }) else { return nil }
        // Nothing can be in between on a Unix socket.
        return isUnix(client) ? nil : context
    }

    func isUnix(_ client: ClientConnection) -> Bool { SocketAddress.peer(of: client.socket.descriptor)?.isUnix ?? false }

    private func beginTLS(_ client: ClientConnection, _ context: TLSContext) {
        do throws(TLSError) {
            client.tls = try TLSSession(accepting: context, buffers: tlsBuffers)
        } catch {
            close(client, .tlsSetupFailed(error.reason))
        }
    }

    // MARK: Receiving

    func readEncrypted(_ client: ClientConnection, toEnd: Bool) {
        guard let session = client.tls else { return }
        for _ in 0..<Self.readsPerTurn {
            guard mayRead(client) else {
                client.hasUnread = true
                if client.lacksMemory {
                    fail(client, .outOfMemory)
                } else if client.isLeaving {
                    finishLeaving(client)
                }
                return
            }
            if !session.isEstablished {
                guard mayShakeHands else {
                    if !client.isQueuedForReading {
                        client.isQueuedForReading = true
                        postponeHandshake(TokenKind.client.token(client.slot))
                    }
                    return
                }
                if !client.held.isEmpty {
                    // The beginning of direct TLS, which came as if it were a startup packet.
                    var early = client.held.take()
                    receivedCiphertext(client, session, early.bytes)
                    early.clear(to: chunks)
                    guard client.isOpen else { return }
                    continue
                }
            }
            switch client.socket.receive(into: input) {
            case .bytes(let count):
                let buffer = input
                receivedCiphertext(client, session, buffer.bytes(count))
                guard client.isOpen else { return }
                if count < input.capacity, !toEnd { return }
            case .wouldBlock:
                return
            case .endOfStream:
                leave(client, .endOfStream)
                return
            case .failed(let error):
                leave(client, .connectionLost(error.reason), isDeaf: true)
                return
            }
        }
        postponeReading(client)
    }

    private func receivedCiphertext(_ client: ClientConnection, _ session: TLSSession, _ bytes: Span<UInt8>) {
        let wasEstablished = session.isEstablished
        let result = wasEstablished ? session.receive(bytes) : timedHandshake { session.receive(bytes) }
        sendCiphertext(to: client)
        switch result {
        case .plaintext(let count):
            if !wasEstablished, session.isEstablished { established(client, session) }
            if count > 0, client.isOpen { received(client, tlsBuffers.plaintext(count)) }
        case .closed(let count):
            if count > 0 { received(client, tlsBuffers.plaintext(count)) }
            if !client.isLeaving { leave(client, .endOfStream) }
        case .failed(let error):
            if !wasEstablished { counters.tlsFailures &+= 1 }
            leave(client, wasEstablished ? .tlsFailed(error.reason) : .tlsHandshakeFailed(error.reason), isDeaf: true)
        }
    }

    private func established(_ client: ClientConnection, _ session: TLSSession) {
        counters.tlsHandshakes &+= 1
        // As PostgreSQL: without ALPN a browser could be talked into sending here what was meant for somebody else.
        if client.isDirectTLS, !session.hasAgreedOnProtocol {
            close(client, .directTLSWithoutALPN)
        }
    }

    // MARK: Sending

    func sendEncrypted(_ bytes: Span<UInt8>, to client: ClientConnection) {
        guard let session = client.tls else { return }
        guard session.send(bytes) else {
            tlsBuffers.clear()
            // Before the handshake is done nobody can be told anything; after a failure the next read says what it was.
            if session.isEstablished { postponeReading(client) }
            return
        }
        sendCiphertext(to: client)
    }

    private func sendCiphertext(to client: ClientConnection) {
        let buffers = tlsBuffers
        guard !buffers.isEmpty else { return }
        defer { buffers.clear() }
        if client.isOpen { transmit(buffers.ciphertext, to: client) }
    }

    /// Tells a client that is closed that this was no cut line: libpq from 17 on takes a cancel for failed that ends without it. Where the
    /// socket is full or TLS has failed, the line is cut indeed.
    func endTLS(_ client: ClientConnection) {
        guard let session = client.tls, client.outgoing.isEmpty else { return }
        session.shutdown()
        sendCiphertext(to: client)
    }

    /// The process ends at once, under all who are connected.
    func endAllTLS() {
        for client in clients.all {
            endTLS(client)
            sendPosted(for: client)
        }
        for server in servers.all {
            sendPosted(for: server)
            endTLS(server)
        }
    }

    // MARK: Handshakes take turns

    /// How long handshakes may take in one turn (microseconds) before the others, and queries of the next turn, get theirs.
    private static let handshakeShare: Int64 = 300

    /// Whether a handshake may go on now. One step of it costs as much as dozens of queries.
    var mayShakeHands: Bool { handshakeTime < Self.handshakeShare && (isShakingHands || handshakes.isEmpty) }

    func postponeHandshake(_ token: UInt32) { handshakes.append(token) }

    /// A step of a handshake, and the time that it took.
    func timedHandshake(_ step: () -> TLSReceived) -> TLSReceived {
        sendPosted()
        let start = MonotonicClock.now()
        let result = step()
        handshakeTime += MonotonicClock.now() - start
        return result
    }

    /// At the end of a turn: those who had to wait, in the order in which they came.
    func continueHandshakes() {
        isShakingHands = true
        var next = 0
        while next < handshakes.count, handshakeTime < Self.handshakeShare {
            let token = handshakes[next]
            next += 1
            if token & 3 == TokenKind.client.rawValue, let client = clients[token >> 2], client.isQueuedForReading {
                client.isQueuedForReading = false
                read(client, toEnd: true)
            } else if token & 3 == TokenKind.server.rawValue, let server = servers[token >> 2], server.isQueuedForReading {
                server.isQueuedForReading = false
                read(server, toEnd: true)
            }
        }
        handshakes.removeFirst(next)
        isShakingHands = false
    }
}
