import Configuration
import Glibc
import Telemetry
import Testing

@testable import EventLoop
@testable import Pooler

extension WorkerCore {
    /// A worker without a thread: the test is its loop.
    static func staged(_ configuration: Configuration = Configuration(), workers: Int = 1) throws -> WorkerCore {
        let sink = LogSink()
        sink.setQuiet(true)
        let shared = SharedState(sink: sink, workers: workers)
        return WorkerCore(index: 0, loop: try EventLoop(tick: 333_333), shared: shared, configuration: configuration)
    }
}

/// Two ends of a stream: one for a connection of the worker, one for the test, which closes it.
func socketPair() throws -> (mine: Int32, theirs: Int32) {
    var descriptors: [Int32] = [0, 0]
    try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0, &descriptors) == 0)
    return (descriptors[0], descriptors[1])
}
