import Configuration
import Testing

@testable import PoolCore

/// What ends because time passes (PoolStateMachine+Timeouts).
@Suite struct PoolTimeoutsTests {
    private let pool = StagedPool()

    // MARK: Idle servers

    private func unfitness(
        _ machine: borrowing PoolStateMachine, generation: UInt32 = 0, connectTime: Int64 = 1_000, lastActivity: Int64 = 1_000,
        total: Int = 1, now: Int64 = 1_100, isStopping: Bool = false, mayRetire: Bool = true
    ) -> ServerUnfitness? {
        var pool = pool
        pool.mayRetire = mayRetire
        let server = ServerCondition(generation: generation, connectTime: connectTime, lastActivity: lastActivity, wasUsed: true)
        return machine.unfitness(ofIdle: server, total: total, now: now, isStopping: isStopping, pool)
    }

    @Test func anIdleServerStaysWithoutAReason() { #expect(unfitness(PoolStateMachine.staged()) == nil) }

    @Test func anIdleServerGoesAfterItsTimeButNotBelowTheMinimum() {
        let machine = PoolStateMachine.staged {
            $0.serverIdleTimeout = 50
            $0.minPoolSize = 1
        }
        #expect(unfitness(machine, total: 2, now: 1_050) == nil && unfitness(machine, total: 2, now: 1_051) == .idleTimeout)
        #expect(unfitness(machine, total: 1, now: 1_051) == nil)
        #expect(unfitness(PoolStateMachine.staged { $0.serverIdleTimeout = 0 }, total: 2, now: 1 << 40, mayRetire: false) == nil)
    }

    @Test func anIdleServerGoesForItsAge() {
        let machine = PoolStateMachine.staged { $0.serverLifetime = 100 }
        #expect(unfitness(machine, now: 1_100) == nil && unfitness(machine, now: 1_101) == .lifetimeOver)
        #expect(unfitness(machine, now: 1_101, mayRetire: false) == nil)
    }

    @Test func surplusAndObsoleteServersGo() {
        let machine = PoolStateMachine.staged(size: 2, reserve: 1)
        #expect(unfitness(machine, total: 3) == nil && unfitness(machine, total: 4) == .tooManyServers)
        #expect(unfitness(PoolStateMachine.staged(size: 0), total: 99) == nil)
        #expect(unfitness(machine, generation: 1) == .configurationChanged && unfitness(machine, isStopping: true) == .shuttingDown)
    }

    // MARK: Servers in use

    private func timeout(
        _ machine: borrowing PoolStateMachine, isRunning: Bool = false, isReusable: Bool = false, queryStart: Int64 = 0,
        transactionStart: Int64 = 0, lastActivity: Int64 = 1_000, generation: UInt32 = 0, now: Int64
    ) -> String? {
        let use = PoolStateMachine.Use(
            isRunning: isRunning, isReusable: isReusable, queryStart: queryStart, transactionStart: transactionStart,
            lastActivity: lastActivity)
        return machine.timeout(of: use, generation: generation, now: now, pool)?.text
    }

    @Test func aQueryHasItsTime() {
        let machine = PoolStateMachine.staged { $0.queryTimeout = 10 }
        #expect(timeout(machine, isRunning: true, queryStart: 1_000, now: 1_010) == nil)
        #expect(timeout(machine, isRunning: true, queryStart: 1_000, now: 1_011) == ServerCloseReason.queryTimeout.text)
        #expect(timeout(machine, isRunning: false, queryStart: 1_000, now: 1_011) == nil)
        // What runs is the pooler's own.
        #expect(timeout(machine, isRunning: true, queryStart: 0, now: 1_011) == nil)
        #expect(timeout(PoolStateMachine.staged(), isRunning: true, queryStart: 1_000, now: 1 << 40) == nil)
    }

    @Test func aTransactionHasItsTimeAndIsAQueryAtFirst() {
        let machine = PoolStateMachine.staged { $0.transactionTimeout = 10 }
        let words = ServerCloseReason.transactionTimeout.text
        #expect(timeout(machine, transactionStart: 1_000, now: 1_010) == nil)
        #expect(timeout(machine, transactionStart: 1_000, now: 1_011) == words)
        #expect(timeout(machine, isRunning: true, queryStart: 1_000, now: 1_011) == words)
        #expect(timeout(machine, isRunning: true, queryStart: 1_000, transactionStart: 1_005, now: 1_015) == nil)
        #expect(timeout(machine, queryStart: 1_000, now: 1_011) == nil)
    }

    @Test func aTransactionMayNotIdleForLong() {
        let words = ServerCloseReason.idleTransactionTimeout.text
        func machine(_ mode: PoolMode) -> PoolStateMachine {
            PoolStateMachine.staged {
                $0.idleTransactionTimeout = 10
                $0.policy = PoolPolicy(mode)
            }
        }
        #expect(timeout(machine(.transaction), now: 1_010) == nil && timeout(machine(.transaction), now: 1_011) == words)
        #expect(timeout(machine(.transaction), isRunning: true, now: 1_011) == nil)
        #expect(timeout(machine(.session), isReusable: true, now: 1_011) == nil && timeout(machine(.session), now: 1_011) == words)
        #expect(timeout(machine(.transaction), isReusable: true, now: 1_011) == words)
    }

    @Test func anObsoleteServerIsTakenFromASessionBetweenTransactions() {
        func machine(_ mode: PoolMode, fastClose: Bool) -> PoolStateMachine {
            PoolStateMachine.staged {
                $0.serverFastClose = fastClose
                $0.policy = PoolPolicy(mode)
            }
        }
        let words = ServerCloseReason.configurationChangedInUse.text
        #expect(timeout(machine(.session, fastClose: true), isReusable: true, generation: 1, now: 1_000) == words)
        #expect(timeout(machine(.session, fastClose: true), isReusable: true, generation: 0, now: 1_000) == nil)
        #expect(timeout(machine(.session, fastClose: true), isReusable: false, generation: 1, now: 1_000) == nil)
        #expect(timeout(machine(.session, fastClose: false), isReusable: true, generation: 1, now: 1_000) == nil)
        #expect(timeout(machine(.transaction, fastClose: true), isReusable: true, generation: 1, now: 1_000) == nil)
    }

    @Test func whatTheServerAloneIsAwaitedForHasTheTimeOfALogin() {
        let machine = PoolStateMachine.staged {
            $0.serverConnectTimeout = 10
            $0.queryTimeout = 20
        }
        #expect(!machine.isOverdue(since: 5, now: 15) && machine.isOverdue(since: 5, now: 16))
        #expect(!machine.isLookupOverdue(since: 5, now: 25) && machine.isLookupOverdue(since: 5, now: 26))
        let patient = PoolStateMachine.staged {
            $0.serverConnectTimeout = 0
            $0.queryTimeout = 0
        }
        #expect(!patient.isOverdue(since: 0, now: 1 << 60) && !patient.isLookupOverdue(since: 0, now: 1 << 60))
    }

    // MARK: The end of a pool

    private func retirement(
        _ machine: inout PoolStateMachine, clients: Int = 0, clientsOfAll: Int = 0, isKeptWarm: Bool = false, isSpecial: Bool = false,
        isOrphaned: Bool = false, now: Int64
    ) -> PoolStateMachine.Retirement {
        machine.retirement(
            clients: clients, clientsOfAll: clientsOfAll, isKeptWarm: isKeptWarm, isSpecial: isSpecial, isOrphaned: isOrphaned, now: now)
    }

    @Test func aPoolOfTheConfigurationStays() {
        var machine = PoolStateMachine.staged { $0.autodbIdleTimeout = 0 }
        #expect(retirement(&machine, now: 0) == .stay && retirement(&machine, now: 1 << 60) == .stay)
        #expect(retirement(&machine, isOrphaned: true, now: 1 << 60) == .forget)
    }

    @Test func aPoolOfAWildcardGoesOnceItWasUnusedForLong() {
        var machine = PoolStateMachine.staged { $0.autodbIdleTimeout = 100 }
        #expect(retirement(&machine, now: 10) == .stay && retirement(&machine, now: 110) == .stay)
        #expect(retirement(&machine, clients: 1, clientsOfAll: 1, now: 111) == .stay)
        #expect(retirement(&machine, now: 112) == .stay && retirement(&machine, now: 212) == .stay)
        machine.openingBegan()
        #expect(retirement(&machine, now: 213) == .stay)
        machine.openingFailed()
        #expect(retirement(&machine, now: 214) == .stay && retirement(&machine, now: 314) == .stay)
        machine.awaitGreeting(1, since: 0)
        #expect(retirement(&machine, now: 315) == .stay)
        machine.greetingIsOver(for: 1)
        #expect(retirement(&machine, now: 316) == .stay && retirement(&machine, now: 417) == .forget)
    }

    @Test func aPoolForStartupValuesGoesSoon() {
        var machine = PoolStateMachine.staged { $0.autodbIdleTimeout = 0 }
        #expect(retirement(&machine, isSpecial: true, now: 1) == .stay)
        #expect(retirement(&machine, isSpecial: true, now: 5_000_001) == .stay)
        #expect(retirement(&machine, isSpecial: true, now: 5_000_002) == .forget)
    }

    @Test func aDesertedPoolClosesItsIdleServersAndGoes() {
        var machine = PoolStateMachine.staged {
            $0.poolIdleTimeout = 100
            $0.autodbIdleTimeout = 0
        }
        _ = machine.rest(7)
        #expect(retirement(&machine, now: 1) == .stay && retirement(&machine, now: 101) == .stay)
        #expect(retirement(&machine, clientsOfAll: 1, now: 102) == .stay && retirement(&machine, now: 103) == .stay)
        #expect(retirement(&machine, isKeptWarm: true, now: 204) == .stay && retirement(&machine, now: 205) == .stay)
        #expect(retirement(&machine, now: 305) == .stay && retirement(&machine, now: 306) == .closeIdle)
        machine.leavesIdle(7)
        #expect(retirement(&machine, now: 306) == .stay)
        machine.serverLost(at: .idle, isDedicated: false)
        #expect(retirement(&machine, now: 306) == .forget)
    }
}
