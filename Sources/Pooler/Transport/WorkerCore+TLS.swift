import Bytes
import EventLoop
import PoolCore
import PostgresWire
import TLS

/// TLS with clients: from the request for it to the end of the handshake. The bytes are the channel's business.
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
        transport.postponeHandshake(client)
        return true
    }

    private func clientContext(_ client: ClientConnection) -> TLSContext? {
        guard let context = shared.tls.withLock({ $0.client }) else { return nil }
        // Nothing can be in between on a Unix socket.
        return isUnix(client) ? nil : context
    }

    func isUnix(_ client: ClientConnection) -> Bool { SocketAddress.peer(of: client.channel.descriptor)?.isUnix ?? false }

    private func beginTLS(_ client: ClientConnection, _ context: TLSContext) {
        do throws(TLSError) {
            client.channel.encrypt(with: try TLSSession(accepting: context, buffers: transport.tlsBuffers))
        } catch {
            close(client, .tlsSetupFailed(error.reason))
        }
    }

    /// The handshake with a client is done.
    func secured(_ client: ClientConnection) {
        snapshots.counters.tlsHandshakes &+= 1
        // As PostgreSQL: without ALPN a browser could be talked into sending here what was meant for somebody else.
        if client.isDirectTLS, client.tls?.hasAgreedOnProtocol != true {
            close(client, .directTLSWithoutALPN)
        }
    }
}
