import Glibc
import Synchronization
import Testing

@testable import EventLoop

/// An actor on a loop in a thread of its own, as a worker is.
private actor Counter {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    private(set) var jobs = 0
    private(set) var ticks = 0
    private(set) var turnsByHand = 0

    init(_ loop: EventLoop) { self.loop = loop }

    func add() -> Int {
        jobs += 1
        return jobs
    }

    func noteTurn(_ tick: Bool) {
        if tick { ticks += 1 } else { turnsByHand += 1 }
    }

    func wake() { loop.wakeSoon() }
}

@Suite struct EventLoopTests {
    @Test("jobs of an actor run on the loop's thread, ticks come, and the loop ends when told", .timeLimit(.minutes(1)))
    func actorOnLoop() async throws {
        let loop = try EventLoop(tick: 2000)
        let counter = Counter(loop)
        let ended = Mutex(false)
        await withCheckedContinuation { (end: CheckedContinuation<Void, Never>) in
            Threads.start(name: "loop") {
                loop.run { _, tick in counter.assumeIsolated { $0.noteTurn(tick) } }
                ended.withLock { $0 = true }
                end.resume()
            }
            Task {
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<1000 { group.addTask { _ = await counter.add() } }
                }
                while await counter.ticks < 3 { try await Task.sleep(for: .milliseconds(2)) }
                await counter.wake()
                while await counter.turnsByHand == 0 { try await Task.sleep(for: .milliseconds(2)) }
                #expect(await counter.jobs == 1000)
                loop.stop()
            }
        }
        #expect(ended.withLock { $0 })
    }

    /// Runs turns in this thread until `body` says that it has seen enough.
    private func turns(_ loop: EventLoop, _ body: @escaping ([ReadyEvent]) -> Bool) {
        var left = 500
        loop.run { events, _ in
            left -= 1
            if body(events.indices.map { events[$0] }) || left == 0 { loop.stop() }
        }
        #expect(left > 0, "no such event came")
    }

    private func pair() -> (Int32, Int32) {
        var descriptors: [Int32] = [0, 0]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0, &descriptors) == 0)
        return (descriptors[0], descriptors[1])
    }

    @Test("a socket is announced once for each arrival, read until dry, and its end is told")
    func socketPair() throws {
        let loop = try EventLoop(tick: 5000)
        let (mine, theirs) = pair()
        let socket = Socket(adopting: mine, on: loop, token: 42)
        let buffer = ReceiveBuffer(capacity: 8)
        #expect(Glibc.send(theirs, "0123456789", 10, 0) == 10)
        var step = 0
        turns(loop) { events in
            for event in events where event.token == 42 {
                switch step {
                case 0 where event.readiness.contains(.readable):
                    #expect(event.readiness.contains(.writable))
                    guard case .bytes(8) = socket.receive(into: buffer) else { return true }
                    #expect(Array(buffer.bytes(8)) == Array("01234567".utf8))
                    guard case .bytes(2) = socket.receive(into: buffer), case .wouldBlock = socket.receive(into: buffer) else {
                        return true
                    }
                    let isDeadYet = socket.isDead()
                    #expect(!isDeadYet)
                    step = 1
                    Glibc.close(theirs)
                case 1 where event.readiness.contains(.closed):
                    guard case .endOfStream = socket.receive(into: buffer) else { return true }
                    let isDead = socket.isDead()
                    #expect(isDead)
                    step = 2
                default: break
                }
            }
            return step == 2
        }
        #expect(step == 2)
    }

    @Test("an edge comes once: bytes that were left are not announced again")
    func edgeTriggered() throws {
        let loop = try EventLoop(tick: 2000)
        let (mine, theirs) = pair()
        defer { Glibc.close(theirs) }
        let socket = Socket(adopting: mine, on: loop, token: 1)
        Glibc.send(theirs, "x", 1, 0)
        var readable = 0
        var quiet = 0
        turns(loop) { events in
            readable += events.filter { $0.readiness.contains(.readable) }.count
            quiet += events.isEmpty ? 1 : 0
            return quiet == 5
        }
        let descriptor = socket.descriptor
        #expect(readable == 1 && descriptor == mine)
    }

    @Test("a full socket takes what it can, and is announced when it is writable again", arguments: [SocketInterest.all, .reading])
    func shortWrite(interest: SocketInterest) throws {
        let loop = try EventLoop(tick: 5000)
        let (mine, theirs) = pair()
        defer { Glibc.close(theirs) }
        var socket = Socket(adopting: mine, on: loop, token: 1, for: interest)
        let megabytes = [UInt8](repeating: 7, count: 8 << 20)
        guard case .bytes(let count) = socket.send(megabytes.span), count > 0, count < megabytes.count else {
            Issue.record("everything was taken")
            return
        }
        guard case .bytes(0) = socket.send(megabytes.span) else {
            Issue.record("a full socket took more")
            return
        }
        var sink = [UInt8](repeating: 0, count: 1 << 20)
        var drained = 0
        turns(loop) { events in
            if drained == count { return events.contains { $0.readiness.contains(.writable) } }
            while case let part = recv(theirs, &sink, sink.count, 0), part > 0 { drained += part }
            return false
        }
        #expect(drained == count)
        // The descriptor's number comes back to life in the same loop, and nothing of the old one is left there.
        let detached = socket.detach()
        let next = Socket(adopting: detached, on: loop, token: 2, for: .reading)
        #expect(Glibc.send(theirs, "x", 1, 0) == 1)
        turns(loop) { events in
            #expect(events.allSatisfy { $0.token == 2 && !$0.readiness.contains(.writable) })
            return !events.isEmpty
        }
        #expect(next.descriptor == mine)
    }

    @Test("a socket that is only read is not announced for being writable")
    func readingOnly() throws {
        let loop = try EventLoop(tick: 1000)
        let (mine, theirs) = pair()
        defer { Glibc.close(theirs) }
        let socket = Socket(adopting: mine, on: loop, token: 1, for: .reading)
        guard case .bytes(1) = socket.send(([7] as [UInt8]).span) else {
            Issue.record("an empty socket took nothing")
            return
        }
        var quiet = 0
        turns(loop) { events in
            #expect(events.isEmpty)
            quiet += 1
            return quiet == 5
        }
    }

    @Test("a reset is told, and sending into it fails without a signal")
    func reset() throws {
        let loop = try EventLoop(tick: 5000)
        let listening = try Listener.open(
            SocketAddress(numeric: "127.0.0.1", port: 0)!, backlog: 5, sharesPort: false, deferAccept: 0, options: SocketOptions())
        let address = try #require(SocketAddress.local(of: listening))
        let listener = Listener(adopting: listening, address: address, on: loop, token: 1)
        let socket = Socket(adopting: try Connector.start(to: address, options: SocketOptions()), on: loop, token: 2)
        let buffer = ReceiveBuffer(capacity: 64)
        var accepted: Int32?
        var failure: ErrorNumber?
        turns(loop) { events in
            for event in events {
                if event.token == 1, case .connection(let descriptor) = listener.accept() {
                    accepted = descriptor
                    let other = socket.descriptor
                    #expect(SocketAddress.peer(of: descriptor) == SocketAddress.local(of: other))
                    var linger = linger(l_onoff: 1, l_linger: 0)
                    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
                    Connector.discard(descriptor)
                } else if event.token == 2, accepted != nil, case .failed(let error) = socket.receive(into: buffer) {
                    failure = error
                }
            }
            return failure != nil
        }
        #expect(failure?.number == ECONNRESET)
        guard case .none = listener.accept() else {
            Issue.record("an accept for nothing brought something")
            return
        }
        guard case .failed = socket.send([1].span) else {
            Issue.record("a send into a reset connection succeeded")
            return
        }
    }

    @Test("a refused connection shows at once or as a pending error")
    func refused() throws {
        let loop = try EventLoop(tick: 5000)
        let listening = try Listener.open(
            SocketAddress(numeric: "127.0.0.1", port: 0)!, backlog: 1, sharesPort: false, deferAccept: 0, options: SocketOptions())
        let address = try #require(SocketAddress.local(of: listening))
        #expect(Connector.isListening(at: address))
        Connector.discard(listening)
        #expect(!Connector.isListening(at: address))
        let socket = Socket(adopting: try Connector.start(to: address, options: SocketOptions()), on: loop, token: 9)
        var error: SystemError?
        turns(loop) { events in
            if events.contains(where: { $0.token == 9 }) { error = socket.connectError() }
            return error != nil
        }
        #expect(error?.number == ECONNREFUSED)
        let nowhere = try #require(SocketAddress(unixPath: "/nonexistent/.s.PGSQL.5432"))
        #expect(throws: SystemError.self) { try Connector.start(to: nowhere, options: SocketOptions()) }
    }

    @Test("a detached socket lives on outside the loop")
    func detach() throws {
        let loop = try EventLoop(tick: 5000)
        let (mine, theirs) = pair()
        var socket = Socket(adopting: mine, on: loop, token: 1)
        let detached = socket.detach()
        let left = socket.descriptor
        #expect(detached == mine && left == -1)
        #expect(Glibc.send(mine, "x", 1, 0) == 1)
        Glibc.close(mine)
        Glibc.close(theirs)
    }
}

