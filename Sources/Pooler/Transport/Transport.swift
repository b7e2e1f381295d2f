import EventLoop
import PoolCore
import TLS

/// How bytes get from the sockets of a worker to its connections, and from these to the sockets.
///
/// One buffer receives for all connections, and one set of buffers decrypts and encrypts for all of them: everything is used up before the
/// next `recv`. So nothing that handles bytes may read a socket; what is to be read then is read later in the turn (`postponeReading`).
/// Short sends leave together at the end of the turn, those to clients first (`Outbox` says why), longer ones straight away.
final class Transport {
    private let loop: EventLoop
    /// Everything is received here.
    let input = ReceiveBuffer(capacity: Transport.receiveSize)
    private(set) lazy var tlsBuffers = TLSBuffers(receiveCapacity: Transport.receiveSize)
    let chunks = ChunkPool(limit: 256)
    /// There is more than one socket to handle, and an end of the turn at which what is posted leaves.
    var postsLater = false
    private(set) var isInTurn = false
    /// Connections with bytes in the kernel that no event will announce again.
    private var unread: [UInt32] = []
    var handshakes = HandshakeQueue()

    /// One `recv`. Larger than what the kernel usually has, so that a short read means drained.
    static let receiveSize = 128 * 1024
    /// How many full buffers of one socket are handled before others get their turn.
    static let readsPerTurn = 4
    /// A send of so many bytes takes as long as dozens of short ones: what is posted does not wait for it.
    private static let long = 32 * 1024

    init(loop: EventLoop) { self.loop = loop }

    // MARK: A turn

    func beginTurn(events: Int) {
        isInTurn = true
        postsLater = events + unread.count > 1
        handshakes.beginTurn()
    }

    /// What had to wait for the events of the turn.
    func continueTurn(_ core: WorkerCore) {
        // What is posted does not wait for what may take long.
        sendPosted(core)
        if !unread.isEmpty { readPostponed(core) }
        if !handshakes.isEmpty { continueHandshakes(core) }
    }

    func endTurn(_ core: WorkerCore) {
        sendPosted(core)
        postsLater = false
        isInTurn = false
        // With bytes left in the kernel that no edge will announce, the loop must not sleep.
        if !unread.isEmpty || !handshakes.isEmpty { loop.wakeSoon() }
        assert(loop.outbox.isEmpty)
    }

    // MARK: Receiving

    /// Reads a socket later in this turn or in the next: never while other bytes are being handled.
    func postponeReading(_ connection: Connection) {
        guard !connection.isQueuedForReading else { return }
        connection.isQueuedForReading = true
        if !isInTurn, unread.isEmpty { loop.wakeSoon() }
        unread.append(connection.token)
    }

    private func readPostponed(_ core: WorkerCore) {
        let tokens = unread
        unread.removeAll(keepingCapacity: true)
        for token in tokens { readQueued(token, core) }
    }

    private func readQueued(_ token: UInt32, _ core: WorkerCore) {
        guard let connection = core.connection(token), connection.isQueuedForReading else { return }
        connection.isQueuedForReading = false
        read(connection, toEnd: true, core)
    }

    /// Takes what is in the kernel, one `recv` after the other. `toEnd`: up to the word that there is no more, for no event will tell.
    func read(_ connection: Connection, toEnd: Bool, _ core: WorkerCore) {
        for _ in 0..<Self.readsPerTurn {
            guard connection.mayReceive(core) else {
                connection.hasUnread = true
                connection.heldBack(core)
                return
            }
            let isEncrypted = connection.channel.isEncrypted
            let result: ChannelInput
            if isEncrypted {
                guard let decrypted = receiveEncrypted(connection, core) else { return }
                result = decrypted
            } else {
                result = connection.channel.receive(self)
            }
            switch result {
            case .bytes(let count, let isDrained):
                hand(count, isEncrypted, to: connection, core)
                guard connection.isOpen else { return }
                if isDrained, !toEnd { return }
            case .secured(let count, let isDrained):
                connection.secured(core)
                guard connection.isOpen else { return }
                hand(count, isEncrypted, to: connection, core)
                guard connection.isOpen else { return }
                if isDrained, !toEnd { return }
            case .nothing:
                connection.ranDry(core)
                return
            case .end(let end):
                connection.ended(end, core)
                return
            }
        }
        postponeReading(connection)
    }

    @inline(__always)
    private func hand(_ count: Int, _ isEncrypted: Bool, to connection: Connection, _ core: WorkerCore) {
        if isEncrypted {
            if count > 0 { connection.received(tlsBuffers.plaintext(count), core) }
        } else {
            let input = input
            connection.received(input.bytes(count), core)
        }
    }

