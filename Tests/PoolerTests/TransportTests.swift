import Glibc
import PoolCore
import TLS
import Testing

@testable import EventLoop
@testable import Pooler

/// The read loop and the send path, with connections that only write down what they are told.
@Suite struct TransportTests {
    private final class Recorder: Connection {
        var bytes: [UInt8] = []
        var calls: [String] = []
        var isBlocked = false
        var isClosedBy: String?
        var whenReceived: () -> Void = {}
        private var isClosed = false

        override var token: UInt32 { 4 * slot + 3 }
        override var isOpen: Bool { !isClosed }

        private func note(_ call: String) {
            calls.append(call)
            if isClosedBy == call { isClosed = true }
        }

        override func mayReceive(_ core: WorkerCore) -> Bool { !isBlocked }
        override func heldBack(_ core: WorkerCore) { note("held back") }
        override func received(_ more: Span<UInt8>, _ core: WorkerCore) {
            bytes += more.indices.map { more[$0] }
            whenReceived()
            note("received")
        }
        override func secured(_ core: WorkerCore) { note("secured") }
        override func ranDry(_ core: WorkerCore) { note("dry") }
        override func ended(_ end: ChannelEnd, _ core: WorkerCore) {
            switch end {
            case .closed: note("closed")
            case .failed: note("failed")
            case .insecure: note("insecure")
            }
        }
        override func notTaken(_ output: ChannelOutput, _ core: WorkerCore) { note("\(output)") }
        override func drained(_ core: WorkerCore) { note("drained") }
    }

    private final class Stage {
        let core: WorkerCore
        let connection: Recorder
        let peer: Int32
        var transport: Transport { core.transport }

        init() throws {
            core = try .staged()
            let (mine, theirs) = try socketPair()
            let socket = Socket(adopting: mine, on: core.loop, token: 3, for: .reading)
            connection = Recorder(slot: 0, id: 1, channel: Channel(socket, order: .first), connectTime: 0)
            peer = theirs
        }

        deinit { Glibc.close(peer) }

        func put(_ bytes: [UInt8]) { #expect(Glibc.send(peer, bytes, bytes.count, 0) == bytes.count) }
        func read(toEnd: Bool = false) { transport.read(connection, toEnd: toEnd, core) }
        func taken() -> [UInt8] {
            var (bytes, buffer) = ([UInt8](), [UInt8](repeating: 0, count: 1 << 16))
            while case let count = recv(peer, &buffer, buffer.count, 0), count > 0 { bytes += buffer[..<count] }
            return bytes
        }
    }

    @Test func aShortReadEndsTheLoopUnlessAnEndIsToBeFound() throws {
        let stage = try Stage()
        stage.put([1, 2])
        stage.read()
        #expect(stage.connection.bytes == [1, 2] && stage.connection.calls == ["received"])
        stage.put([3])
        stage.read(toEnd: true)
        #expect(stage.connection.bytes == [1, 2, 3] && stage.connection.calls == ["received", "received", "dry"])
    }

    @Test func bytesAndTheEndBehindThemComeInOneGo() throws {
        let stage = try Stage()
        stage.put([1])
        shutdown(stage.peer, Int32(SHUT_WR))
        stage.read(toEnd: true)
        #expect(stage.connection.calls == ["received", "closed"])
    }

    @Test func whoMayNotReceiveLeavesTheBytesInTheKernel() throws {
        let stage = try Stage()
        stage.connection.isBlocked = true
        stage.put([1])
        stage.read()
        #expect(stage.connection.hasUnread && stage.connection.calls == ["held back"])
        stage.connection.isBlocked = false
        stage.read()
        #expect(stage.connection.bytes == [1])
    }

    @Test func whoIsClosedByWhatCameReceivesNothingMore() throws {
        let stage = try Stage()
        stage.connection.isClosedBy = "received"
        stage.put([1])
        shutdown(stage.peer, Int32(SHUT_WR))
        stage.read(toEnd: true)
        #expect(stage.connection.calls == ["received"])
    }

    @Test func othersGetTheirTurnAfterAFewFullBuffers() throws {
        let stage = try Stage()
        let full = [UInt8](repeating: 7, count: Transport.receiveSize)
        stage.put(full)
        // There is always more.
        stage.connection.whenReceived = { [unowned stage] in stage.put(full) }
        stage.read()
        #expect(stage.connection.calls.count == Transport.readsPerTurn && stage.connection.isQueuedForReading)
    }