@Suite struct SocketAddressTests {
    @Test(
        "numeric addresses are read and printed",
        arguments: [
            ("127.0.0.1", "127.0.0.1:5432"), ("0.0.0.0", "0.0.0.0:5432"), ("::1", "[::1]:5432"), ("2001:db8:0:0::1", "[2001:db8::1]:5432"),
        ])
    func numeric(text: String, printed: String) throws {
        let address = try #require(SocketAddress(numeric: text, port: 5432))
        #expect(address.description == printed && address.port == 5432 && !address.isUnix)
        #expect(SocketAddress(numeric: text, port: 5432) == address && SocketAddress(numeric: text, port: 1) != address)
    }

    @Test("names are not numeric", arguments: ["localhost", "", "1.2.3", "256.0.0.1", "[::1]", "::g"])
    func names(text: String) { #expect(SocketAddress(numeric: text, port: 1) == nil) }

    @Test("Unix paths fit or are refused")
    func unix() throws {
        let address = try #require(SocketAddress(unixPath: "/tmp/.s.PGSQL.5432"))
        #expect(address.isUnix && address.description == "unix" && address.host == "unix" && address.port == 0)
        #expect(SocketAddress(unixPath: "/" + String(repeating: "a", count: 106)) != nil)
        #expect(SocketAddress(unixPath: "/" + String(repeating: "a", count: 107)) == nil)
        #expect(SocketAddress(unixPath: "") == nil)
    }

    @Test("an abstract name is listened on without a file")
    func abstract() throws {
        let address = try #require(SocketAddress(unixPath: "@sluice-test-\(getpid())"))
        let listening = try Listener.open(address, backlog: 1, sharesPort: false, deferAccept: 0, options: SocketOptions())
        defer { Connector.discard(listening) }
        #expect(Connector.isListening(at: address) && SocketAddress.local(of: listening) == address)
        #expect(throws: SystemError.self) {
            try Listener.open(address, backlog: 1, sharesPort: false, deferAccept: 0, options: SocketOptions())
        }
    }
}

