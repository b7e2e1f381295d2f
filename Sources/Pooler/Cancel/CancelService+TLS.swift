import EventLoop
import PostgresWire
import TLS

/// How a cancel request gets to a server: as encrypted as the connection that it is about. Whoever could read the key on its way could
/// cancel that connection's queries for the rest of its life.
extension CancelService {
    /// The first step on a fresh connection. False: it can't be done.
    func begin(_ connection: CancelConnection) -> Bool {
        guard let session = connection.server.tls else { return sendRequest(connection) }
        // The very context that the server's connection was made with: a reload may have changed the settings since.
        if connection.server.shard.database.sslNegotiation == .direct { return beginTLS(connection, session.context) }
        connection.progress = .requestingTLS(session.context)
        var writer = MessageWriter()
        writer.sslRequest()
        guard case .bytes(writer.bytes.count) = connection.socket.send(writer.bytes.span) else { return false }
        return true
    }

    /// Goes on with what the server has answered, up to the request itself. False: it can't be done.
    func advance(_ connection: CancelConnection) -> Bool {
        while !connection.isSent {
            switch connection.socket.receive(into: worker.transport.input) {
            case .wouldBlock: return true
            case .endOfStream, .failed: return false
            case .bytes(let count):
                let buffer = worker.transport.input
                let bytes = buffer.bytes(count)
                switch connection.progress {
                case .connecting, .sent: return true
                case .requestingTLS(let context):
                    guard count == 1, bytes[0] == UInt8(ascii: "S"), beginTLS(connection, context) else { return false }
                case .shakingHands:
                    guard let session = connection.tls else { return false }
                    let result = worker.transport.timed(worker) { session.receive(bytes) }
                    guard sendCiphertext(connection), case .plaintext = result else { return false }
                    if session.isEstablished { return sendRequest(connection) }
                }
            }
        }
        return true
    }

    private func beginTLS(_ connection: CancelConnection, _ context: TLSContext) -> Bool {
        let server = connection.server
        let made = try? TLSSession(
            connecting: context, host: server.opening.host, port: server.address.port, buffers: worker.transport.tlsBuffers)
        guard let session = made else { return false }
        connection.tls = session
        connection.progress = .shakingHands
        let result = worker.transport.timed(worker) { session.start() }
        guard sendCiphertext(connection), case .plaintext = result else { return false }
        return true
    }

    private func sendRequest(_ connection: CancelConnection) -> Bool {
        var writer = MessageWriter()
        writer.cancelRequest(key: connection.key)
        connection.progress = .sent
        guard let session = connection.tls else {
            guard case .bytes(writer.bytes.count) = connection.socket.send(writer.bytes.span) else { return false }
            return true
        }
        let isEncrypted = session.send(writer.bytes.span)
        // In any case the buffer is emptied here: what is left in it would go to the next connection.
        return sendCiphertext(connection) && isEncrypted
    }

    /// A few hundred bytes into an empty socket: what does not fit at once is not worth waiting for.
    private func sendCiphertext(_ connection: CancelConnection) -> Bool {
        let buffers = worker.transport.tlsBuffers
        defer { buffers.clear() }
        let bytes = buffers.ciphertext
        if bytes.isEmpty { return true }
        guard case .bytes(let count) = connection.socket.send(bytes) else { return false }
        return count == bytes.count
    }

    /// Whether the server has closed the connection. With TLS it says good-bye first; and tickets may come before that.
    func isOver(_ connection: CancelConnection) -> Bool {
        guard connection.tls != nil else { return connection.socket.isDead() }
        while true {
            switch connection.socket.receive(into: worker.transport.input) {
            case .bytes: continue
            case .wouldBlock: return false
            case .endOfStream, .failed: return true
            }
        }
    }
}
