import Testing

@testable import PoolCore
@testable import PostgresWire

@Suite struct PoolQueueTests {
    @Test("clients are served in the order in which they came, with tickets that go up")
    func fifo() {
        var queue = PoolQueue()
        let tickets = (1...5).map { queue.enqueue(UInt32($0), now: Int64($0)) }
        #expect(tickets == tickets.sorted() && Set(tickets).count == 5 && queue.waiting == 5)
        #expect(queue.head == PoolQueue.Waiter(client: 1, ticket: tickets[0], since: 1))
        let served = (1...5).map { _ in queue.dequeue()?.client }
        #expect(served == [1, 2, 3, 4, 5])
        let none = queue.dequeue()
        #expect(none == nil && queue.head == nil && queue.waiting == 0)
    }

    @Test("a client may give up at any place, also twice and also when it was served", arguments: 0..<5)
    func withdraw(place: Int) {
        var queue = PoolQueue()
        let first = queue.enqueue(99, now: 0)
        #expect(queue.dequeue()?.client == 99)
        let tickets = (0..<5).map { queue.enqueue(UInt32($0), now: 0) }
        queue.withdraw(first)
        for _ in 0..<2 { queue.withdraw(tickets[place]) }
        queue.withdraw(1000)
        let rest = (0..<5).filter { $0 != place }.map(UInt32.init)
        #expect(queue.waiting == 4 && queue.allWaiting.map(\.client) == rest && queue.head?.client == rest[0])
        let late = queue.enqueue(7, now: 0)
        #expect(late > tickets[4])
        let served = (0..<5).map { _ in queue.dequeue()?.client }
        #expect(served == rest + [7])
    }

    @Test("every order of giving up leaves an empty queue that still works")
    func withdrawAll() {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            var queue = PoolQueue()
            let tickets = (0..<3).map { queue.enqueue(UInt32($0), now: 0) }
            for index in order { queue.withdraw(tickets[index]) }
            #expect(queue.waiting == 0 && queue.head == nil)
            #expect(queue.dequeue() == nil)
            _ = queue.enqueue(9, now: 0)
            #expect(queue.dequeue()?.client == 9)
        }
    }

    private static func idle(_ slot: UInt32) -> PoolQueue.IdleServer { PoolQueue.IdleServer(slot: slot, generation: 0, since: Int64(slot)) }

    @Test("servers are taken last in first out, or in turn")
    func idleOrder() {
        var queue = PoolQueue()
        for server in UInt32(1)...4 { queue.park(Self.idle(server)) }
        #expect(queue.takeIdle()?.slot == 4)
        queue.parkLast(Self.idle(4))
        #expect(queue.idleCount == 4 && queue.longestIdle?.slot == 1)
        queue.isRoundRobin = true
        #expect(queue.takeIdle()?.slot == 4)
        #expect(queue.takeIdle()?.slot == 1)
        #expect(queue.remove(3) && !queue.remove(3))
        let taken = [queue.takeIdle(), queue.takeIdle(), queue.takeIdle()].map { $0?.slot }
        #expect(taken == [2, nil, nil])
    }

    /// With `server_round_robin` it went to the front, and was the next one to be taken.
    @Test(arguments: [false, true])
    func aServerThatIsToBeTakenLastIsTakenLast(isRoundRobin: Bool) {
        var queue = PoolQueue()
        queue.isRoundRobin = isRoundRobin
        for server in UInt32(1)...3 { queue.park(Self.idle(server)) }
        queue.parkLast(Self.idle(9))
        let taken = (0..<4).map { _ in queue.takeIdle()?.slot }
        #expect(taken.last == 9)
    }
}

@Suite struct CapacityLedgerTests {
    @Test func namesThatOnlyLookAlikeAreDifferentPools() {
        let composed = CapacityLedger.PoolKey(database: "d", user: "\u{e9}")
        let decomposed = CapacityLedger.PoolKey(database: "d", user: "e\u{301}")
        #expect(composed.user == decomposed.user && composed != decomposed)
        #expect(Dictionary(uniqueKeysWithValues: [(composed, 1), (decomposed, 2)]).count == 2)
        #expect(composed == CapacityLedger.PoolKey(database: "d", user: "\u{e9}"))
        #expect(composed != CapacityLedger.PoolKey(database: "d", user: "\u{e9}", isForLookups: true))
    }

    private let a = CapacityLedger.PoolKey(database: "d", user: "a")
    private let b = CapacityLedger.PoolKey(database: "d", user: "b")
    private let other = CapacityLedger.PoolKey(database: "e", user: "a")

