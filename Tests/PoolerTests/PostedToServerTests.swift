import Configuration
import Glibc
import PoolCore
import PostgresWire
import Testing

@testable import EventLoop
@testable import Pooler

/// What is posted for a server, and who has the server until it has left.
@Suite struct PostedToServerTests {
    /// A worker without a thread, its servers and clients; the other ends of their sockets are in the test's hands.
    private final class Stage {
        let core: WorkerCore
        let shard: PoolShard
        private var peers: [UInt32: Int32] = [:]
        private var others: [Int32] = []

        init() throws {
            core = try .staged()
            shard = core.pools.shard(of: Database(name: "lab"), user: "app")
            shard.machine.settings.policy = PoolPolicy(.transaction)
            core.transport.postsLater = true
        }

        deinit {
            for server in core.servers.all { server.client = nil }
            for descriptor in others { Glibc.close(descriptor) }
        }

        private func pair() throws -> (Int32, Int32) {
            let (mine, theirs) = try socketPair()
            others.append(theirs)
            return (mine, theirs)
        }

        private func parameters(_ name: String) -> ParameterSet {
            shard.shared.parameters.intern(reported: [Parameter(name: "application_name", value: name)], unreported: [], byServer: true)
        }

        /// A server that has logged in and waits for its client, unless it is in another `phase`.
        func server(_ phase: ServerStage = .freed) throws -> ServerConnection {
            let (descriptor, peer) = try pair()
            let slot = core.servers.reserve()
            let server = ServerConnection(
                slot: slot, id: UInt64(slot), descriptor: descriptor, loop: core.loop,
                opening: Opening(shard: shard, generation: shard.generation, started: core.now),
                address: try #require(SocketAddress(numeric: "127.0.0.1", port: 1)), now: core.now,
                settings: ServerParameters(empty: shard.shared.parameters.empty), phase: phase)
            core.servers.set(slot, server)
            shard.machine.openingBegan()
            if server.isLoggedIn { shard.machine.serverOpened() }
            peers[slot] = peer
            return server
        }

        /// A client that has logged in.
        func client(name: String = "") throws -> ClientConnection {
            let (descriptor, _) = try pair()
            let slot = core.clients.reserve()
            let client = ClientConnection(slot: slot, id: UInt64(slot), descriptor: descriptor, loop: core.loop, now: core.now)
            client.move(to: .idle)
            client.shard = shard
            client.cancelKey = UInt64(slot) + 1
            client.session.parameters = parameters(name)
            core.clients.set(slot, client)
            shard.clients += 1
            return client
        }

        /// Nothing more goes into the server's socket.
        func fill(_ server: ServerConnection) {
            let filling = [UInt8](repeating: 0x2E, count: 1 << 16)
            while Glibc.send(server.channel.descriptor, filling, filling.count, 0) > 0 {}
        }

        /// What has arrived at the server, without the filling.
        func arrived(_ server: ServerConnection) -> [UInt8] {
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 1 << 20)
            while case let count = recv(peers[server.slot]!, &buffer, buffer.count, 0), count > 0 { bytes += buffer[..<count] }
            return Array(bytes.drop { $0 == 0x2E })
        }
    }

    private static func query(_ text: String) -> [UInt8] {
        var writer = MessageWriter()
        writer.query(text)
        return writer.bytes
    }

    @Test func aServerKeepsItsClientUntilTheEndOfAMessageHasLeft() throws {
        let stage = try Stage()
        let core = stage.core
        let (server, other) = (try stage.server(), try stage.server())
        let (first, third) = (try stage.client(), try stage.client())
        let second = try stage.client(name: "second")
        core.link(first, server)
        core.link(third, other)
        // An error has ended its COPY; the end of what it was sending comes now.
        first.passThrough = 100
        stage.fill(server)
        core.received(first, [UInt8](repeating: 1, count: 100).span)
        core.sendPosted()
        #expect(server.phase == .linked && server.client === first && server.channel.hasPendingOutput)
        // Nobody gets it, and nothing for it leaves with what others send.
        core.received(second, Self.query("select 2").span)
        #expect(core.toServer.isEmpty)
        core.received(third, Self.query("select 3").span)
        core.sendPosted()
        #expect(stage.arrived(other) == Self.query("select 3"))
        // Once the end has left, the server is free.
        let before = stage.arrived(server)
        core.ready(server, .writable)
        core.sendPosted()
        let after = before + stage.arrived(server)
        #expect(after.starts(with: [UInt8](repeating: 1, count: 100)) && after.suffix(14) == Self.query("select 2")[...])
        #expect(server.client === second)
    }

    @Test func anAbandonedServerIsFreeWhenTheEndOfItsCopyHasLeft() throws {
        let stage = try Stage()
        let core = stage.core
        let (server, client) = (try stage.server(), try stage.client())
        core.link(client, server)
        core.received(client, Self.query("copy x from stdin").span)
        core.sendPosted()
        // CopyInResponse: text, no columns.
        core.received(server, [UInt8(ascii: "G"), 0, 0, 0, 7, 0, 0, 0].span)
        stage.fill(server)
        core.close(client, .serverClosed(.crashed))
        try #require(server.phase == .abandoned && server.channel.hasPosted)
        // The COPY has failed before its end came.
        var writer = MessageWriter()
        writer.error(ErrorFields(severity: "ERROR", code: "22P04", message: "bad"))
        writer.readyForQuery(.idle)
        core.received(server, writer.bytes.span)
        core.sendPosted()
        #expect(server.phase == .abandoned && server.channel.hasPendingOutput)
        let before = stage.arrived(server)
        core.ready(server, .writable)
        core.sendPosted()
        let last = (before + stage.arrived(server)).suffix(20)
        #expect(String(decoding: last, as: UTF8.self).hasSuffix("client disconnected\0"))
        #expect(server.phase == .idle)
    }

    @Test func aServerThatIsClosedHearsFirstWhatWasPosted() throws {
        let stage = try Stage()
        let (server, client) = (try stage.server(), try stage.client())
        stage.core.link(client, server)
        stage.core.received(client, Self.query("select 1").span)
        #expect(stage.arrived(server).isEmpty)
        server.client = nil
        stage.core.close(server, .obsolete)
        // Terminate.
        #expect(stage.arrived(server) == Self.query("select 1") + [UInt8(ascii: "X"), 0, 0, 0, 4])
        #expect(stage.core.loop.outbox.isEmpty)
    }

    /// A cancel would find nothing else.
    @Test func anAbandonedServerHasGotWhatItIsToBreakOff() throws {
        let stage = try Stage()
        let (server, client) = (try stage.server(), try stage.client())
        stage.core.link(client, server)
        stage.core.received(client, Self.query("select 1").span)
        stage.core.close(client, .serverClosed(.crashed))
        #expect(server.phase == .abandoned && stage.arrived(server) == Self.query("select 1"))
    }

    @Test func aServerThatDiesInItsLoginGivesBackWhatItHeld() throws {
        let stage = try Stage()
        for _ in 0..<3 {
            let server = try stage.server(.authenticating)
            // Half a header.
            stage.core.received(server, [UInt8(ascii: "R"), 0, 0].span)
            try #require(server.held.count == 3)
            stage.core.serverEnded(server, .endOfStream)
            #expect(!server.isOpen)
        }
        #expect(stage.core.chunks.made == 1)
    }
}
