import Configuration
import PoolCore
import PostgresWire
import Testing

@testable import EventLoop
@testable import Pooler

/// What depends on a moment that can't be hit from outside: events and jobs in an order that is rare.
@Suite struct WorkerCoreTests {
    /// Databases in front of a port, each with a forced user and a server that is wanted before anybody comes.
    private static func configuration(port: Int, databases: [String]) -> Configuration {
        var configuration = Configuration()
        configuration.settings.serverTlsSslmode = .disable
        for name in databases {
            var database = Database(name: name)
            database.hosts = ["127.0.0.1"]
            database.port = port
            database.forcedUser = "app"
            database.minPoolSize = 1
            configuration.databases[name] = database
        }
        return configuration
    }

    /// An event that was meant for the connection which had the slot before.
    private static func turn(_ core: WorkerCore, _ kind: TokenKind, _ slot: UInt32) {
        let events = [ReadyEvent(token: kind.token(slot), readiness: .writable)]
        core.turn(events.span, tick: false)
    }

    @Test func aStaleEventIsNoConnectionToAServer() throws {
        let port = try HalfOpenPort()
        let core = try WorkerCore.staged()
        core.admin.apply(Self.configuration(port: port.port, databases: ["lab"]))
        let server = try #require(core.servers.any)
        Self.turn(core, .server, server.slot)
        try #require(server.phase == .connecting && !server.channel.hasPendingOutput)
        port.open()
        Self.turn(core, .server, server.slot)
        #expect(server.phase == .authenticating)
        #expect(port.received().starts(with: [0, 0, 0]))
    }

    @Test func aStaleEventSendsNoCancelRequest() throws {
        let port = try HalfOpenPort()
        let core = try WorkerCore.staged()
        core.admin.apply(Self.configuration(port: port.port, databases: ["lab"]))
        let server = try #require(core.servers.any)
        server.cancelKey = CancelKey(processID: 1, secret: [2, 3, 4, 5])
        core.cancels.cancelForGood(server)
        let connection = try #require(core.cancels.connections.any)
        Self.turn(core, .cancel, connection.slot)
        #expect(core.cancels.connections.any === connection && !connection.isSent)
    }

    @Test func aStaleEventSendsNoRequestToAPeer() throws {
        let port = try HalfOpenPort()
        var configuration = Configuration()
        var peer = Peer()
        (peer.host, peer.port) = ("127.0.0.1", port.port)
        configuration.peers[2] = peer
        let core = try WorkerCore.staged(configuration)
        let request = PeerCancel(peer: 2, id: 1, key: 0x0102_0304_0506_0708, client: (0, 0), now: core.now)
        let slot = core.cancels.peers.send(request)
        #expect(request.stage == .connecting)
        Self.turn(core, .cancel, slot | PeerCancels.tokenBit)
        try #require(core.cancels.peers[slot] === request && request.stage == .connecting)
        port.open()
        Self.turn(core, .cancel, slot | PeerCancels.tokenBit)
        #expect(request.stage == .sent)
        #expect(port.received().suffix(8) == [1, 2, 3, 4, 5, 6, 7, 8])
    }

    /// A reload, or a tick, may reach a worker before it has been told of the others.
    @Test func aWorkerThatKnowsNobodyYetAsksNobodyForRoom() throws {
        let port = try HalfOpenPort()
        let core = try WorkerCore.staged(workers: 2)
        var configuration = Self.configuration(port: port.port, databases: ["lab", "lab2"])
        configuration.settings.maxUserConnections = 1
        core.admin.apply(configuration)
        #expect(core.peers.isEmpty)
        #expect(core.servers.count == 1)
        let shard = try #require(core.shards.values.first)
        core.opener.room.makeRoom(for: shard, .userFull)
        #expect(core.servers.count == 1)
    }
}
