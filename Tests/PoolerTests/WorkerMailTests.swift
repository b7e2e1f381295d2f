import Configuration
import Console
import Glibc
import PoolCore
import PostgresWire
import Testing

@testable import EventLoop
@testable import Pooler

/// What workers tell each other, in an order that is rare, and what is on its way when something ends.
@Suite struct WorkerMailTests {
    private static func configuration() -> Configuration {
        var configuration = Configuration()
        configuration.databases["lab"] = Database(name: "lab")
        return configuration
    }

    /// An idle server of a worker, counted everywhere; the other end is the test's.
    private static func server(of core: WorkerCore, _ shard: PoolShard) throws -> (ServerConnection, peer: Int32) {
        let (mine, theirs) = try socketPair()
        _ = core.shared.capacity.withLock { $0.openServer(shard.shared.key, limits: shard.settings.limits) }
        shard.shared.countServer(shard.generation, 1)
        shard.shared.countLogin(shard.generation, 1)
        let slot = core.servers.reserve()
        let server = ServerConnection(
            slot: slot, id: core.shared.nextID(), descriptor: mine, loop: core.loop,
            opening: Opening(shard: shard, generation: shard.generation, started: core.now),
            address: try #require(SocketAddress(numeric: "127.0.0.1", port: 1)), now: core.now,
            settings: ServerParameters(empty: shard.shared.parameters.empty), phase: .idle)
        core.servers.set(slot, server)
        shard.machine.openingBegan()
        shard.machine.serverOpened()
        core.returnToPool(server)
        return (server, theirs)
    }

    /// What has arrived at the other end; `isEnd`: and nothing more will.
    private static func arrived(_ peer: Int32) -> (bytes: [UInt8], isEnd: Bool) {
        var (bytes, buffer) = ([UInt8](), [UInt8](repeating: 0, count: 1 << 16))
        while true {
            let count = recv(peer, &buffer, buffer.count, 0)
            if count <= 0 { return (bytes, count == 0) }
            bytes += buffer[..<count]
        }
    }

    private static let terminate: [UInt8] = [UInt8(ascii: "X"), 0, 0, 0, 4]

    /// Two workers with the pool lab/app; the first one has an idle server, which it has just been asked for.
    private final class Stage {
        let (giver, taker): (WorkerCore, WorkerCore)
        let shards: [PoolShard]
        let server: ServerConnection
        let peer: Int32

        init() throws {
            let cores = try WorkerCore.staged(configuration(), together: 2)
            (giver, taker) = (cores[0], cores[1])
            let database = try #require(giver.configuration.databases["lab"])
            shards = cores.map { $0.pools.shard(of: database, user: "app") }
            (server, peer) = try WorkerMailTests.server(of: giver, shards[0])
            try #require(server.phase == .idle)
            // By a client that has left meanwhile.
            let asked = shards[1].machine.clientAsks(0, now: taker.now, shards[1].shared)
            try #require(shards[1].machine.provide(now: taker.now, borrows: true, shards[1].shared) == .borrow(from: 0))
            if case .wait(let ticket) = asked { shards[1].machine.clientLeaves(ticket) }
            giver.mailbox.post(.lend(shards[0].shared.key, to: 1))
        }

        deinit { Glibc.close(peer) }

        var serversLeft: Int { giver.shared.capacity.withLock { $0.servers } }
    }

    @Test func aServerMovesToTheWorkerThatAskedForIt() throws {
        let stage = try Stage()
        stage.giver.readMail()
        #expect(!stage.server.isOpen && stage.giver.servers.count == 0 && stage.shards[0].machine.serversLent == 1)
        stage.taker.readMail()
        let moved = try #require(stage.taker.servers.any)
        #expect(moved.phase == .idle && stage.shards[1].machine.borrowing == 0 && stage.shards[1].machine.serversLent == -1)
        #expect(stage.serversLeft == 1)
        #expect(Self.arrived(stage.peer) == ([], false))
    }

    @Test(arguments: [true, false]) func aServerOnItsWayIsClosedWhenAShutdownWaitsForServers(isToldFirst: Bool) throws {
        let stage = try Stage()
        stage.giver.shared.shutdown.store(.waitForServers, ordering: .releasing)
        if isToldFirst { stage.taker.mailbox.post(.beginShutdown(.waitForServers)) }
        stage.giver.readMail()
        if !isToldFirst { stage.taker.mailbox.post(.beginShutdown(.waitForServers)) }
        #expect(stage.serversLeft == 1)
        stage.taker.readMail()
        #expect(stage.taker.servers.count == 0 && stage.serversLeft == 0)
        #expect(Self.arrived(stage.peer) == (Self.terminate, true))
    }

