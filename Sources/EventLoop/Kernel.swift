import CLibevent
import Glibc

#if DEBUG
    /// What stands in place of the operating system while a simulation runs (room `Simulation`): a network, a clock, threads and signals
    /// that exist in memory only. All of it is called on the simulator's thread.
    ///
    /// The calls are the system's own: a negative result is an error, and `errno` says which.
    protocol SimulatedKernel: AnyObject {
        func now() -> Int64
        func wallClock() -> Int64
        /// No descriptor is as large as this.
        var descriptorLimit: Int32 { get }

        func socket() -> Int32
        func bind(_ descriptor: Int32, to address: SocketAddress) -> Int32
        func listen(_ descriptor: Int32, backlog: Int32) -> Int32
        func connect(_ descriptor: Int32, to address: SocketAddress) -> Int32
        func accept(_ descriptor: Int32) -> Int32
        func receive(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer, _ size: Int, peeks: Bool) -> Int
        func send(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int
        func close(_ descriptor: Int32) -> Int32
        /// SO_LINGER with a time of 0.
        func resetWhenClosed(_ descriptor: Int32)
        /// SO_ERROR, which is 0 once it has been asked for.
        func takeError(_ descriptor: Int32) -> Int32
        func address(of descriptor: Int32, isPeer: Bool) -> SocketAddress?
        /// The number that the next socket would get; negative: none is left.
        func nextDescriptor() -> Int32

        /// Events for the descriptor go to the loop from now on (`EventLoop.note`): flags of libevent, edge-triggered with `EV_ET`.
        func watch(_ descriptor: Int32, for what: Int32, on loop: EventLoop, token: UInt32)
        func unwatch(_ descriptor: Int32, for what: Int32)
        /// The loop has an owner, whose turns come with `EventLoop.simulatedTurn` from now on, with a tick each `tick` microseconds.
        func adopt(_ loop: EventLoop, tick: Int64)
        /// The loop has something to do, now or after so many microseconds.
        func wake(_ loop: EventLoop)
        func wake(_ loop: EventLoop, after time: Int64)

        func start(thread name: String, _ body: @escaping @Sendable () -> Void)
        func raise(_ signal: Signals.Name)
        /// Has a job of a task run, behind those that came before it.
        func run(_ job: UnownedJob, on executor: UnownedTaskExecutor)
    }
#endif

/// The lowest functions of the event path: each is one call of the system or of libevent.
///
/// In a debug build they are the seam at which a simulation takes the system's place (`simulated`), chosen at run time; in a release build
/// there is nothing but the call.
enum Kernel {
    #if DEBUG
        /// Set before the first loop is made, and never while one runs.
        nonisolated(unsafe) static var simulated: (any SimulatedKernel)?
    #endif

    // MARK: Sockets

    @inline(__always)
    static func receive(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer, _ size: Int) -> Int {
        #if DEBUG
            if let simulated { return simulated.receive(descriptor, buffer, size, peeks: false) }
        #endif
        return plain_recv(descriptor, buffer, size)
    }

    @inline(__always)
    static func send(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
        #if DEBUG
            if let simulated { return simulated.send(descriptor, bytes, count) }
        #endif
        return plain_send(descriptor, bytes, count)
    }

    /// Looks at the next byte without taking it.
    static func peek(_ descriptor: Int32) -> Int {
        var byte: UInt8 = 0
        #if DEBUG
            if let simulated { return simulated.receive(descriptor, &byte, 1, peeks: true) }
        #endif
        return recv(descriptor, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT))
    }

    @discardableResult
    static func close(_ descriptor: Int32) -> Int32 {
        #if DEBUG
            if let simulated { return simulated.close(descriptor) }
        #endif
        return Glibc.close(descriptor)
    }

    /// A stream socket that never waits.
    static func socket(_ family: Int32) -> Int32 {
        #if DEBUG
            if let simulated { return simulated.socket() }
        #endif
        return Glibc.socket(family, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
    }

    static func connect(_ descriptor: Int32, to address: SocketAddress) -> Int32 {
        #if DEBUG
            if let simulated { return simulated.connect(descriptor, to: address) }
        #endif
        return address.withSockaddr { Glibc.connect(descriptor, $0, $1) }
    }

    static func bind(_ descriptor: Int32, to address: SocketAddress) -> Int32 {
        #if DEBUG
            if let simulated { return simulated.bind(descriptor, to: address) }
        #endif
        return address.withSockaddr { Glibc.bind(descriptor, $0, $1) }
    }

    static func listen(_ descriptor: Int32, backlog: Int32) -> Int32 {
        #if DEBUG
            if let simulated { return simulated.listen(descriptor, backlog: backlog) }
        #endif
        return Glibc.listen(descriptor, backlog)
    }

    static func accept(_ descriptor: Int32) -> Int32 {
        #if DEBUG
            if let simulated { return simulated.accept(descriptor) }
        #endif
        return accept4(
            descriptor, __SOCKADDR_ARG(__sockaddr__: nil), nil, Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue))
    }

    /// The number that the next descriptor would get; negative: none is left.
    static func nextDescriptor(after descriptor: Int32) -> Int32 {
        #if DEBUG
            if let simulated { return simulated.nextDescriptor() }
        #endif
        let next = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        if next >= 0 { Glibc.close(next) }
        return next
    }

    static func setOption(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32) {
        #if DEBUG
            if simulated != nil { return }
        #endif
        var value = value
        setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    static func option(_ descriptor: Int32, _ level: Int32, _ name: Int32) -> Int32? {
        #if DEBUG
            if simulated != nil { return nil }
        #endif
        var number: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, level, name, &number, &size) == 0 ? number : nil
    }

    static func resetWhenClosed(_ descriptor: Int32) {
        #if DEBUG
            if let simulated { return simulated.resetWhenClosed(descriptor) }
        #endif
        var setting = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &setting, socklen_t(MemoryLayout<linger>.size))
    }

    /// The error of a socket, which is forgotten with that; 0: there is none.
    static func takeError(_ descriptor: Int32) -> Int32 {
        #if DEBUG
            if let simulated { return simulated.takeError(descriptor) }
        #endif
        var number: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &number, &size)
        return number
    }

    // MARK: Events

    /// Waits for events of a socket.
    static func watch(_ event: UnsafeMutablePointer<CLibevent.event>, _ record: UnsafeMutablePointer<SocketRecord>) {
        #if DEBUG
            if let simulated {
                let token = record.pointee.token
                record.pointee.loop._withUnsafeGuaranteedRef {
                    simulated.watch(event.pointee.ev_fd, for: Int32(event.pointee.ev_events), on: $0, token: token)
                }
                return
            }
        #endif
        event_add(event, nil)
    }

    static func unwatch(_ event: UnsafeMutablePointer<CLibevent.event>) {
        #if DEBUG
            if let simulated { return simulated.unwatch(event.pointee.ev_fd, for: Int32(event.pointee.ev_events)) }
        #endif
        event_del(event)
    }
}