    /// Nil: a handshake has to wait for its turn, or the connection is closed.
    private func receiveEncrypted(_ connection: Connection, _ core: WorkerCore) -> ChannelInput? {
        let result: ChannelInput
        if connection.channel.isShakingHands {
            guard let step = shakeHands(connection, core) else { return nil }
            result = step
        } else {
            result = connection.channel.receive(self)
        }
        sendCiphertext(to: connection, core)
        return connection.isOpen ? result : nil
    }

    // MARK: Handshakes

    private func shakeHands(_ connection: Connection, _ core: WorkerCore) -> ChannelInput? {
        guard handshakes.mayGoOn else {
            postponeHandshake(connection)
            return nil
        }
        return timed(core) {
            if connection.held.isEmpty { return connection.channel.receive(self) }
            // The beginning of direct TLS, which came as if it were a startup packet.
            var early = connection.held.take()
            defer { early.clear(to: chunks) }
            return connection.channel.receive(early: early.bytes, self)
        }
    }

    /// The handshake of this connection goes on when its turn comes.
    func postponeHandshake(_ connection: Connection) {
        guard !connection.isQueuedForReading else { return }
        connection.isQueuedForReading = true
        handshakes.postpone(connection.token)
    }

    /// A step of a handshake: what is posted does not wait for it, and its time is counted.
    func timed<Result>(_ core: WorkerCore, _ step: () -> Result) -> Result {
        sendPosted(core)
        let start = MonotonicClock.now()
        defer { handshakes.took(MonotonicClock.now() - start) }
        return step()
    }

    private func continueHandshakes(_ core: WorkerCore) {
        handshakes.beginServing()
        while let token = handshakes.next() { readQueued(token, core) }
        handshakes.endServing()
    }

    // MARK: Sending

    @inline(__always)
    func send(_ bytes: Span<UInt8>, to connection: Connection, _ core: WorkerCore) {
        let output = connection.channel.send(bytes, self)
        if case .accepted = output { return }
        finish(output, bytes, connection, core)
    }

    private func finish(_ output: ChannelOutput, _ bytes: Span<UInt8>, _ connection: Connection, _ core: WorkerCore) {
        var output = output
        if output == .mustFlush {
            sendPosted(core)
            output = connection.channel.finishSending(bytes, self)
        }
        if output != .accepted { connection.notTaken(output, core) }
    }

    /// What TLS itself has to say.
    func sendCiphertext(to connection: Connection, _ core: WorkerCore) {
        let output = connection.channel.sendCiphertext(self)
        if output != .accepted { finish(output, Span(), connection, core) }
    }

    /// A statement's definition, as part of a message.
    func send(_ statement: Statement, to connection: Connection, _ core: WorkerCore) {
        sendPosted(core)
        let output = connection.channel.send(statement, self)
        if output != .accepted { connection.notTaken(output, core) }
    }

    /// The socket takes more.
    func flush(_ connection: Connection, _ core: WorkerCore) {
        sendPosted(core)
        let output = connection.channel.flush(self)
        switch output {
        case .accepted: break
        case .filled: return
        case .mustFlush, .broken, .noMemory, .notEncrypted: connection.notTaken(output, core)
        }
        connection.drained(core)
    }

    /// What is posted does not wait for so many bytes that are not, nor when there is much of it, nor may it be overtaken.
    @inline(__always)
    func mustFlush(before count: Int, isPosted: Bool) -> Bool {
        if loop.outbox.isEmpty { return false }
        return isPosted || count >= Self.long || loop.outbox.isFull
    }

    /// Sends what has been posted so far.
    func sendPosted(_ core: WorkerCore) {
        guard !loop.outbox.isEmpty else { return }
        loop.outbox.flush { token, rest, error in
            guard let connection = core.connection(token) else { return }
            let output = error == nil ? connection.channel.keep(rest) : connection.channel.cut(.broken(lost: rest.count))
            connection.notTaken(output, core)
        }
    }

    /// Before a socket goes, or changes hands: what has been posted for it leaves first.
    func sendPosted(for connection: Connection, _ core: WorkerCore) {
        if connection.channel.hasPosted { sendPosted(core) }
    }

    /// The last words to a connection that is closed in peace.
    func sayGoodbye(_ words: Span<UInt8> = Span(), to connection: Connection, _ core: WorkerCore) {
        sendPosted(for: connection, core)
        connection.channel.sayGoodbye(words, self)
    }
}
