import Glibc
import PoolCore
import TLS
import Testing

@testable import EventLoop
@testable import Pooler

/// A channel by itself: one end of a pair of sockets, the other in the test's hands. Nobody sees what it does but by what it returns.
@Suite struct ChannelTests {
    private final class Stage {
        let loop: EventLoop
        let transport: Transport
        var channel: Channel
        let peer: Int32

        init() throws {
            loop = try EventLoop(tick: 333_333)
            transport = Transport(loop: loop)
            let (mine, theirs) = try socketPair()
            channel = Channel(Socket(adopting: mine, on: loop, token: 0, for: .reading), order: .first)
            peer = theirs
        }

        deinit { Glibc.close(peer) }

        // A macro can't look at what is not copyable.
        var isEncrypted: Bool { channel.isEncrypted }
        var isShakingHands: Bool { channel.isShakingHands }
        var isCut: Bool { channel.isCut }
        var descriptor: Int32 { channel.descriptor }
        var hasPendingOutput: Bool { channel.hasPendingOutput }

        func receive() -> ChannelInput { channel.receive(transport) }
        func send(_ bytes: [UInt8]) -> ChannelOutput { channel.send(bytes.span, transport) }

        /// What a receive brought, if it brought bytes.
        func bytes() -> (bytes: [UInt8], isDrained: Bool)? {
            guard case .bytes(let count, let isDrained) = receive() else { return nil }
            return (received(count), isDrained)
        }

        func received(_ count: Int) -> [UInt8] {
            let (input, buffers) = (transport.input, transport.tlsBuffers)
            return channel.isEncrypted ? copied(buffers.plaintext(count)) : copied(input.bytes(count))
        }

        /// Puts bytes in at the other end.
        func put(_ bytes: [UInt8]) { #expect(Glibc.send(peer, bytes, bytes.count, 0) == bytes.count) }

        /// What has come out at the other end.
        func taken(atMost limit: Int = .max) -> [UInt8] {
            var bytes: [UInt8] = []
            while bytes.count < limit {
                var buffer = [UInt8](repeating: 0, count: min(1 << 16, limit - bytes.count))
                let count = recv(peer, &buffer, buffer.count, 0)
                if count <= 0 { break }
                bytes += buffer[..<count]
            }
            return bytes
        }

        /// Does a handshake, of which the channel gets so many bytes at a time.
        func encrypt(piece: Int = 1 << 20) throws -> FarEnd {
            channel.encrypt(with: try TLSSession(accepting: TestTLS.server, buffers: transport.tlsBuffers))
            let other = try FarEnd(TestTLS.client)
            var coming = other.start()
            while !coming.isEmpty {
                for chunk in coming.pieces(of: piece) {
                    put(chunk)
                    switch receive() {
                    case .bytes(0, _), .secured(0, _): break
                    default: throw Surprise()
                    }
                    #expect(channel.sendCiphertext(transport) == .accepted)
                }
                coming = other.answer(taken())
            }
            return other
        }

        /// Sends until the socket is full; returns what was sent.
        func fill() -> [UInt8] {
            var sent: [UInt8] = []
            while !channel.hasPendingOutput {
                let more = ChannelTests.pattern(100_000, from: sent.count)
                let output = send(more)
                #expect(output == .accepted || output == .filled)
                sent += more
            }
            return sent
        }
    }

