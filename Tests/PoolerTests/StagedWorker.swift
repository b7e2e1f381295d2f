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
        return try staged(0, SharedState(sink: sink, workers: workers), configuration)
    }

    private static func staged(_ index: Int, _ shared: SharedState, _ configuration: Configuration) throws -> WorkerCore {
        let loop = try EventLoop(tick: 333_333)
        return WorkerCore(index: index, loop: loop, mailbox: Mailbox(waking: loop), shared: shared, configuration: configuration)
    }

    /// Workers of one process that know each other. They read their mail when the test says so.
    static func staged(_ configuration: Configuration = Configuration(), together count: Int) throws -> [WorkerCore] {
        let first = try staged(configuration, workers: count)
        let cores = try [first] + (1..<count).map { try staged($0, first.shared, configuration) }
        for core in cores { core.peers = cores.map(\.mailbox) }
        return cores
    }
}

/// Two ends of a stream: one for a connection of the worker, one for the test, which closes it.
func socketPair() throws -> (mine: Int32, theirs: Int32) {
    var descriptors: [Int32] = [0, 0]
    try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0, &descriptors) == 0)
    return (descriptors[0], descriptors[1])
}
