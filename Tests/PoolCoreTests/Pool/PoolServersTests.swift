import Testing

@testable import PoolCore

/// What becomes of servers (PoolStateMachine+Servers).
@Suite struct PoolServersTests {
    private let pool = StagedPool()

    private static func condition(
        generation: UInt32 = 0, connectTime: Int64 = 0, wasUsed: Bool = true, doubts: ServerCondition.Doubts = []
    ) -> ServerCondition {
        ServerCondition(generation: generation, connectTime: connectTime, lastActivity: 0, wasUsed: wasUsed, doubts: doubts)
    }

    // MARK: For somebody who asks

    @Test func theServerThatWasUsedLastIsTakenFirst() {
        var machine = PoolStateMachine.staged()
        #expect(machine.rest(7, since: 1) == .parked && machine.rest(8, since: 2) == .parked)
        #expect(machine.takeIdle(now: 3, generation: 0) == .take(8))
        #expect(machine.takeIdle(now: 3, generation: 0) == .take(7))
        #expect(machine.takeIdle(now: 3, generation: 0) == .none)
    }

    @Test func aServerOfATimeBeforeIsClosedAndTheNextOneTaken() {
        var machine = PoolStateMachine.staged()
        var later = pool
        _ = machine.rest(7, pool)
        later.presentGeneration = 1
        _ = machine.rest(8, later)
        _ = machine.rest(9, pool)
        #expect(machine.takeIdle(now: 3, generation: 1) == .close(9))
        #expect(machine.takeIdle(now: 3, generation: 1) == .take(8))
        #expect(machine.takeIdle(now: 3, generation: 1) == .close(7))
        #expect(machine.testing == 0)
    }

    @Test func aServerThatHasRestedForLongIsTestedFirst() {
        var machine = PoolStateMachine.staged { $0.serverCheckDelay = 30 }
        _ = machine.rest(7, since: 100)
        #expect(!machine.needsTest(restingSince: 100, now: 129) && machine.needsTest(restingSince: 100, now: 130))
        #expect(machine.takeIdle(now: 130, generation: 0) == .test(7) && machine.testing == 1)
        machine.testPassed()
        #expect(machine.testing == 0)
        // For another worker it is taken as it is: that one tests it.
        _ = machine.serverFreed(7, generation: 0, now: 100, mayMigrate: false, pool)
        #expect(machine.takeIdle(now: 130, generation: 0, isTested: false) == .take(7) && machine.testing == 0)
    }

    @Test func oneServerIsTestedForEachClientThatAsksAndMoreIfTheTestHangs() {
        var machine = PoolStateMachine.staged { $0.serverCheckDelay = 30 }
        for server in UInt32(1)...3 { _ = machine.rest(server, since: 0) }
        #expect((!machine.wantsMoreIdle(now: 1_000)) == true)
        _ = machine.takeIdle(now: 1_000, generation: 0)
        machine.wait(50, since: 1_000)
        #expect(!machine.wantsMoreIdle(now: 1_000) && !machine.wantsMoreIdle(now: 101_000))
        #expect((machine.wantsMoreIdle(now: 101_001)) == true)
        machine.wait(51, since: 1_000)
        #expect((machine.wantsMoreIdle(now: 1_000)) == true)
    }

    // MARK: Free again

    @Test func aServerWithoutAFaultIsUsedAgain() {
        let machine = PoolStateMachine.staged { $0.serverLifetime = 1_000 }
        #expect(machine.unfitness(of: Self.condition(), now: 999, isStopping: false, pool) == nil)
    }

    @Test(arguments: [
        (ServerCondition.Doubts.strayCancel, ServerUnfitness.strayCancel), (.reportsTooMuch, .tooManyParameters),
        (.statements, .statementsInDoubt),
    ])
    func aServerInDoubtIsNotUsedAgain(doubt: ServerCondition.Doubts, unfitness: ServerUnfitness) {
        let machine = PoolStateMachine.staged()
        #expect(machine.unfitness(of: Self.condition(doubts: doubt), now: 1, isStopping: false, pool) == unfitness)
    }

    @Test func aServerOfAPausedPoolOrOfATimeBeforeOrOfAShutdownIsNotUsedAgain() {
        var machine = PoolStateMachine.staged()
        #expect(machine.unfitness(of: Self.condition(generation: 3), now: 1, isStopping: false, pool) == .configurationChanged)
        #expect(machine.unfitness(of: Self.condition(), now: 1, isStopping: true, pool) == .shuttingDown)
        #expect(machine.adminChanged(isPaused: true) && !machine.adminChanged(isPaused: true))
        #expect(machine.unfitness(of: Self.condition(), now: 1, isStopping: false, pool) == .paused)
        #expect(machine.adminChanged(isPaused: false) == true)
        #expect(machine.unfitness(of: Self.condition(), now: 1, isStopping: false, pool) == nil)
    }

