import PostgresWire
import Testing

@testable import PoolCore

/// When there is to be another server (PoolStateMachine+Opening).
@Suite struct PoolOpeningTests {
    private static func failure(
        at time: Int64 = 1_000_000, isRefusal: Bool, refusals: Int = 1, code: String = "53300"
    ) -> PoolFailure {
        PoolFailure(
            fields: ErrorFields(severity: "FATAL", code: code, message: "no"), time: time, started: time - 10, isRefusal: isRefusal,
            refusals: refusals)
    }

    // MARK: Provision

    @Test func oneServerIsOpenedForEachClientThatWaits() {
        var machine = PoolStateMachine.staged()
        let pool = StagedPool()
        #expect(machine.provide(now: 0, borrows: true, pool) == .nothing)
        machine.wait(1, since: 0)
        machine.wait(2, since: 0)
        #expect(machine.provide(now: 0, borrows: true, pool) == .open)
        machine.openingBegan()
        #expect(machine.provide(now: 0, borrows: true, pool) == .open)
        machine.openingBegan()
        #expect(machine.provide(now: 0, borrows: true, pool) == .nothing)
        machine.openingFailed()
        #expect(machine.provide(now: 0, borrows: true, pool) == .open && machine.servers == 1)
    }

    @Test func oneServerAnswersForAllThatWaitForTheGreetingAndOneForEachLookup() {
        var machine = PoolStateMachine.staged()
        let pool = StagedPool()
        for client in UInt32(0)..<5 { machine.awaitGreeting(client, since: 0) }
        #expect(machine.hasDemand && machine.provide(now: 0, borrows: true, pool) == .open)
        machine.openingBegan()
        #expect(machine.provide(now: 0, borrows: true, pool) == .nothing)
        machine.awaitLookup(PendingLookup(user: "u", query: "q", worker: 0, client: 1, clientID: 2, since: 3))
        #expect(machine.provide(now: 0, borrows: true, pool) == .open)
    }

    @Test func aServerThatIsTestedCountsUntilItTakesTooLong() {
        var machine = PoolStateMachine.staged { $0.serverCheckDelay = 30 }
        let pool = StagedPool()
        _ = machine.rest(7)
        _ = machine.takeIdle(now: 1_000, generation: 0)
        machine.wait(1, since: 1_000)
        #expect(machine.provide(now: 101_000, borrows: true, pool) == .nothing)
        #expect(machine.provide(now: 101_001, borrows: true, pool) == .open)
    }

    @Test func idleServersOfOtherWorkersAreAskedForFirst() {
        var machine = PoolStateMachine.staged(worker: 1)
        var pool = StagedPool(workers: 3)
        pool.idle = [0, 4, 1]
        machine.wait(1, since: 0)
        #expect(machine.provide(now: 0, borrows: false, pool) == .open)
        #expect(machine.provide(now: 0, borrows: true, pool) == .borrow(from: 2) && machine.borrowing == 1)
        #expect(machine.provide(now: 0, borrows: true, pool) == .nothing)
        machine.borrowingFailed()
        #expect(machine.borrowing == 0)
        pool.idle = [0, 4, 0]
        #expect(machine.provide(now: 0, borrows: true, pool) == .open)
        // A server on its way from PostgreSQL is no reason to let an idle one rest.
        machine.openingBegan()
        pool.idle = [1, 4, 0]
        #expect(machine.provide(now: 0, borrows: true, pool) == .borrow(from: 0))
    }

    @Test func aFullPoolAsksNoMoreUntilThereIsRoom() {
        var machine = PoolStateMachine.staged()
        let pool = StagedPool()
        machine.wait(1, since: 0)
        #expect(machine.granted(.poolFull, isWanted: true, pool) == .giveUp)
        #expect(machine.provide(now: 0, borrows: true, pool) == .nothing)
        #expect(machine.mayOpen(isWanted: true, now: 0, isStopping: false, pool) == .no)
        machine.roomChanged()
        #expect(machine.provide(now: 0, borrows: true, pool) == .open)
        _ = machine.granted(.poolFull, isWanted: true, pool)
        machine.openingBegan(isDedicated: true)
        machine.serverLost(at: .linked, isDedicated: true)
        #expect(machine.provide(now: 0, borrows: true, pool) == .open)
        // With other workers, or a reserve, there is more to be looked at.
        _ = machine.granted(.poolFull, isWanted: true, pool)
        #expect(machine.provide(now: 0, borrows: true, StagedPool(workers: 2)) == .open)
        machine.settings.limits.reserve = 1
        #expect(machine.provide(now: 0, borrows: true, pool) == .open)
    }

    @Test func theMinimumIsKept() {
        var machine = PoolStateMachine.staged { $0.minPoolSize = 2 }
        #expect(machine.lacksMinimum(total: 1) && !machine.lacksMinimum(total: 2))
        machine.openingBegan()
        #expect((!machine.lacksMinimum(total: 1)) == true)
        #expect((!PoolStateMachine.staged().lacksMinimum(total: 0)) == true)
    }

    // MARK: May it be opened?

