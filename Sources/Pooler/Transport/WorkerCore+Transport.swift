import EventLoop
import PoolCore

/// The worker's side of the transport: which connection has which number, and what is sent to whom.
extension WorkerCore {
    /// The connection that the loop knows by this number.
    func connection(_ token: UInt32) -> Connection? {
        switch TokenKind(rawValue: token & 3)! {
        case .client: clients[token >> 2]
        case .server: servers[token >> 2]
        case .listener, .cancel: nil
        }
    }

    var chunks: ChunkPool { transport.chunks }

    func read(_ connection: Connection, toEnd: Bool) { transport.read(connection, toEnd: toEnd, self) }
    func postponeReading(_ connection: Connection) { transport.postponeReading(connection) }

    // MARK: Sending

    func send(_ bytes: Span<UInt8>, to client: ClientConnection) {
        guard client.isOpen, !bytes.isEmpty else { return }
        transport.send(bytes, to: client, self)
    }

    func send(_ message: [UInt8], to client: ClientConnection) { send(message.span, to: client) }

    func send(_ bytes: Span<UInt8>, to server: ServerConnection) {
        if server.queryStart == 0 { server.queryStart = now }
        transport.send(bytes, to: server, self)
    }

    /// Sends a statement's definition, as part of a message, without a copy of the whole.
    func send(_ statement: Statement, to server: ServerConnection) { transport.send(statement, to: server, self) }

    /// Sends what has been posted so far.
    func sendPosted() { transport.sendPosted(self) }
    /// Before a socket goes: what has been posted for it leaves first.
    func sendPosted(for connection: Connection) { transport.sendPosted(for: connection, self) }

    /// Tells who is closed that this was no cut line, if it can be told.
    func endTLS(_ connection: Connection) {
        if connection.channel.isEncrypted { transport.sayGoodbye(to: connection, self) }
    }

    /// The process ends at once, under all who are connected.
    func endAllTLS() {
        for client in clients.all { endTLS(client) }
        for server in servers.all { endTLS(server) }
    }

    // MARK: Clients

    /// Something that was to be sent to a client waits for the socket, or is lost.
    func notTaken(_ output: ChannelOutput, _ client: ClientConnection) {
        switch output {
        case .accepted, .filled, .mustFlush: return
        case .broken(let lost) where client.isLeaving: departures.noteLoss(of: lost, to: client)
        case .noMemory:
            client.lacksMemory = true
            postponeReading(client)
        // Before the handshake is done nobody can be told anything.
        case .notEncrypted where client.channel.isShakingHands: return
        // The next read says what it was, at a moment when nothing else is being handled.
        case .broken, .notEncrypted: postponeReading(client)
        }
    }

    /// The socket of a client has taken what waited for it.
    func drained(_ client: ClientConnection) {
        if client.lacksMemory {
            fail(client, .outOfMemory)
            return
        }
        if let server = client.server, server.hasUnread {
            server.hasUnread = false
            postponeReading(server)
        }
        consumeHeld(client)
        if client.isOpen { resumeReading(client) }
    }

    /// Nothing more will be received from a client.
    func ended(_ end: ChannelEnd, _ client: ClientConnection) {
        switch end {
        case .closed: departures.leave(client, .endOfStream)
        case .failed(let error): departures.leave(client, .connectionLost(error.reason), isDeaf: true)
        case .insecure(let error, let inHandshake):
            if inHandshake { snapshots.counters.tlsFailures &+= 1 }
            departures.leave(client, inHandshake ? .tlsHandshakeFailed(error.reason) : .tlsFailed(error.reason), isDeaf: true)
        }
    }

    // MARK: Servers

    /// Something that was to be sent to a server waits for the socket, or is lost.
    func notTaken(_ output: ChannelOutput, _ server: ServerConnection) {
        switch output {
        case .accepted, .mustFlush: return
        case .filled: server.client?.hasUnread = true
        case .broken, .noMemory, .notEncrypted: breakOff(server)
        }
    }

    /// A send failed. The server's last words may be waiting to be read; they say more than the error of a send.
    private func breakOff(_ server: ServerConnection) {
        _ = server.channel.cut(.broken(lost: 0))
        postponeReading(server)
    }

    /// The socket of a server has taken what waited for it.
    func drained(_ server: ServerConnection) {
        if server.isBroken { return }
        advance(server)
        if let client = server.client {
            consumeHeld(client)
            if client.isOpen { resumeReading(client) }
        }
    }

    /// Nothing more will be received from a server.
    func ended(_ end: ChannelEnd, _ server: ServerConnection) {
        if case .insecure(let error, let inHandshake) = end {
            if inHandshake {
                opener.handshakeFailed(server, .tlsHandshakeFailed(error.reason))
            } else {
                serverEnded(server, .tlsFailed(error.reason))
            }
            return
        }
        if opener.isRefusingDirectTLS(server) { return opener.refusedDirectTLS(server) }
        switch end {
        case .failed(let error): serverEnded(server, server.phase == .connecting ? .neverConnected : .failed(error.reason))
        case .closed, .insecure: serverEnded(server, .endOfStream)
        }
    }
}