    static func pattern(_ count: Int, from start: Int = 0) -> [UInt8] {
        (start..<start + count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    }

    // MARK: Receiving

    @Test func aShortReadMeansThatThereIsNoMore() throws {
        let stage = try Stage()
        guard case .nothing = stage.receive() else { throw Surprise() }
        stage.put([1, 2, 3])
        let first = try #require(stage.bytes())
        #expect(first == ([1, 2, 3], true))
        guard case .nothing = stage.receive() else { throw Surprise() }
    }

    @Test func aFullBufferMeansThatThereMayBeMore() throws {
        let stage = try Stage()
        let all = Self.pattern(Transport.receiveSize + 10)
        #expect(Glibc.send(stage.peer, all, all.count, 0) == all.count)
        let (first, second) = (try #require(stage.bytes()), try #require(stage.bytes()))
        #expect(first.bytes.count == Transport.receiveSize && !first.isDrained)
        #expect(second.bytes.count == 10 && second.isDrained && first.bytes + second.bytes == all)
    }

    @Test func bytesComeBeforeTheEndBehindThem() throws {
        let stage = try Stage()
        stage.put([1, 2])
        shutdown(stage.peer, Int32(SHUT_WR))
        #expect(stage.bytes()?.bytes == [1, 2])
        guard case .end(.closed) = stage.receive() else { throw Surprise() }
        // The other direction is open.
        #expect(stage.send([3]) == .accepted && stage.taken() == [3])
    }

    @Test func aResetIsAnError() throws {
        let loop = try EventLoop(tick: 333_333)
        let transport = Transport(loop: loop)
        let listener = try Listening()
        var channel = Channel(Socket(adopting: listener.mine, on: loop, token: 0), order: .first)
        listener.reset()
        guard case .end(.failed(let error)) = channel.receive(transport) else { throw Surprise() }
        #expect(error.reason == "Connection reset by peer")
        guard case .broken(lost: 1) = channel.send([1].span, transport) else { throw Surprise() }
    }

    // MARK: Sending

    @Test func whatAFullSocketHasNotTakenIsKeptInItsOrder() throws {
        let stage = try Stage()
        var expected = stage.fill()
        // Behind what waits nothing needs room in the socket.
        for number in 0..<10 as Range<UInt8> {
            #expect(stage.send([number]) == .accepted)
            expected.append(number)
        }
        var taken: [UInt8] = []
        while true {
            taken += stage.taken(atMost: 10_000)
            let output = stage.channel.flush(stage.transport)
            if output == .accepted { break }
            #expect(output == .filled && stage.hasPendingOutput)
        }
        taken += stage.taken()
        #expect(!stage.hasPendingOutput && taken == expected)
    }

    @Test func whatIsPostedIsNotOvertaken() throws {
        let stage = try Stage()
        stage.transport.postsLater = true
        #expect(stage.send([1]) == .accepted && stage.taken().isEmpty)
        let long = Self.pattern(5000)
        #expect(stage.send(long) == .mustFlush)
        stage.loop.outbox.flush { _, _, _ in Issue.record("not taken") }
        #expect(stage.channel.finishSending(long.span, stage.transport) == .accepted)
        #expect(stage.taken() == [1] + long)
    }

    @Test func nothingFollowsWhatIsLost() throws {
        let stage = try Stage()
        _ = stage.fill()
        shutdown(stage.channel.descriptor, Int32(SHUT_RDWR))
        guard case .broken(let lost) = stage.channel.flush(stage.transport) else { throw Surprise() }
        #expect(lost > 0 && stage.isCut && !stage.hasPendingOutput)
        #expect(stage.send([1, 2]) == .broken(lost: 2))
        #expect(stage.channel.keep([1].span) == .broken(lost: 1))
    }

    /// A statement's text goes out in pieces; what is sent meanwhile stands behind it.
    @Test(arguments: [false, true]) func aLongTextIsSentInPiecesAndNotOvertaken(isEncrypted: Bool) throws {
        let stage = try Stage()
        let other = isEncrypted ? try stage.encrypt() : nil
        let table = StatementTable(memory: StatementMemory())
        let text = Array(("select '" + String(repeating: "x", count: 1 << 20) + "'").utf8) + [0, 0, 0]
        let interned = table.intern(text.span)
        let statement = try #require(interned)
        #expect(stage.send([1]) == .accepted)
        #expect(stage.channel.send(statement, stage.transport) == .filled)
        #expect(stage.send([2]) == .accepted)
        #expect(stage.channel.send(statement, stage.transport) == .accepted)
        #expect(stage.send([3]) == .accepted)
        var taken: [UInt8] = []
        func take() { taken += other.map { $0.decrypted(stage.taken()) } ?? stage.taken() }
        repeat { take() } while stage.channel.flush(stage.transport) == .filled
        take()
        let definition = (0..<statement.definition.count).map { statement.definition[$0] }
        #expect(taken == [1] + definition + [2] + definition + [3])
    }

    // MARK: TLS

    /// The handshake and everything behind it, cut into pieces: no border of a record is where a read ends.
    @Test(arguments: [1, 7, 1000, 1 << 20]) func recordsMayComeInAnyPieces(piece: Int) throws {
        let stage = try Stage()
        let other = try stage.encrypt(piece: piece)
        #expect(!stage.isShakingHands && stage.isEncrypted)
        let size = piece < 10 ? 5_000 : 100_000
        var received: [UInt8] = []
        for chunk in other.encrypted(Self.pattern(size)).pieces(of: piece) {
            stage.put(chunk)
            if let (bytes, _) = stage.bytes() { received += bytes }
        }
        #expect(received == Self.pattern(size))
        #expect(stage.send(Array("hello".utf8)) == .accepted)
        #expect(other.decrypted(stage.taken()) == Array("hello".utf8))
    }

    @Test func bytesComeBeforeTheGoodbyeBehindThem() throws {
        let stage = try Stage()
        let other = try stage.encrypt()
        stage.put(other.encrypted([1, 2, 3]) + other.goodbye())
        let first = try #require(stage.bytes())
        // No event would tell of the end.
        #expect(first.bytes == [1, 2, 3] && !first.isDrained)
        for _ in 0..<2 { guard case .end(.closed) = stage.receive() else { throw Surprise() } }
    }

    @Test func bytesThatAreNoTLSAreAnErrorAndAnsweredByAnAlert() throws {
        let stage = try Stage()
        let other = try stage.encrypt()
        stage.put([UInt8](repeating: 0x51, count: 100))
        guard case .end(.insecure(_, inHandshake: false)) = stage.receive() else { throw Surprise() }
        #expect(stage.channel.sendCiphertext(stage.transport) == .accepted && !stage.taken().isEmpty)
        #expect(stage.send([1]) == .notEncrypted && stage.taken().isEmpty && stage.isCut)
        _ = other
    }

    @Test func nothingIsSentBeforeTheHandshakeIsDone() throws {
        let stage = try Stage()
        stage.channel.encrypt(with: try TLSSession(accepting: TestTLS.server, buffers: stage.transport.tlsBuffers))
        #expect(stage.isShakingHands)
        #expect(stage.send(Array("secret".utf8)) == .notEncrypted && stage.taken().isEmpty)
        // Which goes on.
        #expect(!stage.isCut)
        stage.put([UInt8](repeating: 0x51, count: 100))
        guard case .end(.insecure(_, inHandshake: true)) = stage.receive() else { throw Surprise() }
    }

    @Test func aFullSocketKeepsTheOrderOfRecords() throws {
        let stage = try Stage()
        let other = try stage.encrypt()
        var sent: [UInt8] = stage.fill()
        for number in 0..<100 {
            let more = Self.pattern(1000, from: number)
            #expect(stage.send(more) == .accepted)
            sent += more
        }
        var plain = other.decrypted(stage.taken())
        while stage.channel.flush(stage.transport) == .filled { plain += other.decrypted(stage.taken()) }
        plain += other.decrypted(stage.taken())
        #expect(plain == sent)
    }

    @Test(arguments: [false, true]) func theLastWordsAndAGoodbye(isEncrypted: Bool) throws {
        let stage = try Stage()
        let other = isEncrypted ? try stage.encrypt() : nil
        stage.channel.sayGoodbye([7].span, stage.transport)
        let taken = stage.taken()
        #expect((other?.decrypted(taken) ?? taken) == [7])
        if let other { #expect(other.wasClosed) }
        #expect(!isEncrypted || stage.transport.tlsBuffers.isEmpty)
    }

    @Test func afterAHalfSentMessageThereIsNoGoodbye() throws {
        let stage = try Stage()
        let sent = stage.fill()
        stage.channel.sayGoodbye([7].span, stage.transport)
        #expect(sent.starts(with: stage.taken()))
    }

    @Test func aChannelThatIsDetachedLeavesItsDescriptorAndItsTLS() throws {
        let stage = try Stage()
        let other = try stage.encrypt()
        let session = stage.channel.tls
        let descriptor = stage.channel.detach()
        let second = Transport(loop: stage.loop)
        let moved = try #require(session)
        moved.move(to: second.tlsBuffers)
        var channel = Channel(Socket(adopting: descriptor.release(), on: stage.loop, token: 1), order: .last)
        channel.encrypt(with: moved)
        #expect(channel.send([1, 2].span, second) == .accepted && other.decrypted(stage.taken()) == [1, 2])
        #expect(!stage.isEncrypted && stage.descriptor == -1)
    }

    struct Surprise: Error {}

    /// A connection over TCP whose other end is reset.
    private struct Listening {
        let mine: Int32
        private let theirs: Int32

        init() throws {
            let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { Glibc.close(listener) }
            let anywhere = try #require(SocketAddress(numeric: "127.0.0.1", port: 0))
            try #require(anywhere.withSockaddr { bind(listener, $0, $1) } == 0 && listen(listener, 1) == 0)
            let address = try #require(SocketAddress.local(of: listener))
            let connecting = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            try #require(address.withSockaddr { connect(connecting, $0, $1) } == 0)
            mine = accept4(listener, __SOCKADDR_ARG(__sockaddr__: nil), nil, Int32(SOCK_NONBLOCK.rawValue))
            theirs = connecting
        }

        func reset() {
            var setting = linger(l_onoff: 1, l_linger: 0)
            setsockopt(theirs, SOL_SOCKET, SO_LINGER, &setting, socklen_t(MemoryLayout<linger>.size))
            Glibc.close(theirs)
        }
    }
}

extension [UInt8] {
    fileprivate func pieces(of size: Int) -> [[UInt8]] {
        stride(from: 0, to: count, by: size).map { Array(self[$0..<Swift.min($0 + size, count)]) }
    }
}
