import Glibc
import Testing

@testable import EventLoop

/// A port of loopback where connects begin and do not end before `open()`: its queue is full, so the kernel drops what else comes.
final class HalfOpenPort {
    let port: Int
    private let listener: Int32
    private var others: [Int32] = []

    init() throws {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let descriptor = listener
        let anywhere = try #require(SocketAddress(numeric: "127.0.0.1", port: 0))
        try #require(anywhere.withSockaddr { bind(descriptor, $0, $1) } == 0 && listen(descriptor, 0) == 0)
        let address = try #require(SocketAddress.local(of: descriptor))
        port = Int(address.port)
        let first = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        others = [first]
        try #require(address.withSockaddr { connect(first, $0, $1) } == 0)
    }

    /// Takes the one that fills the queue out of it, and waits for the next one, whose SYN the kernel repeats after a second.
    func open() {
        for _ in 0..<2 { others.append(accept4(listener, __SOCKADDR_ARG(__sockaddr__: nil), nil, 0)) }
    }

    /// What comes first on the connection that `open()` let in.
    func received() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 1000)
        let count = recv(others[others.count - 1], &bytes, bytes.count, 0)
        return Array(bytes.prefix(max(0, count)))
    }

    deinit { for descriptor in others + [listener] { close(descriptor) } }
}
