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

    func apply(to descriptor: Int32) {
        set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        if keepAlive { set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1) }
        if keepIdle > 0 { set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, keepIdle) }
        if keepInterval > 0 { set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPINTVL, keepInterval) }
        if keepCount > 0 { set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPCNT, keepCount) }
        if userTimeout > 0 { set(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, userTimeout) }
        if bufferSize > 0 {
            set(descriptor, SOL_SOCKET, SO_SNDBUF, bufferSize)
            set(descriptor, SOL_SOCKET, SO_RCVBUF, bufferSize)
        }
    }
}

func set(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int) {
    var value = Int32(clamping: value)
    setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
}
