import PostgresWire
import Testing

@testable import PoolCore

/// What those who wait may expect (PoolStateMachine+Waiters, WaitPatience).
@Suite struct PoolWaitersTests {
    private static func failure(isRefusal: Bool, code: String = "53300", started: Int64 = 900, time: Int64 = 1_000) -> PoolFailure {
        PoolFailure(
            fields: ErrorFields(severity: "FATAL", code: code, message: "no room"), time: time, started: started, isRefusal: isRefusal,
            refusals: 1)
    }

    // MARK: No server can be had

    @Test func whoAsksWhileNoServerCanBeReachedIsRefusedAtOnce() {
        var machine = PoolStateMachine.staged { $0.serverLoginRetry = 500 }
        var pool = StagedPool()
        pool.failure = Self.failure(isRefusal: false)
        guard case .refuse(let error) = machine.clientAsks(1, now: 1_499, pool) else {
            Issue.record("it waits")
            return
        }
        #expect(error == .serverLoginFailing("no room") && machine.queue.waiting == 0)
        // It is time for another try; a server is there after all; a login was refused, which says nothing to who comes later.
        #expect(machine.wait(1, since: 1_500, pool) != nil)
        pool.connected = 1
        #expect(machine.wait(2, since: 1_499, pool) != nil)
        pool = StagedPool()
        pool.failure = Self.failure(isRefusal: true)
        #expect(machine.wait(3, since: 1_499, pool) != nil)
    }

    @Test func theServersWordsAreCut() {
        let machine = PoolStateMachine.staged()
        var pool = StagedPool()
        pool.failure = PoolFailure(
            fields: ErrorFields(severity: "FATAL", code: "08006", message: String(repeating: "x", count: 300)), time: 0, started: 0,
            isRefusal: false, refusals: 0)
        #expect(machine.refusal(now: 0, pool) == .serverLoginFailing(String(repeating: "x", count: 99)))
    }

    @Test func aRefusedLoginIsToldToWhoWaitedForIt() {
        var machine = PoolStateMachine.staged()
        var pool = StagedPool()
        machine.wait(1, since: 900)
        machine.wait(2, since: 901)
        machine.awaitGreeting(3, since: 899)
        machine.awaitGreeting(4, since: 902)
        for (client, since) in [(UInt64(5), Int64(900)), (6, 901)] {
            machine.awaitLookup(PendingLookup(user: "u", query: "q", worker: 0, client: 0, clientID: client, since: since))
        }
        #expect(machine.loginRefused(pool) == nil)
        pool.failure = Self.failure(isRefusal: true)
        // Somebody else may be served by the server that is there.
        pool.usable = 1
        #expect(machine.loginRefused(pool) == nil)
        pool.usable = 0
        pool.failure = Self.failure(isRefusal: true, code: SQLState.cannotConnectNow)
        #expect(machine.loginRefused(pool) == nil)
        pool.failure = Self.failure(isRefusal: true)
        let refused = machine.loginRefused(pool)
        #expect(refused?.clients == [1, 3] && refused?.lookups.map(\.clientID) == [5])
        #expect(refused?.error == .serverLoginFailed(Self.failure(isRefusal: true).fields))
        #expect(machine.nextLookup()?.clientID == 6)
    }

    // MARK: Time is up

    @Test func aWaitEndsByTheShorterOfTwoTimeouts() {
        let machine = PoolStateMachine.staged {
            $0.queryTimeout = 300
            $0.queryWaitTimeout = 200
        }
        let patience = machine.patience(isStopping: false, StagedPool())
        #expect(patience.end(since: 0, now: 200) == nil && patience.end(since: 0, now: 201) == .queryWaitTimeout())
        #expect(patience.end(since: 0, now: 301) == .queryTimeoutWaiting)
        let endless = PoolStateMachine.staged { $0.queryWaitTimeout = 0 }.patience(isStopping: false, StagedPool())
        #expect(endless.soonest == .max && endless.end(since: 0, now: 1 << 60) == nil)
    }

