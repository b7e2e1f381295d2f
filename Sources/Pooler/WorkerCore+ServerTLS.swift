import Bytes
import EventLoop
import PoolCore
import PostgresWire
import TLS

/// TLS with servers: asked for after connecting and before the login, never given up where it is required.
extension WorkerCore {
    // MARK: Beginning

    /// The socket is connected: asks for TLS, begins it, or goes on without it, as the settings say.
    func encrypt(_ server: ServerConnection) {
        let contexts = shared.tls.withLock { $0 }
        guard let context = contexts.server, !server.address.isUnix else {
            logIn(server)
            return
        }
        server.move(to: .encrypting)
        if server.shard.database.sslNegotiation == .direct {
            beginTLS(server, context)
        } else {
            server.tlsContext = context
            server.requiresTLS = contexts.serverMode.isRequired
            var writer = MessageWriter()
            writer.sslRequest()
            send(writer.bytes.span, to: server)
        }
    }

    /// The answer to a request for TLS: one byte. Whatever follows it unencrypted was put in by somebody in between.
    func answeredTLSRequest(_ server: ServerConnection, _ bytes: Span<UInt8>) -> Int {
        guard server.tls == nil, let context = server.tlsContext else { return bytes.count }
        switch bytes[0] {
        case UInt8(ascii: "S") where bytes.count == 1:
            beginTLS(server, context)
        case UInt8(ascii: "S"):
            openingFailed(server, .unencryptedData)
        case UInt8(ascii: "N") where server.requiresTLS:
            handshakeFailed(server, .tlsRefused)
        case UInt8(ascii: "N") where bytes.count == 1:
            server.tlsContext = nil
            logIn(server)
        default:
            // An error message, or no PostgreSQL at all.
            openingFailed(server, .tlsNotAnswered)
        }
        return bytes.count
    }

    private func beginTLS(_ server: ServerConnection, _ context: TLSContext) {
        server.tlsContext = nil
        do throws(TLSError) {
            let session = try TLSSession(connecting: context, host: server.opening.host, port: server.address.port, buffers: tlsBuffers)
            server.tls = session
            if case .failed(let error) = timedHandshake({ session.start() }) { throw error }
            sendCiphertext(to: server)
        } catch {
            openingFailed(server, .tlsSetupFailed(error.reason))
        }
    }

    // MARK: Receiving

    func readEncrypted(_ server: ServerConnection, toEnd: Bool) {
        guard let session = server.tls else { return }
        for _ in 0..<Self.readsPerTurn {
            if let client = server.client, !client.outgoing.isEmpty, !server.isBroken {
                server.hasUnread = true
                return
            }
            if !session.isEstablished, !mayShakeHands {
                if !server.isQueuedForReading {
                    server.isQueuedForReading = true
                    postponeHandshake(TokenKind.server.token(server.slot))
                }
                return
            }
            switch server.socket.receive(into: input) {
            case .bytes(let count):
                let buffer = input
                receivedCiphertext(server, session, buffer.bytes(count))
                guard server.isOpen else { return }
                if count < input.capacity, !toEnd { return }
            case .wouldBlock:
                if server.isBroken { serverEnded(server, .endOfStream) }
                return
            case .endOfStream:
                if isRefusingDirectTLS(server, session) { return refusedDirectTLS(server) }
                serverEnded(server, .endOfStream)
                return
            case .failed(let error):
                if isRefusingDirectTLS(server, session) { return refusedDirectTLS(server) }
                serverEnded(server, .failed(error.reason))
                return
            }
        }
        postponeReading(server)
    }

    private func receivedCiphertext(_ server: ServerConnection, _ session: TLSSession, _ bytes: Span<UInt8>) {
        let wasEstablished = session.isEstablished
        let result = wasEstablished ? session.receive(bytes) : timedHandshake { session.receive(bytes) }
        sendCiphertext(to: server)
        guard server.isOpen else { return }
        switch result {
        case .plaintext(let count):
            if !wasEstablished, session.isEstablished { established(server, session) }
            if count > 0, server.isOpen { received(server, tlsBuffers.plaintext(count)) }
        case .closed(let count):
            if count > 0 { received(server, tlsBuffers.plaintext(count)) }
            if server.isOpen { serverEnded(server, .endOfStream) }
        case .failed(let error):
            if wasEstablished {
                serverEnded(server, .tlsFailed(error.reason))
            } else {
                handshakeFailed(server, .tlsHandshakeFailed(error.reason))
            }
        }
    }

    // MARK: Refusals

    /// The other side's certificate, or its TLS, will be no better next time: those who wait hear why, and not that their time is up.
    private func handshakeFailed(_ server: ServerConnection, _ failure: OpeningFailure) {
        shared.log.warning("\(failure.message)", about: server.subject)
        openingFailed(server, failure)
    }

    /// A server before PostgreSQL 17 takes the beginning of a handshake for a packet of a senseless length, and hangs up.
    private func isRefusingDirectTLS(_ server: ServerConnection, _ session: TLSSession) -> Bool {
        server.shard.database.sslNegotiation == .direct && !session.isEstablished && server.phase == .encrypting
    }

    private func refusedDirectTLS(_ server: ServerConnection) {
        handshakeFailed(server, .directTLSRefused)
    }

    private func established(_ server: ServerConnection, _ session: TLSSession) {
        if server.shard.database.sslNegotiation == .direct, !session.hasAgreedOnProtocol {
            handshakeFailed(server, .directTLSWithoutALPN)
            return
        }
        if settings.logConnections {
            shared.log.info("SSL established: \(session.summary)\(session.isResumed ? ", resumed" : "")", about: server.subject)
        }
        logIn(server)
    }

    // MARK: Sending

    func sendEncrypted(_ bytes: Span<UInt8>, to server: ServerConnection) {
        guard let session = server.tls, session.send(bytes) else {
            tlsBuffers.clear()
            breakOff(server)
            return
        }
        sendCiphertext(to: server)
    }

    private func sendCiphertext(to server: ServerConnection) {
        let buffers = tlsBuffers
        guard !buffers.isEmpty else { return }
        defer { buffers.clear() }
        if server.isOpen { transmit(buffers.ciphertext, to: server) }
    }

    /// The last words to a server that is closed in peace; what the socket does not take is lost.
    func sendLast(_ bytes: Span<UInt8>, to server: ServerConnection) {
        guard let session = server.tls else {
            _ = server.socket.send(bytes)
            return
        }
        let buffers = tlsBuffers
        if session.send(bytes) {
            session.shutdown()
            _ = server.socket.send(buffers.ciphertext)
        }
        buffers.clear()
    }

    /// Tells a server that is closed without a word that this was no cut line, if it can be told.
    func endTLS(_ server: ServerConnection) {
        guard let session = server.tls, server.outgoing.isEmpty, !server.isBroken else { return }
        let buffers = tlsBuffers
        session.shutdown()
        if !buffers.isEmpty { _ = server.socket.send(buffers.ciphertext) }
        buffers.clear()
    }
}
