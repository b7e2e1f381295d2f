import EventLoop
import PostgresWire
import TLS

/// How a cancel request gets to a server: as encrypted as the connection that it is about. Whoever could read the key on its way could
/// cancel that connection's queries for the rest of its life.
extension WorkerCore {
    /// The first step on a fresh connection. False: it can't be done.
    func begin(_ errand: CancelErrand) -> Bool {
        guard let session = errand.server.tls else { return sendRequest(errand) }
        // The very context that the server's connection was made with: a reload may have changed the settings since.
        if errand.server.shard.database.sslNegotiation == .direct { return beginTLS(errand, session.context) }
        errand.progress = .requestingTLS(session.context)
        var writer = MessageWriter()
        writer.sslRequest()
        guard case .bytes(writer.bytes.count) = errand.socket.send(writer.bytes.span) else { return false }
        return true
    }

    /// Goes on with what the server has answered, up to the request itself. False: it can't be done.
    func advance(_ errand: CancelErrand) -> Bool {
        while !errand.isSent {
            switch errand.socket.receive(into: transport.input) {
            case .wouldBlock: return true
            case .endOfStream, .failed: return false
            case .bytes(let count):
                let buffer = transport.input
                let bytes = buffer.bytes(count)
                switch errand.progress {
                case .connecting, .sent: return true
                case .requestingTLS(let context):
                    guard count == 1, bytes[0] == UInt8(ascii: "S"), beginTLS(errand, context) else { return false }
                case .shakingHands:
                    guard let session = errand.tls else { return false }
                    let result = transport.timed(self) { session.receive(bytes) }
                    guard sendCiphertext(errand), case .plaintext = result else { return false }
                    if session.isEstablished { return sendRequest(errand) }
                }
            }
        }
        return true
    }

    private func beginTLS(_ errand: CancelErrand, _ context: TLSContext) -> Bool {
        let server = errand.server
        let made = try? TLSSession(
            connecting: context, host: server.opening.host, port: server.address.port, buffers: transport.tlsBuffers)
        guard let session = made else { return false }
        errand.tls = session
        errand.progress = .shakingHands
        let result = transport.timed(self) { session.start() }
        guard sendCiphertext(errand), case .plaintext = result else { return false }
        return true
    }

    private func sendRequest(_ errand: CancelErrand) -> Bool {
        var writer = MessageWriter()
        writer.cancelRequest(key: errand.key)
        errand.progress = .sent
        guard let session = errand.tls else {
            guard case .bytes(writer.bytes.count) = errand.socket.send(writer.bytes.span) else { return false }
            return true
        }
        let isEncrypted = session.send(writer.bytes.span)
        // In any case the buffer is emptied here: what is left in it would go to the next connection.
        return sendCiphertext(errand) && isEncrypted
    }

    /// A few hundred bytes into an empty socket: what does not fit at once is not worth waiting for.
    private func sendCiphertext(_ errand: CancelErrand) -> Bool {
        let buffers = transport.tlsBuffers
        defer { buffers.clear() }
        let bytes = buffers.ciphertext
        if bytes.isEmpty { return true }
        guard case .bytes(let count) = errand.socket.send(bytes) else { return false }
        return count == bytes.count
    }

    /// Whether the server has closed the connection. With TLS it says good-bye first; and tickets may come before that.
    func isOver(_ errand: CancelErrand) -> Bool {
        guard errand.tls != nil else { return errand.socket.isDead() }
        while true {
            switch errand.socket.receive(into: transport.input) {
            case .bytes: continue
            case .wouldBlock: return false
            case .endOfStream, .failed: return true
            }
        }
    }
}
