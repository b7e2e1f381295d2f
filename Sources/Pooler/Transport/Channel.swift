import EventLoop
import PoolCore
import TLS

/// What a read of a channel brought.
enum ChannelInput {
    /// So many bytes, which lie in the transport's buffer; none while a handshake or a record of TLS is unfinished. `isDrained`: the kernel
    /// has no more.
    case bytes(Int, isDrained: Bool)
    /// The handshake of TLS is done, and so many bytes came with its end.
    case secured(Int, isDrained: Bool)
    /// The kernel has none.
    case nothing
    case end(ChannelEnd)
}

/// Why nothing more will be received.
enum ChannelEnd {
    /// The other side has said so.
    case closed
    case failed(ErrorNumber)
    /// What came is no TLS, or is not from whom it should be; `inHandshake`: before the first byte could be trusted.
    case insecure(TLSError, inHandshake: Bool)
}

/// What became of bytes that were to be sent.
enum ChannelOutput: Equatable {
    /// The socket has taken them, or the outbox has, or they are kept behind others that wait for the socket.
    case accepted
    /// The socket is full now; what it has not taken is kept.
    case filled
    /// What is in the outbox leaves first: it is to be flushed, and then comes `Channel.finishSending`.
    case mustFlush
    /// So many bytes are lost: the connection is broken.
    case broken(lost: Int)
    /// They could not be kept: there is no memory. What follows would be read as something else, so nothing does.
    case noMemory
    /// TLS has failed, or its handshake is not done.
    case notEncrypted
}

/// A connection's bytes in both directions: its socket, TLS if that was agreed, and what the socket has not taken yet.
///
/// The bytes that a channel receives and encrypts lie in buffers that all channels of a worker share (`Transport`): each call uses them up
/// before the next one. A channel calls nobody; whoever calls it acts on what it returns.
struct Channel: ~Copyable {
    private var socket: Socket
    /// From the moment on when TLS was agreed; no byte on the socket is plain after that.
    private(set) var tls: TLSSession?
    private var output = Outgoing()
    private let order: Outbox.Order
    /// Nothing is sent any more: something that was to be sent is lost.
    private(set) var isCut = false
    /// The other side has ended TLS, and what it sent before has been handed over.
    private var hasEnded = false

    /// - Parameter order: when short sends of this channel leave, of those at the end of a turn.
    init(_ socket: consuming Socket, order: Outbox.Order) {
        self.socket = socket
        self.order = order
    }

    // MARK: TLS

    var isEncrypted: Bool { tls != nil }
    /// TLS is agreed, and its handshake not done.
    var isShakingHands: Bool { tls.map { !$0.isEstablished } ?? false }

    /// From here on everything is TLS.
    mutating func encrypt(with session: TLSSession) { tls = session }

    // MARK: Receiving

    /// One `recv`, decrypted.
    @inline(__always)
    mutating func receive(_ transport: Transport) -> ChannelInput {
        if hasEnded { return .end(.closed) }
        switch socket.receive(into: transport.input) {
        case .bytes(let count):
            let isDrained = count < transport.input.capacity
            guard tls != nil else { return .bytes(count, isDrained: isDrained) }
            let input = transport.input
            return decrypt(input.bytes(count), isDrained: isDrained, transport)
        case .wouldBlock: return .nothing
        case .endOfStream: return .end(.closed)
        case .failed(let error): return .end(.failed(error))
        }
    }

    /// Takes bytes that have come before TLS was agreed, as the beginning of a handshake.
    mutating func receive(early bytes: Span<UInt8>, _ transport: Transport) -> ChannelInput { decrypt(bytes, isDrained: false, transport) }

    /// What TLS itself has to say to the other side is in the transport's buffer afterwards (`sendCiphertext`).
    private mutating func decrypt(_ bytes: Span<UInt8>, isDrained: Bool, _ transport: Transport) -> ChannelInput {
        guard let tls else { return .nothing }
        let wasEstablished = tls.isEstablished
        switch tls.receive(bytes) {
        case .plaintext(let count):
            if !wasEstablished, tls.isEstablished { return .secured(count, isDrained: isDrained) }
            return .bytes(count, isDrained: isDrained)
        case .closed(let count):
            hasEnded = true
            return count > 0 ? .bytes(count, isDrained: false) : .end(.closed)
        case .failed(let error):
            return .end(.insecure(error, inHandshake: !wasEstablished))
        }
    }

    // MARK: Sending

    /// The socket has not taken all: nothing is read for this connection meanwhile, or it would grow.
    var hasPendingOutput: Bool { !output.isEmpty }
    /// How many bytes that is, without what is not made ready yet.
    var pendingOutput: Int { output.count }

    /// Sends bytes, or has them leave at the end of the turn.
    @inline(__always)
    mutating func send(_ bytes: Span<UInt8>, _ transport: Transport) -> ChannelOutput {
        if tls != nil || isCut || output.hasLater { return sendWithCare(bytes, transport) }
        return transmit(bytes, transport)
    }

    private mutating func sendWithCare(_ bytes: Span<UInt8>, _ transport: Transport) -> ChannelOutput {
        if isCut { return .broken(lost: bytes.count) }
        if output.hasLater { return output.appendLater(bytes) ? .accepted : cut(.noMemory) }
        guard encrypt(bytes, transport) else { return isShakingHands ? .notEncrypted : cut(.notEncrypted) }
        return sendCiphertext(transport)
    }

    /// False: nothing can be sent.
    private func encrypt(_ bytes: Span<UInt8>, _ transport: Transport) -> Bool {
        guard let tls, !tls.send(bytes) else { return true }
        // Half a record would go to whoever sends next.
        transport.tlsBuffers.clear()
        return false
    }

