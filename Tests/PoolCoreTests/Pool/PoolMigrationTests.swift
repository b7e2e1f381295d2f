import Testing

@testable import PoolCore

/// What moves between workers (PoolStateMachine+Migration).
@Suite struct PoolMigrationTests {
    private func twoWorkers(oldest: Int64) -> StagedPool {
        var pool = StagedPool(workers: 2)
        pool.oldest[1] = oldest
        return pool
    }

    @Test func aFreeServerGoesToAnotherWorkerWhoseClientHasWaitedClearlyLonger() {
        func freed(_ oldest: Int64, mayMigrate: Bool = true) -> PoolStateMachine.Placement {
            var machine = PoolStateMachine.staged()
            machine.wait(1, since: 1_000_000)
            return machine.serverFreed(7, generation: 0, now: 1_050_000, mayMigrate: mayMigrate, twoWorkers(oldest: oldest))
        }
        #expect(freed(998_000) == .link(1, since: 1_000_000))
        #expect(freed(997_999) == .migrate(to: 1))
        #expect(freed(997_999, mayMigrate: false) == .link(1, since: 1_000_000))
    }

    @Test func whileClientsWaitHereServersLeaveOneByOne() {
        var machine = PoolStateMachine.staged()
        machine.wait(1, since: 1_000_000)
        machine.wait(2, since: 1_000_000)
        let now: Int64 = 1_050_000
        machine.openingBegan()
        machine.migrates(to: 1, isIdle: false, now: now, twoWorkers(oldest: 900_000))
        #expect(machine.servers == 0 && machine.serversLent == 1)
        func borrower(_ now: Int64, _ oldest: Int64) -> Int? {
            machine.borrower(whileWaitingSince: 1_000_000, now: now, twoWorkers(oldest: oldest))
        }
        #expect(borrower(now + 9_999, 980_000) == nil && borrower(now + 9_999, 979_999) == 1)
        #expect(borrower(now + 10_000, 997_999) == 1)
    }

    @Test func forOneClientOneServerLeaves() {
        var machine = PoolStateMachine.staged()
        let pool = twoWorkers(oldest: 500)
        _ = machine.rest(7, since: 1_000)
        _ = machine.rest(8, since: 1_000)
        #expect(machine.borrowerOfIdle(now: 1_000, pool) == 1)
        #expect(machine.takeIdle(now: 1_000, generation: 0, isTested: false) == .take(8))
        machine.migrates(to: 1, isIdle: true, now: 1_000, pool)
        #expect(machine.borrowerOfIdle(now: 1_000_999, pool) == nil)
        // That one has not arrived; or it is another client.
        #expect(machine.borrowerOfIdle(now: 1_001_000, pool) == 1)
        #expect(machine.borrowerOfIdle(now: 1_000, twoWorkers(oldest: 501)) == 1)
    }

    @Test func anIdleServerGoesToNobodyWhileItIsWantedHereOrNowhere() {
        var machine = PoolStateMachine.staged()
        #expect(machine.borrowerOfIdle(now: 10, twoWorkers(oldest: 5)) == nil)
        _ = machine.rest(7)
        #expect(machine.borrowerOfIdle(now: 10, twoWorkers(oldest: .max)) == nil)
        #expect(machine.borrowerOfIdle(now: 10, twoWorkers(oldest: 5)) == 1)
        machine.wait(1, since: 0)
        #expect(machine.borrowerOfIdle(now: 10, twoWorkers(oldest: 5)) == nil)
    }

    @Test func theWorkerWithTheOldestWaiterComesFirstAndOneselfNever() {
        var machine = PoolStateMachine.staged(worker: 1)
        _ = machine.rest(7)
        var pool = StagedPool(workers: 4)
        pool.oldest = [30, 1, 10, 20]
        #expect(machine.borrowerOfIdle(now: 100, pool) == 2)
    }

    @Test func idleServersAreKeptForWhoWaitsHere() {
        var machine = PoolStateMachine.staged { $0.serverCheckDelay = 10 }
        #expect((!machine.keepsIdleServers) == true)
        _ = machine.rest(7)
        _ = machine.rest(8)
        #expect((!machine.keepsIdleServers) == true)
        machine.wait(1, since: 100)
        #expect((machine.keepsIdleServers) == true)
        // For that client one is tested.
        #expect(machine.takeIdle(now: 100, generation: 0) == .test(8) && !machine.keepsIdleServers)
    }

    @Test func theCountsOfServersThatMoveAddUp() {
        var giver = PoolStateMachine.staged(worker: 0)
        var taker = PoolStateMachine.staged(worker: 1)
        var pool = StagedPool(workers: 2)
        _ = giver.rest(7)
        pool.idle = [1, 0]
        taker.wait(1, since: 0, pool)
        #expect(taker.provide(now: 0, borrows: true, pool) == .borrow(from: 0))
        giver.left()
        taker.arrived()
        #expect((giver.servers, giver.serversLent) == (0, 1) && (taker.servers, taker.serversLent, taker.borrowing) == (1, -1, 0))
        // One that comes unasked.
        taker.arrived()
        taker.borrowingFailed()
        #expect(taker.borrowing == 0 && taker.servers == 2)
    }

    @Test func aServerThatCannotBeMovedIsTakenLast() {
        var machine = PoolStateMachine.staged()
        for server in UInt32(1)...2 { _ = machine.rest(server) }
        #expect(machine.takeIdle(now: 1, generation: 0, isTested: false) == .take(2))
        machine.staysIdle(2, generation: 0, since: 0)
        #expect(machine.takeIdle(now: 1, generation: 0) == .take(1))
        #expect(machine.takeIdle(now: 1, generation: 0) == .take(2))
    }
}
