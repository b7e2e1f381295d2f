import Configuration
import EventLoop

extension SocketOptions {
    /// What the `tcp_*` settings say, for listeners and for connections to servers alike.
    init(_ settings: Settings) {
        self.init()
        keepAlive = settings.tcpKeepalive
        keepIdle = settings.tcpKeepidle
        keepInterval = settings.tcpKeepintvl
        keepCount = settings.tcpKeepcnt
        userTimeout = settings.tcpUserTimeout
        bufferSize = settings.tcpSocketBuffer
    }
}
