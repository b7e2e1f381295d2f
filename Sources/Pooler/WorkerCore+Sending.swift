import EventLoop
import PoolCore

/// What leaves for the sockets: short sends at the end of the turn, all at once (`Outbox` says why) and those to clients first, longer
/// ones straight away.
extension WorkerCore {
    /// A send of so many bytes takes as long as dozens of short ones.
    private static let long = 32 * 1024

    /// What is posted does not wait for these bytes that are not, nor when there is much of it.
    private func isOverdue(_ bytes: Span<UInt8>) -> Bool { bytes.count >= Self.long || loop.outbox.isFull }

    // MARK: To clients

    func send(_ bytes: Span<UInt8>, to client: ClientConnection) {
        guard client.isOpen, !bytes.isEmpty else { return }
        if client.tls != nil { sendEncrypted(bytes, to: client) } else { transmit(bytes, to: client) }
    }

    func send(_ message: [UInt8], to client: ClientConnection) { send(message.span, to: client) }

    /// Sends what is ready for the socket.
    func transmit(_ bytes: Span<UInt8>, to client: ClientConnection) {
        if client.outgoing.isEmpty {
            if postsLater, client.socket.post(bytes, .first) { return }
            if client.socket.hasPosted || isOverdue(bytes) { sendPosted() }
        }
        guard client.outgoing.isEmpty else {
            client.outgoing.append(bytes)
            return
        }
        switch client.socket.send(bytes) {
        case .bytes(let count):
            if count < bytes.count { client.outgoing.append(bytes.extracting(count...)) }
        case .failed:
            sendFailed(client)
        }
    }

    /// Its end is told by the next read, at a moment when nothing else is being handled.
    private func sendFailed(_ client: ClientConnection) { postponeReading(client) }

    func flush(_ client: ClientConnection) {
        if let error = client.outgoing.flush(to: client.socket) {
            close(client, .clientEnded("client \(error.reason.lowercased())"))
            return
        }
        if !client.outgoing.isEmpty { return }
        if let server = client.server, server.hasUnread {
            server.hasUnread = false
            postponeReading(server)
        }
        consumeHeld(client)
        if client.isOpen { resumeReading(client) }
    }

    // MARK: To servers

    func send(_ bytes: Span<UInt8>, to server: ServerConnection) {
        if server.queryStart == 0 { server.queryStart = now }
        if server.tls != nil { sendEncrypted(bytes, to: server) } else { transmit(bytes, to: server) }
    }

    /// Sends what is ready for the socket.
    func transmit(_ bytes: Span<UInt8>, to server: ServerConnection) {
        if server.outgoing.isEmpty {
            if postsLater, server.socket.post(bytes, .last) { return }
            if server.socket.hasPosted || isOverdue(bytes) { sendPosted() }
        }
        guard server.outgoing.isEmpty else {
            server.outgoing.append(bytes)
            return
        }
        switch server.socket.send(bytes) {
        case .bytes(let count):
            if count < bytes.count { keep(bytes.extracting(count...), for: server) }
        case .failed:
            breakOff(server)
        }
    }

    /// The socket is full.
    private func keep(_ bytes: Span<UInt8>, for server: ServerConnection) {
        server.outgoing.append(bytes)
        server.client?.hasUnread = true
    }

    /// A send failed. The server's last words may be waiting to be read; they say more than the error of a send.
    func breakOff(_ server: ServerConnection) {
        server.outgoing.clear()
        server.isBroken = true
        postponeReading(server)
    }

    func flush(_ server: ServerConnection) {
        if server.outgoing.flush(to: server.socket) != nil {
            breakOff(server)
            return
        }
        if !server.outgoing.isEmpty { return }
        settle(server)
        if let client = server.client {
            consumeHeld(client)
            if client.isOpen { resumeReading(client) }
        }
    }

    // MARK: The end of the turn

    /// Sends what has been posted so far.
    func sendPosted() {
        guard !loop.outbox.isEmpty else { return }
        loop.outbox.flush { token, rest, error in
            if token & 3 == TokenKind.client.rawValue {
                guard let client = clients[token >> 2] else { return }
                if error != nil { sendFailed(client) } else { client.outgoing.append(rest) }
            } else if let server = servers[token >> 2] {
                if error != nil { breakOff(server) } else { keep(rest, for: server) }
            }
        }
    }

    /// Before a socket goes: what has been posted for it leaves first.
    func sendPosted(for client: ClientConnection) {
        if client.socket.hasPosted { sendPosted() }
    }

    func sendPosted(for server: ServerConnection) {
        if server.socket.hasPosted { sendPosted() }
    }
}
