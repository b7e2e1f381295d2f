import CLibevent
import Glibc

/// A listening socket in a loop: level-triggered, so that one `accept` an event is enough and none of them comes back empty.
public struct Listener: ~Copyable {
    private let record: UnsafeMutablePointer<SocketRecord>
    public let address: SocketAddress

    /// Adopts a listening descriptor. Events for it carry `token`.
    public init(adopting descriptor: Int32, address: SocketAddress, on loop: EventLoop, token: UInt32) {
        self.address = address
        record = .allocate(capacity: 1)
        record.initialize(to: SocketRecord(event: CLibevent.event(), loop: .passUnretained(loop), token: token))
        let event = UnsafeMutableRawPointer(record).assumingMemoryBound(to: CLibevent.event.self)
        event_assign(
            event, loop.base, descriptor, Int16(EV_READ | EV_PERSIST),
            { _, what, context in
                let record = context!.assumingMemoryBound(to: SocketRecord.self).pointee
                record.loop._withUnsafeGuaranteedRef { $0.note(what, of: record.token) }
            }, record)
        Kernel.watch(event, record)
    }

    deinit {
        let descriptor = record.pointee.event.ev_fd
        Kernel.unwatch(UnsafeMutableRawPointer(record).assumingMemoryBound(to: CLibevent.event.self))
        record.deallocate()
        Kernel.close(descriptor)
    }

    /// What an `accept` brought.
    public enum Accepted: Sendable {
        case connection(Int32)
        /// One more, and then no others for now: what is left of the descriptors is not for clients.
        case lastConnection(Int32, SystemError)
        case none
        /// No descriptor is left for it (EMFILE, ENFILE, ENOMEM): try again later.
        case exhausted(SystemError)
    }

    public borrowing func accept() -> Accepted {
        let descriptor = Kernel.accept(record.pointee.event.ev_fd)
        if descriptor >= Descriptors.endForClients {
            Descriptors.note(descriptor)
            return .lastConnection(descriptor, SystemError(call: "accept", number: EMFILE))
        }
        if descriptor >= 0 { return .connection(descriptor) }
        switch errno {
        case EMFILE, ENFILE, ENOBUFS, ENOMEM:
            let error = SystemError(call: "accept", number: errno)
            Descriptors.note(-1)
            return .exhausted(error)
        default: return .none
        }
    }

    /// Whether there is a descriptor for one more client.
    public borrowing func hasRoom() -> Bool {
        let next = Kernel.nextDescriptor(after: record.pointee.event.ev_fd)
        return next >= 0 && next < Descriptors.endForClients
    }

    /// Stops or resumes asking for connections, while descriptors are short.
    public borrowing func setListening(_ listening: Bool) {
        let event = UnsafeMutableRawPointer(record).assumingMemoryBound(to: CLibevent.event.self)
        if listening { Kernel.watch(event, record) } else { Kernel.unwatch(event) }
    }

    /// Changes what is set on the socket, and on those that it will accept.
    public borrowing func apply(deferAccept: Int, options: SocketOptions) {
        guard !address.isUnix else { return }
        let descriptor = record.pointee.event.ev_fd
        set(descriptor, Int32(IPPROTO_TCP), TCP_DEFER_ACCEPT, deferAccept)
        options.reapply(to: descriptor)
    }

    /// Opens a listening descriptor. `sharesPort`: several workers (or processes) listen on the same TCP port.
    public static func open(
        _ address: SocketAddress, backlog: Int, sharesPort: Bool, deferAccept: Int, options: SocketOptions
    ) throws(SystemError) -> Int32 {
        let descriptor = try bound(address, sharesPort: sharesPort, deferAccept: deferAccept, options: options)
        guard Kernel.listen(descriptor, backlog: Int32(clamping: backlog)) == 0 else {
            let number = errno
            Kernel.close(descriptor)
            throw SystemError(call: "listen \(address.description)", number: number)
        }
        return descriptor
    }

    /// Throws when somebody else has the address, even one who shares its port. Nothing listens meanwhile: whoever connects to a socket
    /// that goes again is reset.
    public static func checkIsFree(_ address: SocketAddress) throws(SystemError) {
        Kernel.close(try bound(address, sharesPort: false, deferAccept: 0, options: SocketOptions()))
    }

    private static func bound(
        _ address: SocketAddress, sharesPort: Bool, deferAccept: Int, options: SocketOptions
    ) throws(SystemError) -> Int32 {
        let descriptor = Kernel.socket(address.family)
        guard descriptor >= 0 else { throw SystemError(call: "socket", number: errno) }
        if !address.isUnix {
            set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
            if sharesPort { set(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
            if address.family == AF_INET6 { set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1) }
            if deferAccept > 0 { set(descriptor, Int32(IPPROTO_TCP), TCP_DEFER_ACCEPT, deferAccept) }
            options.apply(to: descriptor)
        }
        guard Kernel.bind(descriptor, to: address) == 0 else {
            let number = errno
            Kernel.close(descriptor)
            throw SystemError(call: "bind \(address.description)", number: number)
        }
        return descriptor
    }

    /// Makes a listening socket that somebody else opened fit for a loop. Nil when it is none: the address it listens on else.
    public static func adopt(_ descriptor: Int32, deferAccept: Int, options: SocketOptions) -> SocketAddress? {
        var isListening: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &isListening, &size) == 0, isListening != 0,
            let address = SocketAddress.local(of: descriptor)
        else { return nil }
        let flags = fcntl(descriptor, F_GETFL)
        _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
        if !address.isUnix {
            if deferAccept > 0 { set(descriptor, Int32(IPPROTO_TCP), TCP_DEFER_ACCEPT, deferAccept) }
            options.apply(to: descriptor)
        }
        return address
    }
}