    @Test func aServerOnItsWayIsClosedWhenItsPoolIsPausedMeanwhile() throws {
        let stage = try Stage()
        stage.giver.readMail()
        var state = AdminState()
        state.pausedDatabases = ["lab"]
        let acknowledgement = Acknowledgement(of: 1) {}
        stage.taker.mailbox.post(.applyAdminState(state, acknowledgement))
        stage.taker.readMail()
        #expect(stage.taker.servers.count == 0 && stage.serversLeft == 0)
        #expect(Self.arrived(stage.peer).isEnd)
    }

    @Test func aServerOnItsWayIsClosedWhenItsDatabaseIsRemovedMeanwhile() throws {
        let stage = try Stage()
        stage.giver.readMail()
        stage.taker.mailbox.post(.apply(ConfigurationUpdate(Configuration(), Acknowledgement(of: 1) {})))
        stage.taker.readMail()
        #expect(stage.taker.servers.count == 0)
        #expect(Self.arrived(stage.peer).isEnd)
    }

    @Test func aWorkerWithNothingToLendSaysSo() throws {
        let stage = try Stage()
        stage.giver.close(stage.server, .obsolete)
        stage.giver.readMail()
        #expect(stage.shards[1].machine.borrowing == 1)
        stage.taker.readMail()
        #expect(stage.shards[1].machine.borrowing == 0 && stage.taker.servers.count == 0)
    }

    /// The first worker has so many clients that the next one goes to the second one.
    @Test func aShutdownThatWaitsForClientsWaitsForOneOnItsWay() throws {
        let cores = try WorkerCore.staged(Self.configuration(), together: 2)
        let (mine, theirs) = try socketPair()
        defer { Glibc.close(theirs) }
        cores[0].shared.clientsOfWorkers[0].add(20)
        cores[0].listeners.accepted(mine, isUnix: true)
        #expect(cores[0].clients.count == 0 && cores[1].clients.count == 0)
        #expect(cores[0].shared.capacity.withLock { $0.clients } == 1)
        cores[1].mailbox.post(.beginShutdown(.waitForClients))
        cores[1].readMail()
        let client = try #require(cores[1].clients.any)
        // It is answered: no TLS here.
        #expect(Glibc.send(theirs, [0, 0, 0, 8, 4, 210, 22, 47] as [UInt8], 8, 0) == 8)
        cores[1].ready(client, .readable)
        cores[1].sendPosted()
        #expect(Self.arrived(theirs) == (Array("N".utf8), false))
        cores[1].fail(client, .adminDisconnect)
        #expect(cores[0].shared.capacity.withLock { $0.clients } == 0)
    }

    @Test func aCrowdOfMessagesLeavesSocketsTheirTurn() throws {
        let core = try WorkerCore.staged()
        for slot in 0..<UInt32(WorkerCore.mailPerTurn + 1) { core.mailbox.post(.cancelIsOver(slot: slot, id: 1, outcome: .done)) }
        core.readMail()
        let isDone = core.mail.isEmpty
        #expect(!isDone)
        core.readMail()
        let isDoneNow = core.mail.isEmpty
        #expect(isDoneNow)
    }

    @Test func roomIsToldOnceToAWorkerThatDoesNotLook() throws {
        let cores = try WorkerCore.staged(Self.configuration(), together: 2)
        for _ in 0..<1000 { cores[0].tellOthersOfRoom() }
        var messages = 0
        while cores[1].mail.next() != nil { messages += 1 }
        #expect(messages == 1)
    }

    @Test func theLastWorkerCallsBack() {
        let calls = Counter()
        let acknowledgement = Acknowledgement(of: 3) { calls.add(1) }
        acknowledgement.arrive()
        acknowledgement.arrive()
        #expect(calls.load() == 0)
        acknowledgement.arrive()
        #expect(calls.load() == 1)
    }

    /// The queue has a place of this size for each message.
    @Test func aMessageIsSmall() { #expect(MemoryLayout<WorkerMessage>.size <= 320) }

    /// A login that was refused is tried again after a tenth of a second, without a task that sleeps.
    @Test func loginsAreTriedAgainWhenTheyAreDue() throws {
        let core = try WorkerCore.staged(Self.configuration())
        core.opener.wakeForLogins(at: core.now + 50_000)
        let due = core.opener.loginsDue
        #expect(due == core.now + 50_000)
        // The first moment counts.
        core.opener.wakeForLogins(at: core.now + 10_000)
        #expect(core.opener.loginsDue == due)
        var turns = 0
        core.loop.run { events, tick in
            core.turn(events, tick: tick)
            turns += 1
            if core.opener.loginsDue == .max || turns == 3 { core.loop.stop() }
        }
        #expect(core.opener.loginsDue == .max && core.now >= due)
    }
}
