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
            keep(bytes, for: client)
            return
        }
        switch client.socket.send(bytes) {
        case .bytes(let count):
            if count < bytes.count { keep(bytes.extracting(count...), for: client) }
        case .failed:
            sendFailed(client, bytes.count)
        }
    }

    /// The socket is full.
    private func keep(_ bytes: Span<UInt8>, for client: ClientConnection) {
        guard !client.lacksMemory else { return }
        if !client.outgoing.append(bytes) {
            // What follows would be read as something else. It is closed by the next read.
            client.lacksMemory = true
            postponeReading(client)
        }
    }

    /// Its end is told by the next read, at a moment when nothing else is being handled.
    private func sendFailed(_ client: ClientConnection, _ count: Int) {
        if client.isLeaving { noteLoss(of: count, to: client) } else { postponeReading(client) }
    }

    func flush(_ client: ClientConnection) {
        if client.lacksMemory {
            fail(client, .outOfMemory)
            return
        }
        if client.outgoing.flush(to: client.socket) != nil {
            let count = client.outgoing.count
            client.outgoing.clear()
            sendFailed(client, count)
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
        if server.outgoing.hasLater {
            if !server.outgoing.appendLater(bytes) { breakOff(server) }
        } else {
            sendNow(bytes, to: server)
        }
    }

    private func sendNow(_ bytes: Span<UInt8>, to server: ServerConnection) {
        if server.tls != nil { sendEncrypted(bytes, to: server) } else { transmit(bytes, to: server) }
    }

    /// Sends what is ready for the socket.
    func transmit(_ bytes: Span<UInt8>, to server: ServerConnection) {
        if server.outgoing.isEmpty {
            if postsLater, server.socket.post(bytes, .last) { return }
            if server.socket.hasPosted || isOverdue(bytes) { sendPosted() }
        }
        guard server.outgoing.isEmpty else {
            if !server.outgoing.append(bytes) { breakOff(server) }
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
        guard server.outgoing.append(bytes) else {
            breakOff(server)
            return
        }
        server.client?.hasUnread = true
    }

    /// How much of a statement's definition is made ready at a time.
    private static let pieceOfText = 256 * 1024

    /// Sends a statement's definition, as part of a message, without a copy of the whole.
    func send(_ statement: Statement, to server: ServerConnection) {
        if server.outgoing.hasLater || !server.outgoing.isEmpty {
            server.outgoing.appendLater(statement, from: 0)
        } else {
            send(statement, from: 0, to: server)
        }
    }

    private func send(_ statement: Statement, from start: Int, to server: ServerConnection) {
        let text = statement.definition
        var at = start
        while at < text.count, server.isOpen, !server.isBroken {
            guard server.outgoing.isEmpty else {
                server.outgoing.putBack(statement, from: at)
                return
            }
            let end = min(text.count, at + Self.pieceOfText)
            sendNow(text.extracting(at..<end), to: server)
            at = end
        }
    }

    /// What was ready has left: what waited behind it is next.
    private func sendLater(_ server: ServerConnection) {
        while server.outgoing.isEmpty, server.isOpen, !server.isBroken, let next = server.outgoing.takeLater() {
            switch consume next {
            case .bytes(let held): sendNow(held.bytes, to: server)
            case .text(let statement, let start): send(statement, from: start, to: server)
            }
        }
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
        if server.outgoing.hasLater { sendLater(server) }
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
                if error != nil { sendFailed(client, rest.count) } else { keep(rest, for: client) }
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