    @Test func aShutdownEndsEveryWait() {
        let patience = PoolStateMachine.staged().patience(isStopping: true, StagedPool())
        #expect(patience.end(since: 5, now: 5) == .serverShuttingDown && patience.soonest < 0)
    }

    @Test func whoWaitsForAServerThatStartsHearsOfItAfterAWhile() {
        let machine = PoolStateMachine.staged { $0.queryWaitTimeout = 0 }
        var pool = StagedPool()
        pool.failure = Self.failure(isRefusal: true, code: SQLState.cannotConnectNow, started: 100)
        let patience = machine.patience(isStopping: false, pool)
        let words = PoolerError.serverLoginFailed(pool.failure!.fields)
        #expect(patience.end(since: 100, now: 15_000_100) == nil && patience.end(since: 100, now: 15_000_101) == words)
        // Nothing was refused to who came later.
        #expect(patience.end(since: 101, now: 1 << 60) == nil && patience.words(since: 101) == nil && patience.words(since: 100) == words)
        pool.usable = 1
        #expect(machine.patience(isStopping: false, pool).refusal == nil)
        pool.usable = 0
        pool.failure = Self.failure(isRefusal: false)
        #expect(machine.patience(isStopping: false, pool).refusal == nil)
        pool.failure = Self.failure(isRefusal: true)
        #expect(machine.patience(isStopping: false, pool).soonest == .max)
    }

    @Test func whoHasWaitedLongestIsOverdueFirst() {
        var machine = PoolStateMachine.staged { $0.queryWaitTimeout = 100 }
        let pool = StagedPool()
        for client in UInt32(0)..<4 { machine.wait(client, since: Int64(client) * 50) }
        func overdue(_ now: Int64, _ notifyAfter: Int64 = .max) -> [PoolStateMachine.Overdue] {
            machine.overdue(now: now, notifyAfter: notifyAfter, isStopping: false, pool)
        }
        #expect(overdue(100).isEmpty)
        #expect(overdue(101) == [PoolStateMachine.Overdue(client: 0, since: 0, end: .queryWaitTimeout())])
        #expect(overdue(160).map(\.client) == [0, 1])
        #expect(overdue(160, 40).map { $0.end == nil } == [false, false, true])
        #expect(overdue(41, 40) == [PoolStateMachine.Overdue(client: 0, since: 0, end: nil)] && overdue(40, 40).isEmpty)
        #expect(machine.overdue(now: 150, notifyAfter: .max, isStopping: true, pool).count == 4)
        #expect(PoolStateMachine.staged().overdue(now: 1 << 60, notifyAfter: 1, isStopping: true, pool).isEmpty)
    }

    // MARK: Who waits

    @Test func everybodyWhoWaitsIsCounted() {
        var machine = PoolStateMachine.staged()
        #expect(machine.oldestDemand == .max && !machine.hasDemand)
        machine.awaitGreeting(1, since: 30)
        machine.awaitGreeting(2, since: 20)
        #expect(machine.oldestDemand == 20)
        machine.wait(3, since: 10)
        machine.awaitDedicated(4, since: 25)
        #expect(machine.oldestDemand == 10 && machine.clientsWaiting == 4 && machine.waitingSince == [10, 20, 25, 30])
        machine.greetingIsOver(for: 2)
        #expect(machine.takeAwaitingGreeting().map(\.client) == [1] && machine.awaitingGreeting.isEmpty)
        #expect(machine.clientsWaiting == 2)
    }

    @Test func aLookupIsAskedAgainOnce() {
        let lookup = PendingLookup(user: "u", query: "q", worker: 1, client: 2, clientID: 3, since: 4)
        let again = lookup.repeated
        #expect(again?.clientID == 3 && again?.lookup.user == "u" && again?.since == 4)
        #expect(again?.repeated == nil)
    }
}
