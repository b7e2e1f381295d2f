import CLibevent
import Glibc

/// What libevent hands back in a callback.
struct SocketRecord {
    var event: CLibevent.event
    var loop: Unmanaged<EventLoop>
    var token: UInt32
    /// For writing, where `event` is for reading only: made when a `send` has come up short.
    var writing: UnsafeMutablePointer<CLibevent.event>?
    /// Something for it is in the loop's outbox.
    var hasPosted = false

    var isForWriting: Bool { writing != nil || Int32(event.ev_events) & EV_WRITE != 0 }
}

/// What a socket in a loop is waited for.
public enum SocketInterest: Sendable {
    /// Reading and writing from the beginning: it is still connecting.
    case all
    /// Reading, and from the first short `send` on writing, too. It is writable now, and being told so would be a turn for nothing.
    case reading
}

/// What a `receive` brought.
public enum Received: Sendable {
    case bytes(Int)
    case wouldBlock
    case endOfStream
    case failed(ErrorNumber)
}

/// What became of a `send`.
public enum Sent: Sendable {
    /// So many bytes were taken; fewer than offered means that the socket is full until it is writable again.
    case bytes(Int)
    case failed(ErrorNumber)
}

/// A non-blocking stream socket in a loop.
///
/// It is added once, edge-triggered, and stays until it is closed: no `epoll_ctl` on the query path, but for the first `send` that fills
/// the socket of an accepted connection.
/// A read that is shorter than the buffer means drained, except when the event carried `.closed`.
/// The descriptor is closed when the value dies; use it on its loop's thread only.
public struct Socket: ~Copyable {
    /// nil once closed or detached.
    private var record: UnsafeMutablePointer<SocketRecord>?

    /// Adopts a connected (or connecting) descriptor. Events for it carry `token`.
    public init(adopting descriptor: Int32, on loop: EventLoop, token: UInt32, for interest: SocketInterest = .all) {
        let record = UnsafeMutablePointer<SocketRecord>.allocate(capacity: 1)
        record.initialize(to: SocketRecord(event: CLibevent.event(), loop: .passUnretained(loop), token: token))
        self.record = record
        Self.add(Self.event(record), of: descriptor, EV_READ | EV_CLOSED | (interest == .all ? EV_WRITE : 0), record)
    }

    private static func add(
        _ event: UnsafeMutablePointer<CLibevent.event>, of descriptor: Int32, _ what: Int32, _ record: UnsafeMutablePointer<SocketRecord>
    ) {
        event_assign(
            event, record.pointee.loop._withUnsafeGuaranteedRef { $0.base }, descriptor, Int16(what | EV_PERSIST | EV_ET),
            { _, what, context in
                let record = context!.assumingMemoryBound(to: SocketRecord.self)
                let token = record.pointee.token
                record.pointee.loop._withUnsafeGuaranteedRef { $0.note(what, of: token) }
            }, record)
        Kernel.watch(event, record)
    }

    /// A `send` has come up short: from now on an event tells when the socket takes more. If it does so already, one comes at once.
    @inline(never)
    private static func awaitWritable(_ record: UnsafeMutablePointer<SocketRecord>) {
        guard !record.pointee.isForWriting else { return }
        let event = UnsafeMutablePointer<CLibevent.event>.allocate(capacity: 1)
        record.pointee.writing = event
        add(event, of: record.pointee.event.ev_fd, EV_WRITE, record)
    }

    private static func event(_ record: UnsafeMutablePointer<SocketRecord>) -> UnsafeMutablePointer<CLibevent.event> {
        UnsafeMutableRawPointer(record).assumingMemoryBound(to: CLibevent.event.self)
    }

    /// -1 once closed or detached.
    public var descriptor: Int32 { record?.pointee.event.ev_fd ?? -1 }

    deinit { if let record { Self.close(record) } }

    private static func close(_ record: UnsafeMutablePointer<SocketRecord>) {
        Kernel.close(leave(record))
    }

    /// Takes the descriptor out of its loop.
    private static func leave(_ record: UnsafeMutablePointer<SocketRecord>) -> Int32 {
        let descriptor = record.pointee.event.ev_fd
        if record.pointee.hasPosted { record.pointee.loop._withUnsafeGuaranteedRef { $0.outbox.forget(record) } }
        if let writing = record.pointee.writing {
            Kernel.unwatch(writing)
            writing.deallocate()
        }
        Kernel.unwatch(event(record))
        record.deallocate()
        return descriptor
    }

    /// Leaves the loop and closes the descriptor.
    public mutating func close() {
        if let record { Self.close(record) }
        record = nil
    }

    /// Leaves the loop without closing; the caller owns the descriptor from here on.
    public mutating func detach() -> Int32 {
        guard let record else { return -1 }
        self.record = nil
        return Self.leave(record)
    }

    /// One `recv` of at most the buffer's size.
    @inline(__always)
    public borrowing func receive(into buffer: ReceiveBuffer) -> Received {
        while true {
            let count = Kernel.receive(descriptor, buffer.start, buffer.capacity)
            if count > 0 { return .bytes(count) }
            if count == 0 { return .endOfStream }
            let number = errno
            if number == EAGAIN { return .wouldBlock }
            if number != EINTR { return .failed(ErrorNumber(number)) }
        }
    }

    /// One `send`; never raises SIGPIPE. What has been posted would be overtaken: flush first.
    @inline(__always)
    public borrowing func send(_ bytes: Span<UInt8>) -> Sent {
        guard let record else { return .failed(ErrorNumber(EBADF)) }
        assert(!record.pointee.hasPosted)
        return bytes.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return .bytes(0) }
            return Self.send(record, start, bytes.count)
        }
    }

    @inline(__always)
    static func send(_ record: UnsafeMutablePointer<SocketRecord>, _ start: UnsafeRawPointer, _ count: Int) -> Sent {
        while true {
            let sent = Kernel.send(record.pointee.event.ev_fd, start, count)
            if sent == count { return .bytes(count) }
            if sent >= 0 {
                awaitWritable(record)
                return .bytes(sent)
            }
            let number = errno
            if number == EAGAIN {
                awaitWritable(record)
                return .bytes(0)
            }
            if number != EINTR { return .failed(ErrorNumber(number)) }
        }
    }

    /// Puts bytes in the loop's outbox; they are sent when it is flushed. False: there are none, or too many, or it is full. A socket posts
    /// in one order only.
    @inline(__always)
    public borrowing func post(_ bytes: Span<UInt8>, _ order: Outbox.Order) -> Bool {
        guard let record else { return false }
        return bytes.withUnsafeBytes { bytes in
            record.pointee.loop._withUnsafeGuaranteedRef { $0.outbox.post(bytes, for: record, order) }
        }
    }

    /// Bytes of this socket are in the outbox.
    public var hasPosted: Bool { record?.pointee.hasPosted ?? false }

    /// When it is closed, the other side's next `send` fails.
    public borrowing func resetWhenClosed() { Kernel.resetWhenClosed(descriptor) }

    /// Looks at a socket that has been silent: an edge that was merged with the one before it shows only here.
    public borrowing func isDead() -> Bool {
        let count = Kernel.peek(descriptor)
        return count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)
    }

    /// The pending error of a connect in progress; nil when it succeeded.
    public borrowing func connectError() -> SystemError? {
        let number = Kernel.takeError(descriptor)
        return number == 0 ? nil : SystemError(call: "connect", number: number)
    }
}
