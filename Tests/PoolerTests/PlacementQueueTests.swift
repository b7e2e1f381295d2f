import Configuration
import PoolCore
import Testing

@testable import EventLoop
@testable import Pooler

@Suite struct PlacementQueueTests {
    /// Three servers that are being connected to.
    private static func servers() throws -> (WorkerCore, HalfOpenPort, [ServerConnection]) {
        let port = try HalfOpenPort()
        let core = try WorkerCore.staged()
        var configuration = Configuration()
        configuration.settings.serverTlsSslmode = .disable
        for name in ["a", "b", "c"] {
            var database = Database(name: name)
            (database.hosts, database.port, database.forcedUser, database.minPoolSize) = (["127.0.0.1"], port.port, "app", 1)
            configuration.databases[name] = database
        }
        core.admin.apply(configuration)
        return (core, port, core.servers.all)
    }

    @Test func theOutermostCallPlacesServersThatBecomeFreeMeanwhile() throws {
        let (_, _, servers) = try Self.servers()
        try #require(servers.count == 3)
        var queue = PlacementQueue()
        let isOutermost = queue.begins(servers[0])
        let areInner = [queue.begins(servers[1]), queue.begins(servers[2])]
        #expect(isOutermost && areInner == [false, false] && !queue.isEmpty)
        let placed = [queue.next(), queue.next(), queue.next()]
        #expect(placed[0] === servers[2] && placed[1] === servers[1] && placed[2] == nil && queue.isEmpty)
        // It is over: the next one is placed by its own call.
        let isNext = queue.begins(servers[0])
        #expect(isNext)
    }
}