    @Test func nothingIsOpenedInAPausedPoolOrAShutdown() {
        var machine = PoolStateMachine.staged()
        let pool = StagedPool()
        #expect(machine.mayOpen(isWanted: true, now: 0, isStopping: false, pool) == .ask(mayUseReserve: false, retryAfter: nil))
        #expect(machine.mayOpen(isWanted: true, now: 0, isStopping: true, pool) == .no)
        _ = machine.adminChanged(isPaused: true)
        #expect(machine.mayOpen(isWanted: true, now: 0, isStopping: false, pool) == .no)
    }

    @Test func theReserveIsForWhoHasWaitedLong() {
        var machine = PoolStateMachine.staged(reserve: 1) { $0.reservePoolTimeout = 500 }
        let pool = StagedPool()
        #expect((!machine.mayUseReserve(now: 10_000)) == true)
        machine.wait(1, since: 1_000)
        #expect(!machine.mayUseReserve(now: 1_499) && machine.mayUseReserve(now: 1_500))
        _ = machine.granted(.poolFull, isWanted: true, pool)
        #expect(machine.mayOpen(isWanted: true, now: 1_499, isStopping: false, pool) == .no)
        #expect(machine.mayOpen(isWanted: true, now: 1_500, isStopping: false, pool) == .ask(mayUseReserve: true, retryAfter: nil))
        #expect(machine.granted(.grantedFromReserve, isWanted: true, pool) == .openFromReserve)
        machine.settings.reservePoolTimeout = 0
        #expect((!machine.mayUseReserve(now: 10_000)) == true)
    }

    @Test func afterAFailureToConnectThereIsAPause() {
        var machine = PoolStateMachine.staged { $0.serverLoginRetry = 15_000_000 }
        var pool = StagedPool()
        pool.failure = Self.failure(isRefusal: false)
        #expect(machine.mayOpen(isWanted: true, now: 15_999_999, isStopping: false, pool) == .no)
        #expect(
            machine.mayOpen(isWanted: true, now: 16_000_000, isStopping: false, pool) == .ask(mayUseReserve: false, retryAfter: nil))
        // One try at a time.
        machine.openingBegan()
        #expect(machine.mayOpen(isWanted: true, now: 16_000_000, isStopping: false, pool) == .no)
    }

    @Test func afterARefusedLoginThePauseIsShortForWhoWaits() {
        let machine = PoolStateMachine.staged { $0.serverLoginRetry = 15_000_000 }
        var pool = StagedPool()
        pool.failure = Self.failure(isRefusal: true)
        #expect(machine.mayOpen(isWanted: true, now: 1_099_999, isStopping: false, pool) == .later(at: 1_100_000))
        #expect(
            machine.mayOpen(isWanted: true, now: 1_100_000, isStopping: false, pool) == .ask(mayUseReserve: false, retryAfter: 100_000))
        #expect(machine.mayOpen(isWanted: false, now: 1_100_000, isStopping: false, pool) == .no)
    }

    @Test func thePauseGrowsWhereThePoolHasServers() {
        func pause(_ refusals: Int, hasServers: Bool, retry: Int64 = 15_000_000) -> Int64 {
            Self.failure(isRefusal: true, refusals: refusals).pause(loginRetry: retry, isWanted: true, hasServers: hasServers)
        }
        #expect((1...4).map { pause($0, hasServers: false) } == [100_000, 100_000, 100_000, 100_000])
        #expect((1...4).map { pause($0, hasServers: true) } == [100_000, 200_000, 400_000, 800_000])
        #expect(pause(40, hasServers: true) == 15_000_000)
        #expect(pause(1, hasServers: false, retry: 0) == 10_000 && pause(3, hasServers: true, retry: 50_000) == 50_000)
        #expect(Self.failure(isRefusal: true).pause(loginRetry: 7, isWanted: false, hasServers: true) == 7)
        #expect(Self.failure(isRefusal: false).pause(loginRetry: 7, isWanted: true, hasServers: true) == 7)
    }

    @Test func aLimitIsWorthRoomOnlyToWhoWaits() {
        var machine = PoolStateMachine.staged()
        var pool = StagedPool()
        #expect(machine.granted(.granted, isWanted: false, pool) == .open)
        for verdict in [CapacityLedger.ServerVerdict.databaseFull, .userFull] {
            #expect(machine.granted(verdict, isWanted: true, pool) == .makeRoom)
            #expect(machine.granted(verdict, isWanted: false, pool) == .giveUp)
        }
        // A limit across pools may have room at any time.
        machine.wait(1, since: 0)
        #expect(machine.provide(now: 0, borrows: true, pool) == .open)
        pool.isDivided = true
        #expect(machine.granted(.poolFull, isWanted: false, pool) == .giveUp)
        #expect(machine.granted(.poolFull, isWanted: true, pool) == .claimRoom)
    }

    @Test func dedicatedServersAreForWhoCameFirst() {
        var machine = PoolStateMachine.staged()
        machine.awaitDedicated(4, since: 1)
        machine.awaitDedicated(5, since: 2)
        #expect(machine.hasDemand && machine.clientsWaiting == 2)
        #expect(machine.nextDedicated(isStopping: false) == 4 && machine.nextDedicated(isStopping: true) == nil)
        machine.dedicatedIsOver(for: 4)
        #expect(machine.nextDedicated(isStopping: false) == 5)
        _ = machine.adminChanged(isPaused: true)
        #expect(machine.nextDedicated(isStopping: false) == nil)
        #expect(machine.takeAwaitingDedicated().map(\.client) == [5] && !machine.hasDemand)
    }
}