    @Test func aServerLivesForItsLifetimeAndGoesWhenItIsItsTurn() {
        let machine = PoolStateMachine.staged(size: 4) { $0.serverLifetime = 1_000 }
        var pool = pool
        #expect(machine.ageSpacing == 250)
        #expect(machine.unfitness(of: Self.condition(connectTime: 10), now: 1_009, isStopping: false, pool) == nil)
        #expect(machine.unfitness(of: Self.condition(connectTime: 10), now: 1_010, isStopping: false, pool) == .lifetimeOver)
        pool.mayRetire = false
        #expect(machine.unfitness(of: Self.condition(connectTime: 10), now: 1_010, isStopping: false, pool) == nil)
    }

    /// server_lifetime = 0: each server serves once.
    @Test func withoutALifetimeAServerGoesOnceItWasUsed() {
        var pool = pool
        pool.mayRetire = false
        let machine = PoolStateMachine.staged(size: 0) { $0.serverLifetime = 0 }
        #expect(machine.ageSpacing == 0)
        #expect(machine.unfitness(of: Self.condition(wasUsed: false), now: 5, isStopping: false, pool) == nil)
        #expect(machine.unfitness(of: Self.condition(wasUsed: true), now: 5, isStopping: false, pool) == .lifetimeOver)
    }

    @Test func eachUnfitnessIsAReasonOfItsOwn() {
        let reasons = ServerUnfitness.allCases.map(\.closeReason.text)
        #expect(Set(reasons).count == reasons.count)
    }

    @Test func aFreeServerGoesToWhoHasWaitedLongest() {
        var machine = PoolStateMachine.staged()
        let first = machine.wait(1, since: 10)
        machine.wait(2, since: 11)
        machine.wait(3, since: 12)
        #expect(machine.serverFreed(7, generation: 0, now: 20, mayMigrate: false, pool) == .link(1, since: 10))
        first.map { machine.clientLeaves($0) }
        #expect(machine.serverFreed(7, generation: 0, now: 20, mayMigrate: false, pool) == .link(2, since: 11))
        #expect(machine.queue.waiting == 1 && machine.queue.idleCount == 0)
    }

    @Test func aServerForLookupsAnswersTheNextQuestion() {
        var machine = PoolStateMachine.staged()
        machine.awaitLookup(PendingLookup(user: "u", query: "q", worker: 0, client: 1, clientID: 2, since: 3))
        #expect((machine.hasDemand) == true)
        #expect(machine.serverFreed(7, generation: 0, now: 20, mayMigrate: false, pool) == .lookUp)
        #expect(machine.nextLookup()?.clientID == 2 && machine.nextLookup() == nil && !machine.hasDemand)
    }

    // MARK: Beginning and end

    @Test(arguments: ServerStage.allCases, [false, true])
    func theCountsAddUpWhateverStageAServerIsLostAt(stage: ServerStage, isDedicated: Bool) {
        var machine = PoolStateMachine.staged()
        machine.openingBegan(isDedicated: isDedicated)
        let isOpening = [.connecting, .encrypting, .authenticating, .settingUp].contains(stage)
        if !isOpening, !isDedicated { machine.serverOpened() }
        if stage == .testing { machine.testBegan() }
        #expect(machine.servers == 1 && machine.opening == (isOpening && !isDedicated ? 1 : 0))
        machine.serverLost(at: stage, isDedicated: isDedicated)
        #expect(machine.servers == 0 && machine.opening == 0 && machine.testing == 0)
    }

    @Test func anIdleServerThatIsClosedIsNotTaken() {
        var machine = PoolStateMachine.staged()
        _ = machine.rest(7)
        machine.leavesIdle(7)
        machine.serverLost(at: .idle, isDedicated: false)
        #expect(machine.takeIdle(now: 1, generation: 0) == .none && machine.servers == 0)
    }

    @Test(arguments: ServerStage.allCases) func aPauseClosesWhatNobodyUses(stage: ServerStage) {
        let isClosed = [.connecting, .encrypting, .authenticating, .settingUp, .idle].contains(stage)
        #expect(PoolStateMachine.isClosedByPause(stage, isDedicated: false) == isClosed)
        #expect(!PoolStateMachine.isClosedByPause(stage, isDedicated: true))
    }
}
