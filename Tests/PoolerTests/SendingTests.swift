import Glibc
import PoolCore
import Testing

@testable import EventLoop
@testable import Pooler

/// What is posted in the middle of a turn, and what happens before its end.
@Suite struct SendingTests {
    /// A worker without a thread, and one client of it, whose other end is in the test's hands.
    private final class Stage {
        let core: WorkerCore
        let client: ClientConnection
        let peer: Int32

        init() throws {
            core = try .staged()
            let (mine, theirs) = try socketPair()
            core.listeners.accepted(mine, isUnix: true)
            client = try #require(core.clients.any)
            peer = theirs
            core.transport.postsLater = true
        }

        deinit { Glibc.close(peer) }

        /// All that has arrived so far; `isEnd`: and nothing more will.
        func arrived() -> (bytes: [UInt8], isEnd: Bool) {
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 1 << 20)
            while true {
                let count = recv(peer, &buffer, buffer.count, 0)
                if count <= 0 { return (bytes, count == 0) }
                bytes += buffer[..<count]
            }
        }

        func ready(_ readiness: Readiness) {
            core.ready(client, readiness)
            core.sendPosted()
        }

        /// A turn in which the client's socket is announced so many times.
        func turn(events count: Int) {
            let event = ReadyEvent(token: TokenKind.client.token(client.slot), readiness: .readable)
            let events = [ReadyEvent](repeating: event, count: count)
            core.turn(events.span, tick: false)
        }
    }

    @Test func shortAnswersLeaveAtTheEndOfTheTurn() throws {
        let stage = try Stage()
        stage.core.send([1, 2], to: stage.client)
        stage.core.send([3], to: stage.client)
        #expect(stage.arrived().bytes.isEmpty)
        stage.core.sendPosted()
        #expect(stage.arrived().bytes == [1, 2, 3])
    }

    @Test func aTurnLeavesNothingInTheOutbox() throws {
        let stage = try Stage()
        // SSLRequest and GSSENCRequest, each of which may be asked once.
        let requests: [[UInt8]] = [[0, 0, 0, 8, 4, 210, 22, 47], [0, 0, 0, 8, 4, 210, 22, 48]]
        #expect(Glibc.send(stage.peer, requests[0], 8, 0) == 8)
        stage.turn(events: 1)
        #expect(stage.arrived().bytes == Array("N".utf8) && stage.core.loop.outbox.isEmpty)
        #expect(Glibc.send(stage.peer, requests[1], 8, 0) == 8)
        stage.turn(events: 2)
        #expect(stage.arrived().bytes == Array("N".utf8) && stage.core.loop.outbox.isEmpty)
    }

    @Test func aLongAnswerDoesNotOvertakeAPostedOne() throws {
        let stage = try Stage()
        stage.core.send([1], to: stage.client)
        stage.core.send([UInt8](repeating: 2, count: 5000), to: stage.client)
        stage.core.send([3], to: stage.client)
        #expect(stage.arrived().bytes == [1] + [UInt8](repeating: 2, count: 5000))
        stage.core.sendPosted()
        #expect(stage.arrived().bytes == [3])
    }

    @Test func aShortAnswerDoesNotWaitForALargeResultOfSomebodyElse() throws {
        let stage = try Stage()
        let (mine, theirs) = try socketPair()
        defer { Glibc.close(theirs) }
        stage.core.listeners.accepted(mine, isUnix: true)
        let other = try #require(stage.core.clients.all.first { $0 !== stage.client })
        stage.core.send([1], to: stage.client)
        stage.core.send([UInt8](repeating: 2, count: 40_000), to: other)
        #expect(stage.arrived().bytes == [1])
    }

    @Test func manyShortAnswersLeaveInTheMiddleOfTheTurn() throws {
        let stage = try Stage()
        var peers: [Int32] = []
        defer { for peer in peers { Glibc.close(peer) } }
        stage.core.send([1], to: stage.client)
        for _ in 1...64 {
            let (mine, theirs) = try socketPair()
            peers.append(theirs)
            #expect(stage.arrived().bytes.isEmpty)
            stage.core.listeners.accepted(mine, isUnix: true)
            let newest = try #require(stage.core.clients.all.max { $0.slot < $1.slot })
            stage.core.send([2], to: newest)
        }
        #expect(stage.arrived().bytes == [1])
    }

    @Test func aClientThatIsClosedGetsWhatWasPostedFirst() throws {
        let stage = try Stage()
        stage.core.send([1], to: stage.client)
        stage.core.fail(stage.client, .clientIdleTimeout)
        let arrived = stage.arrived()
        #expect(arrived.bytes.prefix(2) == [1, UInt8(ascii: "E")] && arrived.isEnd)
        #expect(stage.core.loop.outbox.isEmpty)
    }

    @Test func whoSendsNothingMoreGetsAllOfWhatWasPosted() throws {
        let stage = try Stage()
        stage.client.move(to: .idle)
        let filling = [UInt8](repeating: 0, count: 4096)
        var filled = 0
        while case let count = Glibc.send(stage.client.channel.descriptor, filling, filling.count, Int32(MSG_DONTWAIT)), count > 0 {
            filled += count
        }
        let answer = [UInt8](repeating: 7, count: 2000)
        stage.core.send(answer, to: stage.client)
        stage.core.departures.leave(stage.client, .endOfStream)
        #expect(stage.client.isOpen)
        #expect(stage.arrived().bytes.count == filled)
        stage.ready(.writable)
        let rest = stage.arrived()
        #expect(rest.bytes == answer && rest.isEnd && !stage.client.isOpen)
    }

    @Test func aFullSocketKeepsTheOrder() throws {
        let stage = try Stage()
        let filling = [UInt8](repeating: 0, count: 1 << 20)
        stage.core.send(filling, to: stage.client)
        let isFull = stage.client.channel.hasPendingOutput
        try #require(isFull)
        // The rest of it goes, and the socket is full to the brim or nearly so.
        var expected = filling
        while stage.client.channel.hasPendingOutput {
            let arrived = stage.arrived().bytes
            #expect(expected.starts(with: arrived))
            expected.removeFirst(arrived.count)
            stage.ready(.writable)
        }
        while !stage.client.channel.hasPendingOutput {
            for number in 0..<40 as Range<UInt8> {
                let answer = [UInt8](repeating: number, count: 2000)
                stage.core.send(answer, to: stage.client)
                expected += answer
            }
            stage.core.sendPosted()
        }
        // Behind what it has not taken.
        stage.core.send([1, 2, 3], to: stage.client)
        expected += [1, 2, 3]
        var all: [UInt8] = []
        while true {
            let arrived = stage.arrived().bytes
            if arrived.isEmpty { break }
            all += arrived
            stage.ready(.writable)
        }
        #expect(all == expected && !stage.client.channel.hasPendingOutput)
    }

    /// Nothing may follow what is lost, so there is nothing left to be done for it.
    @Test(arguments: [false, true]) func aClientThatHasLostBytesIsClosedByTheNextRead(isForMemory: Bool) throws {
        let stage = try Stage()
        let output: ChannelOutput = isForMemory ? .noMemory : .broken(lost: 1)
        stage.core.notTaken(stage.client.channel.cut(output), stage.client)
        #expect(stage.client.isOpen && stage.client.isQueuedForReading)
        stage.core.send([1, 2], to: stage.client)
        stage.turn(events: 0)
        #expect(!stage.client.isOpen && stage.arrived() == ([], true))
    }

    @Test func aClientThatIsGoneIsFoundOutByReading() throws {
        let stage = try Stage()
        stage.core.send([1], to: stage.client)
        shutdown(stage.peer, Int32(SHUT_RDWR))
        stage.core.sendPosted()
        #expect(stage.client.isOpen && stage.client.isQueuedForReading)
        stage.turn(events: 0)
        #expect(!stage.client.isOpen)
    }
}
