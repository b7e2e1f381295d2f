import Bytes
import EventLoop
import PoolCore
import PostgresWire
import TLS

/// TLS with servers: asked for after connecting and before the login, never given up where it is required.
extension ServerOpener {
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
            worker.send(writer.bytes.span, to: server)
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
            let session = try TLSSession(
                connecting: context, host: server.opening.host, port: server.address.port, buffers: worker.transport.tlsBuffers)
            server.channel.encrypt(with: session)
            if case .failed(let error) = worker.transport.timed(worker, { session.start() }) { throw error }
            worker.transport.sendCiphertext(to: server, worker)
        } catch {
            openingFailed(server, .tlsSetupFailed(error.reason))
        }
    }

    // MARK: Refusals

    /// The other side's certificate, or its TLS, will be no better next time: those who wait hear why, and not that their time is up.
    func handshakeFailed(_ server: ServerConnection, _ failure: OpeningFailure) {
        shared.log.warning("\(failure.message)", about: server.subject)
        openingFailed(server, failure)
    }

    /// A server before PostgreSQL 17 takes the beginning of a handshake for a packet of a senseless length, and hangs up.
    func isRefusingDirectTLS(_ server: ServerConnection) -> Bool {
        server.shard.database.sslNegotiation == .direct && server.channel.isShakingHands && server.phase == .encrypting
    }

    func refusedDirectTLS(_ server: ServerConnection) {
        handshakeFailed(server, .directTLSRefused)
    }

    // MARK: The handshake is done

    func secured(_ server: ServerConnection) {
        guard let session = server.tls else { return }
        if server.shard.database.sslNegotiation == .direct, !session.hasAgreedOnProtocol {
            handshakeFailed(server, .directTLSWithoutALPN)
            return
        }
        if settings.logConnections {
            shared.log.info("SSL established: \(session.summary)\(session.isResumed ? ", resumed" : "")", about: server.subject)
        }
        logIn(server)
    }
}
