import Glibc
import Locking
import Testing

@testable import EventLoop

/// libevent's warnings stood on standard error among the log's lines, without time and process, and in no log file.
@Suite struct LibraryLogTests {
    @Test func warningsComeToTheReceiver() throws {
        let heard = Locked<[String]>([])
        LibraryLog.send { severity, text in if severity == .warning { heard.withLock { $0.append(text) } } }
        let loop = try EventLoop(tick: 1_000_000)
        // epoll takes no ordinary file.
        let file = open("/proc/self/status", O_RDONLY)
        try #require(file >= 0)
        var socket = Socket(adopting: file, on: loop, token: 0)
        socket.close()
        #expect(heard.withLock { $0 }.contains { $0.hasPrefix("Epoll") })
    }
}
