import Glibc
import Testing

@testable import EventLoop

@Suite struct OutboxTests {
    /// Packets keep their bounds, so that a receiver can count sends.
    private static func pair(_ type: __socket_type = SOCK_SEQPACKET) -> (Int32, Int32) {
        var descriptors: [Int32] = [0, 0]
        #expect(socketpair(AF_UNIX, Int32(type.rawValue | SOCK_NONBLOCK.rawValue), 0, &descriptors) == 0)
        return (descriptors[0], descriptors[1])
    }

    private static func close(_ descriptors: [Int32]) {
        for descriptor in descriptors { Glibc.close(descriptor) }
    }

    private static func packets(_ descriptor: Int32) -> [String] {
        var found: [String] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count <= 0 { return found }
            found.append(String(decoding: buffer[..<count], as: UTF8.self))
        }
    }

    private static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    private static func post(
        _ text: String, _ socket: borrowing Socket, _ order: Outbox.Order = .last, at place: SourceLocation = #_sourceLocation
    ) {
        let isPosted = socket.post(bytes(text).span, order)
        let isThere = isPosted && socket.hasPosted
        #expect(isThere, sourceLocation: place)
    }

    private static func post(count: Int, _ socket: borrowing Socket) -> Bool {
        socket.post([UInt8](repeating: 1, count: count).span, .last)
    }

    @Test("what is posted leaves with the flush, in one send where it stands together")
    func merging() throws {
        let loop = try EventLoop(tick: 1_000_000)
        let (mine, theirs) = Self.pair()
        let (other, others) = Self.pair()
        defer { Self.close([theirs, others]) }
        let socket = Socket(adopting: mine, on: loop, token: 1)
        let another = Socket(adopting: other, on: loop, token: 2)
        Self.post("one ", socket)
        Self.post("two", socket)
        Self.post("else", another)
        Self.post("three", socket)
        #expect(Self.packets(theirs).isEmpty && !loop.outbox.isEmpty)
        loop.outbox.flush { _, _, _ in Issue.record("everything fits") }
        #expect(Self.packets(theirs) == ["one two", "three"] && Self.packets(others) == ["else"])
        let isLeft = socket.hasPosted
        #expect(loop.outbox.isEmpty && !isLeft)
        loop.outbox.flush { _, _, _ in Issue.record("nothing is there") }
        #expect(Self.packets(theirs).isEmpty)
    }

    @Test("those that are to leave first do, and a broken socket is told once")
    func orderAndErrors() throws {
        let loop = try EventLoop(tick: 1_000_000)
        let (mine, theirs) = Self.pair()
        let (other, others) = Self.pair()
        let late = Socket(adopting: mine, on: loop, token: 1)
        let early = Socket(adopting: other, on: loop, token: 2)
        Self.post("a", late)
        Self.post("b", early, .first)
        Self.post("c", late)
        Self.post("d", early, .first)
        Self.close([theirs, others])
        var told: [UInt32] = []
        loop.outbox.flush { token, rest, error in
            #expect(error != nil && rest.isEmpty)
            told.append(token)
        }
        #expect(told == [2, 1])
    }

    @Test("a full socket gives back what it has not taken, in order, and the rest of the outbox leaves")
    func fullSocket() throws {
        let loop = try EventLoop(tick: 1_000_000)
        let (mine, theirs) = Self.pair(SOCK_STREAM)
        let (other, others) = Self.pair()
        defer { Self.close([theirs, others]) }
        let socket = Socket(adopting: mine, on: loop, token: 1)
        let another = Socket(adopting: other, on: loop, token: 2)
        let filling = [UInt8](repeating: 0x2E, count: 1 << 20)
        var filled = 0
        while case .bytes(let count) = socket.send(filling.span), count > 0 { filled += count }
        Self.post("first", socket)
        Self.post("x", another)
        Self.post("second", socket)
        var rest: [UInt8] = []
        loop.outbox.flush { token, bytes, error in
            #expect(token == 1 && error == nil)
            for index in bytes.indices { rest.append(bytes[index]) }
        }
        // How much of it fits behind the filling is the kernel's business.
        var arrived = 0
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while case let count = recv(theirs, &buffer, buffer.count, 0), count > 0 { arrived += count }
        #expect(Self.bytes("firstsecond").suffix(rest.count) == rest[...] && arrived + rest.count == filled + 11)
        #expect(Self.packets(others) == ["x"])
    }

    @Test("what is behind bytes that a socket has not taken does not overtake them, even if it has room again by then")
    func noOvertaking() throws {
        let loop = try EventLoop(tick: 1_000_000)
        let (mine, theirs) = Self.pair(SOCK_STREAM)
        let (other, others) = Self.pair()
        defer { Self.close([theirs, others]) }
        let socket = Socket(adopting: mine, on: loop, token: 1)
        let another = Socket(adopting: other, on: loop, token: 2)
        let filling = [UInt8](repeating: 0x2E, count: 1 << 20)
        while case .bytes(let count) = socket.send(filling.span), count > 0 {}
        Self.post("first", socket)
        Self.post("x", another)
        Self.post("second", socket)
        var rest: [UInt8] = []
        loop.outbox.flush { token, bytes, error in
            #expect(token == 1 && error == nil)
            for index in bytes.indices { rest.append(bytes[index]) }
            _ = Self.packets(theirs)
        }
        #expect(rest == Self.bytes("firstsecond") && Self.packets(theirs).isEmpty && Self.packets(others) == ["x"])
    }

    @Test("a socket that goes takes along what it has posted")
    func closedSocket() throws {
        let loop = try EventLoop(tick: 1_000_000)
        let (mine, theirs) = Self.pair()
        let (other, others) = Self.pair()
        defer { Self.close([theirs, others]) }
        var socket = Socket(adopting: mine, on: loop, token: 1)
        var another = Socket(adopting: other, on: loop, token: 2)
        Self.post("a", socket)
        Self.post("b", another, .first)
        socket.close()
        let detached = another.detach()
        loop.outbox.flush { _, _, _ in Issue.record("nobody is left to be told") }
        #expect(Self.packets(theirs).isEmpty && Self.packets(others).isEmpty)
        Glibc.close(detached)
    }

    @Test("what is long, or more than there is room for, is not posted")
    func limits() throws {
        let loop = try EventLoop(tick: 1_000_000)
        let (mine, theirs) = Self.pair(SOCK_STREAM)
        defer { Glibc.close(theirs) }
        let socket = Socket(adopting: mine, on: loop, token: 1)
        let isTooLong = !Self.post(count: 2049, socket)
        #expect(isTooLong && loop.outbox.isEmpty)
        var posted = 0
        while Self.post(count: 2048, socket) { posted += 2048 }
        #expect(posted == 64 * 1024 && loop.outbox.isFull)
        loop.outbox.flush { _, _, _ in Issue.record("a socket takes this much") }

        var descriptors: [Int32] = []
        defer { Self.close(descriptors) }
        func postFromNew(_ count: Int) -> Bool {
            guard count > 0 else { return true }
            let (here, there) = Self.pair()
            descriptors.append(there)
            let next = Socket(adopting: here, on: loop, token: 3)
            return Self.post(count: 1, next) && postFromNew(count - 1)
        }
        #expect(!loop.outbox.isFull && postFromNew(63) && !loop.outbox.isFull)
        loop.outbox.flush { _, _, _ in }
        #expect(postFromNew(64) && loop.outbox.isFull)
        loop.outbox.flush { _, _, _ in }
        #expect(!postFromNew(65))
        loop.outbox.flush { _, _, _ in }
    }
}