@Suite struct BufferTests {
    @Test("a send buffer grows as it must and gives back what one huge message needed")
    func growth() {
        let buffer = SendBuffer(capacity: 4)
        let name: [UInt8] = [2, 3, 4]
        var expected: [UInt8] = []
        for index in 0..<1000 {
            buffer.append(UInt8(truncatingIfNeeded: index))
            buffer.append(type: 81, length: index)
            buffer.append([1])
            buffer.append([] as [UInt8])
            expected += [UInt8(truncatingIfNeeded: index), 81, 0, 0, UInt8(index >> 8), UInt8(truncatingIfNeeded: index), 1]
            buffer.append(terminated: name.span)
            buffer.append(terminated: Span())
            expected += [2, 3, 4, 0, 0]
        }
        #expect(Array(buffer.bytes) == expected && buffer.count == 12_000)
        buffer.append([UInt8](repeating: 9, count: 3 << 20))
        #expect(buffer.count == 12_000 + (3 << 20))
        buffer.clear()
        #expect(buffer.isEmpty && buffer.bytes.isEmpty)
        buffer.append([5])
        #expect(Array(buffer.bytes) == [5])
    }
}

@Suite struct FilesTests {
    @Test("a file is made once, read whole and removed; what is missing says so")
    func lifecycle() throws {
        let path = "/tmp/sluice-files-test-\(getpid())"
        Files.remove(path)
        #expect(!Files.exists(path))
        let content = String(repeating: "0123456789", count: 20_000)
        try Files.create(path, content: content)
        defer { Files.remove(path) }
        #expect(try Files.read(path) == Array(content.utf8))
        #expect(throws: SystemError.self) { try Files.create(path, content: "other") }
        try Files.setAccess(path, mode: 0o600, group: "")
        #expect(throws: SystemError.self) { try Files.setAccess(path, mode: 0o600, group: "no such group") }
        Files.remove(path)
        let error = #expect(throws: SystemError.self) { try Files.read(path) }
        #expect(error?.number == ENOENT && error?.description == "open \(path): No such file or directory")
    }
}

extension Array where Element == UInt8 {
    fileprivate init(_ span: Span<UInt8>) { self = span.withUnsafeBufferPointer { Array($0) } }
}
