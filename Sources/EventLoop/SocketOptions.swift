import CLibevent
import Glibc

/// What is set on every TCP socket. On a listening socket it is inherited by what is accepted, which saves calls per connection.
public struct SocketOptions: Sendable, Equatable {
    public var keepAlive = true
    /// Seconds; 0 leaves the system's default.
    public var keepIdle = 0
    public var keepInterval = 0
    public var keepCount = 0
    /// Milliseconds that sent data may stay unacknowledged; 0 leaves the system's default.
    public var userTimeout = 0
    /// Bytes for each of the kernel's two buffers; 0 leaves the system's default.
    public var bufferSize = 0

    public init() {}

    /// On a new socket.
    func apply(to descriptor: Int32) {
        set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        if keepAlive { set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1) }
        for (name, value) in numbers where value > 0 { set(descriptor, Int32(IPPROTO_TCP), name, value) }
        setBuffers(descriptor)
    }

    /// On a socket that has had others: what is left to the system gets what a new socket has. The sizes of the buffers stay, for the
    /// kernel can't be told to choose them again.
    func reapply(to descriptor: Int32) {
        let fresh = Kernel.socket(AF_INET)
        defer { if fresh >= 0 { Kernel.close(fresh) } }
        set(descriptor, SOL_SOCKET, SO_KEEPALIVE, keepAlive ? 1 : 0)
        for (name, value) in numbers {
            if let number = value > 0 ? value : systemValue(of: name, on: fresh) { set(descriptor, Int32(IPPROTO_TCP), name, number) }
        }
        setBuffers(descriptor)
    }

    private var numbers: [(name: Int32, value: Int)] {
        [(TCP_KEEPIDLE, keepIdle), (TCP_KEEPINTVL, keepInterval), (TCP_KEEPCNT, keepCount), (TCP_USER_TIMEOUT, userTimeout)]
    }

    private func systemValue(of name: Int32, on descriptor: Int32) -> Int? {
        Kernel.option(descriptor, Int32(IPPROTO_TCP), name).map { Int($0) }
    }

    private func setBuffers(_ descriptor: Int32) {
        if bufferSize > 0 {
            set(descriptor, SOL_SOCKET, SO_SNDBUF, bufferSize)
            set(descriptor, SOL_SOCKET, SO_RCVBUF, bufferSize)
        }
    }
}

func set(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int) {
    Kernel.setOption(descriptor, level, name, Int32(clamping: value))
}