    /// Sends what TLS has made, if it has made something.
    mutating func sendCiphertext(_ transport: Transport) -> ChannelOutput {
        let buffers = transport.tlsBuffers
        guard !buffers.isEmpty else { return .accepted }
        let result = isCut ? .broken(lost: 0) : transmit(buffers.ciphertext, transport)
        if result != .mustFlush { buffers.clear() }
        return result
    }

    @inline(__always)
    private mutating func transmit(_ bytes: Span<UInt8>, _ transport: Transport) -> ChannelOutput {
        if output.isEmpty {
            if transport.postsLater, socket.post(bytes, order) { return .accepted }
            if transport.mustFlush(before: bytes.count, isPosted: socket.hasPosted) { return .mustFlush }
        }
        return sendNow(bytes)
    }

    /// Sends what `send` returned `mustFlush` for.
    mutating func finishSending(_ bytes: Span<UInt8>, _ transport: Transport) -> ChannelOutput {
        guard tls != nil else { return isCut ? .broken(lost: bytes.count) : sendNow(bytes) }
        let buffers = transport.tlsBuffers
        defer { buffers.clear() }
        return isCut ? .broken(lost: bytes.count) : sendNow(buffers.ciphertext)
    }

    @inline(__always)
    private mutating func sendNow(_ bytes: Span<UInt8>) -> ChannelOutput {
        guard output.isEmpty else { return output.append(bytes) ? .accepted : cut(.noMemory) }
        switch socket.send(bytes) {
        case .bytes(let count): return count == bytes.count ? .accepted : keep(bytes.extracting(count...))
        case .failed: return cut(.broken(lost: bytes.count))
        }
    }

    /// Keeps what the socket has not taken.
    mutating func keep(_ rest: Span<UInt8>) -> ChannelOutput {
        if isCut { return .broken(lost: rest.count) }
        return output.append(rest) ? .filled : cut(.noMemory)
    }

    /// Something is lost. What is kept would follow it, so it goes, too.
    mutating func cut(_ reason: ChannelOutput) -> ChannelOutput {
        isCut = true
        output.clear()
        return reason
    }

    // MARK: Texts

    /// How much of a statement's definition is made ready at a time.
    static let pieceOfText = 256 * 1024

    /// Sends a statement's definition, as part of a message, without a copy of the whole. The outbox is empty.
    mutating func send(_ statement: Statement, _ transport: Transport) -> ChannelOutput {
        if isCut { return .broken(lost: statement.definition.count) }
        if hasPendingOutput || output.hasLater {
            output.appendLater(statement, from: 0)
            return .accepted
        }
        return send(statement, from: 0, transport)
    }

    private mutating func send(_ statement: Statement, from start: Int, _ transport: Transport) -> ChannelOutput {
        let text = statement.definition
        var at = start
        while at < text.count {
            guard output.isEmpty else {
                output.putBack(statement, from: at)
                return .filled
            }
            let end = min(text.count, at + Self.pieceOfText)
            let result = sendPiece(text.extracting(at..<end), transport)
            guard result == .accepted || result == .filled else { return result }
            at = end
        }
        return output.isEmpty ? .accepted : .filled
    }

    private mutating func sendPiece(_ bytes: Span<UInt8>, _ transport: Transport) -> ChannelOutput {
        guard tls != nil else { return sendNow(bytes) }
        guard encrypt(bytes, transport) else { return cut(.notEncrypted) }
        let buffers = transport.tlsBuffers
        defer { buffers.clear() }
        return sendNow(buffers.ciphertext)
    }

    /// The socket takes more: sends what has waited for that, and what waits behind it. `accepted`: all of it.
    mutating func flush(_ transport: Transport) -> ChannelOutput {
        let waiting = output.count
        if output.flush(to: socket) != nil { return cut(.broken(lost: min(waiting, output.count))) }
        while output.isEmpty, let next = output.takeLater() {
            let result: ChannelOutput
            switch consume next {
            case .bytes(let held): result = sendPiece(held.bytes, transport)
            case .text(let statement, let start): result = send(statement, from: start, transport)
            }
            guard result == .accepted || result == .filled else { return result }
        }
        return output.isEmpty ? .accepted : .filled
    }

    // MARK: The end

    /// Says good-bye, with these last words, if the other side can hear it: with TLS, else it could not tell the end from a cut line (libpq
    /// from 17 on takes a cancel for failed then). What the socket does not take at once is lost. The outbox has been flushed.
    mutating func sayGoodbye(_ words: Span<UInt8> = Span(), _ transport: Transport) {
        guard output.isEmpty, !isCut else { return }
        guard let tls else {
            if !words.isEmpty { _ = socket.send(words) }
            return
        }
        let buffers = transport.tlsBuffers
        defer { buffers.clear() }
        guard words.isEmpty || tls.send(words) else { return }
        tls.shutdown()
        if !buffers.isEmpty { _ = socket.send(buffers.ciphertext) }
    }

    mutating func close() { socket.close() }

    /// Gives the connection to somebody else: what is posted has been flushed, and nothing waits for the socket.
    /// Its session of TLS goes along.
    mutating func detach() -> OwnedDescriptor {
        tls = nil
        return OwnedDescriptor(socket.detach())
    }

    // MARK: The socket

    var descriptor: Int32 { socket.descriptor }
    /// Something for it is in the outbox.
    var hasPosted: Bool { socket.hasPosted }
    /// Looks at a socket that has been silent.
    borrowing func isDead() -> Bool { socket.isDead() }
    borrowing func isConnecting() -> Bool { socket.isConnecting() }
    borrowing func connectError() -> SystemError? { socket.connectError() }
    /// When it is closed, the other side's next `send` fails.
    borrowing func resetWhenClosed() { socket.resetWhenClosed() }
}