    @Test func whatIsPostedForAFullSocketIsKeptAndTold() throws {
        let stage = try Stage()
        let client = try #require(try self.client(of: stage.core))
        let (connection, peer) = client
        defer { Glibc.close(peer) }
        // Full to the last byte but one or so.
        let byte: [UInt8] = [0]
        var filling = [UInt8](repeating: 0, count: 1 << 16)
        while Glibc.send(connection.channel.descriptor, filling, filling.count, 0) > 0 {}
        while Glibc.send(connection.channel.descriptor, byte, 1, 0) > 0 {}
        filling = []
        stage.transport.postsLater = true
        stage.core.send([1, 2, 3], to: connection)
        let before = connection.channel.pendingOutput
        stage.core.sendPosted()
        let after = connection.channel.pendingOutput
        #expect(before == 0 && after == 3)
    }

    private func client(of core: WorkerCore) throws -> (ClientConnection, Int32)? {
        let (mine, theirs) = try socketPair()
        core.listeners.accepted(mine, isUnix: true)
        return core.clients.any.map { ($0, theirs) }
    }

    @Test func aLongSendLetsWhatIsPostedGoFirst() throws {
        let stage = try Stage()
        stage.transport.postsLater = true
        stage.transport.send([1].span, to: stage.connection, stage.core)
        let long = [UInt8](repeating: 2, count: 40_000)
        stage.transport.send(long.span, to: stage.connection, stage.core)
        #expect(stage.taken() == [1] + long && stage.connection.calls.isEmpty)
    }

    @Test func aFullSocketIsToldOnceAndItsEmptiness() throws {
        let stage = try Stage()
        let long = [UInt8](repeating: 2, count: 1 << 20)
        stage.transport.send(long.span, to: stage.connection, stage.core)
        stage.transport.send([3].span, to: stage.connection, stage.core)
        #expect(stage.connection.calls == ["filled"] && stage.connection.channel.hasPendingOutput)
        var taken: [UInt8] = []
        while stage.connection.channel.hasPendingOutput {
            taken += stage.taken()
            stage.transport.flush(stage.connection, stage.core)
        }
        taken += stage.taken()
        #expect(stage.connection.calls == ["filled", "drained"] && taken == long + [3])
    }

    @Test func aHandshakeThatBeganWithoutAskingGoesOnWithWhatWasHeld() throws {
        let stage = try Stage()
        let other = try FarEnd(TestTLS.client)
        let hello = other.start()
        // As if it were a startup packet.
        let isHeld = stage.connection.held.append(hello.span, from: stage.core.chunks)
        try #require(isHeld)
        stage.connection.channel.encrypt(with: try TLSSession(accepting: TestTLS.server, buffers: stage.transport.tlsBuffers))
        /// However long a step takes.
        func read(toEnd: Bool) {
            stage.transport.handshakes = HandshakeQueue()
            stage.connection.isQueuedForReading = false
            stage.read(toEnd: toEnd)
        }
        read(toEnd: true)
        read(toEnd: true)
        let isEmpty = stage.connection.held.isEmpty
        #expect(isEmpty)
        stage.put(other.answer(stage.taken()) + other.encrypted([1, 2]))
        read(toEnd: false)
        #expect(stage.connection.calls.filter { $0 != "dry" } == ["secured", "received"] && stage.connection.bytes == [1, 2])
    }

    @Test func handshakesTakeTurns() {
        var queue = HandshakeQueue()
        queue.beginTurn()
        #expect(queue.mayGoOn)
        queue.took(HandshakeQueue.share)
        #expect(!queue.mayGoOn)
        for token in 1...3 as ClosedRange<UInt32> { queue.postpone(token) }
        queue.beginTurn()
        // Nobody overtakes those who wait.
        #expect(!queue.mayGoOn)
        queue.beginServing()
        #expect(queue.mayGoOn && queue.next() == 1 && queue.next() == 2)
        queue.took(HandshakeQueue.share)
        // The second one has to wait again, behind the third.
        queue.postpone(2)
        #expect(queue.next() == nil)
        queue.endServing()
        queue.beginTurn()
        queue.beginServing()
        #expect(queue.next() == 3 && queue.next() == 2 && queue.next() == nil)
        queue.endServing()
        #expect(queue.isEmpty)
    }
}