    @Test("a pool gets its size, and its reserve only when it may")
    func poolSize() {
        var ledger = CapacityLedger()
        let limits = CapacityLedger.ServerLimits(pool: 2, reserve: 1)
        #expect(ledger.openServer(a, limits: limits) == .granted)
        #expect(ledger.openServer(a, limits: limits, mayUseReserve: true) == .granted)
        #expect(ledger.openServer(a, limits: limits) == .poolFull)
        #expect(ledger.openServer(a, limits: limits, mayUseReserve: true) == .grantedFromReserve)
        #expect(ledger.openServer(a, limits: limits, mayUseReserve: true) == .poolFull)
        #expect(ledger.servers(of: a) == 3)
        ledger.closeServer(a)
        ledger.closeServer(a)
        #expect(ledger.openServer(a, limits: limits) == .granted)
        #expect(ledger.servers(of: a) == 2 && ledger.servers == 2)
    }

    @Test("pools that differ in their startup values share a size")
    func familySize() {
        var ledger = CapacityLedger()
        let limits = CapacityLedger.ServerLimits(pool: 2)
        let custom = StartupValues(of: [Parameter(name: "app.tenant", value: "1")]) { _ in false }
        let special = CapacityLedger.PoolKey(database: "d", user: "a", startup: custom)
        #expect(special != a && special.family == a && a.family == a)
        #expect(ledger.openServer(a, limits: limits) == .granted && ledger.openServer(special, limits: limits) == .granted)
        #expect(ledger.openServer(a, limits: limits) == .poolFull && ledger.openServer(special, limits: limits) == .poolFull)
        #expect(ledger.openServer(CapacityLedger.PoolKey(database: "d", user: "a", isForLookups: true), limits: limits) == .granted)
        ledger.closeServer(special)
        #expect(ledger.servers(of: a) == 1 && ledger.servers(of: special) == 1)
    }

    @Test("the limits of a database and of a user hold across pools, and a refusal counts nothing")
    func acrossPools() {
        var ledger = CapacityLedger()
        let byDatabase = CapacityLedger.ServerLimits(pool: 0, database: 2)
        #expect(ledger.openServer(a, limits: byDatabase) == .granted)
        #expect(ledger.openServer(b, limits: byDatabase) == .granted)
        for _ in 0..<3 { #expect(ledger.openServer(a, limits: byDatabase) == .databaseFull) }
        #expect(ledger.verdict(on: b, limits: byDatabase) == .databaseFull && ledger.verdict(on: other, limits: byDatabase) == .granted)
        let byUser = CapacityLedger.ServerLimits(pool: 0, user: 2)
        #expect(ledger.openServer(other, limits: byUser) == .granted)
        #expect(ledger.openServer(other, limits: byUser) == .userFull)
        ledger.closeServer(a)
        #expect(ledger.openServer(other, limits: byUser) == .granted)
        #expect(ledger.servers == 3)
        for key in [b, other, other] { ledger.closeServer(key) }
        ledger.closeServer(b)
        #expect(ledger.servers == 0)
    }

    @Test("nothing is limited by 0")
    func unlimited() {
        var ledger = CapacityLedger()
        for _ in 0..<1000 { #expect(ledger.openServer(a, limits: CapacityLedger.ServerLimits(pool: 0)) == .granted) }
        for _ in 0..<1000 { #expect(ledger.admitClient(database: "d", user: "a", limits: .init()) == nil) }
    }

    @Test("clients are counted against their database, then their user")
    func clients() {
        var ledger = CapacityLedger()
        let limits = CapacityLedger.ClientLimits(database: 2, user: 1)
        #expect(ledger.admitClient(database: "d", user: "a", limits: limits) == nil)
        #expect(ledger.admitClient(database: "d", user: "a", limits: limits) == .tooManyUserClients)
        #expect(ledger.admitClient(database: "d", user: "b", limits: limits) == nil)
        #expect(ledger.admitClient(database: "d", user: "c", limits: limits) == .tooManyDatabaseClients)
        ledger.dismissClient(database: "d", user: "a")
        #expect(ledger.admitClient(database: "d", user: "c", limits: limits) == nil)
        ledger.accept()
        ledger.accept()
        ledger.leave()
        #expect(ledger.clients == 1)
    }
}

@Suite struct RateLimitTests {
    @Test("in no second more than the limit, wherever it begins, and all of it again after a silence")
    func limit() {
        var limit = RateLimit(perSecond: 30)
        var taken: [Int64] = []
        for now in stride(from: Int64(7_654_321), to: 17_654_321, by: 777) where limit.take(now: now) { taken.append(now) }
        for (place, moment) in taken.enumerated() {
            #expect(taken[place...].prefix { $0 < moment + 900_000 }.count <= 30)
        }
        #expect((290...330).contains(taken.count))
        let later = (0..<100).count { _ in limit.take(now: 99_000_000) }
        #expect(later == 30)
    }
}
