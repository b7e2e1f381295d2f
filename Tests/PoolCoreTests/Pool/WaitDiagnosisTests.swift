import PoolCore
import Testing

@Suite struct WaitDiagnosisTests {
    private func facts(pool: Int = 2, reserve: Int = 0, database: Int = 0, user: Int = 0) -> WaitFacts {
        var facts = WaitFacts(
            pool: .init(database: "lab", user: "app"), limits: .init(pool: pool, reserve: reserve, database: database, user: user))
        facts.connected = 1
        return facts
    }

    private func holder(_ state: ServerHolder.State, age: Int64 = 0, client: UInt64? = 7) -> ServerHolder {
        ServerHolder(server: 1, client: client, applicationName: "api", state: state, age: age, transactionAge: age, statement: "select 1")
    }

    @Test func theLimitThatBindsIsFound() {
        var facts = facts(pool: 2, database: 5, user: 6)
        #expect(WaitDiagnosis(facts).limit == .none)
        facts.holders = [holder(.opening, client: nil)]
        #expect(WaitDiagnosis(facts).limit == .opening)
        facts.userServers = 6
        #expect(WaitDiagnosis(facts).limit == .user(6))
        facts.databaseServers = 5
        #expect(WaitDiagnosis(facts).limit == .database(5))
        facts.servers = 2
        #expect(WaitDiagnosis(facts).limit == .pool(2))
        facts.isPaused = true
        #expect(WaitDiagnosis(facts).limit == .paused)
        facts.isShuttingDown = true
        #expect(WaitDiagnosis(facts).limit == .shuttingDown)
    }

    @Test func theReserveCountsOnceItMayBeUsed() {
        var facts = facts(pool: 2, reserve: 1)
        facts.servers = 2
        #expect(WaitDiagnosis(facts).limit == .pool(2))
        facts.usesReserve = true
        #expect(WaitDiagnosis(facts).limit == .none)
        facts.servers = 3
        #expect(WaitDiagnosis(facts).limit == .pool(3))
    }

    @Test func aServerThatCannotBeHadIsNamed() {
        var facts = facts()
        facts.failure = "connect failed"
        facts.connected = 0
        #expect(WaitDiagnosis(facts).limit == .unreachable("connect failed"))
        #expect(WaitDiagnosis(facts).reason.contains("connect failed"))
        facts.connected = 1
        facts.failureCode = "53300"
        #expect(WaitDiagnosis(facts).limit == .host("connect failed"))
    }

    @Test func theAdviceFitsTheCause() {
        var facts = facts()
        facts.servers = 2
        (facts.transactions, facts.transactionTime) = (10, 100_000)
        facts.holders = [holder(.idleInTransaction, age: 30_000_000), holder(.running, age: 5)]
        #expect(WaitDiagnosis(facts).advice.contains("client 7 (api)"))
        #expect(WaitDiagnosis(facts).advice.contains("idle_transaction_timeout"))
        facts.holders = [holder(.running, age: 20_000_000), holder(.running, age: 21_000_000)]
        #expect(WaitDiagnosis(facts).advice.contains("query_timeout"))
        facts.holders = [holder(.running, age: 2_000), holder(.running, age: 3_000)]
        #expect(WaitDiagnosis(facts).advice.hasPrefix("Raise pool_size"))
        facts.policy = PoolPolicy(.session)
        facts.holders = [holder(.idle), holder(.idle)]
        #expect(WaitDiagnosis(facts).advice.contains("pool_mode = transaction"))
        facts.isPaused = true
        #expect(WaitDiagnosis(facts).advice.hasPrefix("RESUME lab on"))
        // It said RESUME lab even then, which RESUME refuses: "database lab is not paused".
        facts.isWholePaused = true
        #expect(WaitDiagnosis(facts).advice.hasPrefix("RESUME on"))
        #expect(WaitDiagnosis(facts).reason.contains("all databases"))
        facts.isDatabasePaused = true
        #expect(WaitDiagnosis(facts).advice.hasPrefix("RESUME and RESUME lab on"))
    }

    /// Where PostgreSQL answered nobody, all places of the pool were taken by connections that would never come, and the advice was to
    /// raise pool_size.
    @Test func serversThatDoNotAnswerAreNoLackOfServers() {
        var facts = facts(pool: 2)
        facts.connected = 0
        facts.servers = 2
        facts.holders = [holder(.opening, age: 9_000, client: nil), holder(.opening, age: 8_500_000, client: nil)]
        #expect(WaitDiagnosis(facts).limit == .opening)
        #expect(WaitDiagnosis(facts).advice.contains("has not answered a connect or a login for 8.5 s"))
        facts.holders[1].age = 1_000
        #expect(WaitDiagnosis(facts).advice.hasPrefix("Nothing has to be done"))
        facts.connected = 1
        facts.holders[0].state = .running
        #expect(WaitDiagnosis(facts).limit == .pool(2))
    }

    @Test func aServerMayWaitForItsPassword() {
        var facts = facts(pool: 2)
        (facts.connected, facts.servers, facts.awaitsPassword) = (0, 1, true)
        let diagnosis = WaitDiagnosis(facts)
        #expect(diagnosis.limit == .password)
        #expect(diagnosis.reason.contains("waits for its password (password_file or password_command)"))
        #expect(diagnosis.expectation(behind: 0) == "not known: it ends when the password is there")
        // Where there are servers, they are what is missing.
        (facts.connected, facts.servers) = (1, 2)
        #expect(WaitDiagnosis(facts).limit == .pool(2))
        facts.servers = 1
        #expect(WaitDiagnosis(facts).limit == .password)
        var other = self.facts(pool: 2)
        other += facts
        #expect(other.awaitsPassword)
    }

    /// In session mode a client keeps its server until it leaves; how long transactions take says nothing about that.
    @Test func noWaitIsForetoldForSessions() {
        var facts = facts()
        facts.servers = 2
        (facts.transactions, facts.transactionTime) = (5, 100_000)
        facts.holders = [holder(.running), holder(.idle)]
        facts.policy = PoolPolicy(.session)
        #expect(WaitDiagnosis(facts).expectedWait(behind: 3) == nil)
        #expect(
            WaitDiagnosis(facts).expectation(behind: 3) == "not known: in session mode a client keeps its server until it leaves")
    }

    /// A thousand quick transactions before, and then two that never end: the wait was foretold in milliseconds.
    @Test func serversThatAreKeptForFarTooLongAreNotExpectedBack() {
        var facts = facts()
        facts.servers = 2
        (facts.transactions, facts.transactionTime) = (1000, 1_000_000)
        facts.holders = [holder(.running, age: 30_000_000), holder(.running, age: 2_000)]
        #expect(WaitDiagnosis(facts).expectedWait(behind: 3) == 4_000, "one server moves")
        facts.holders[1] = holder(.idleInTransaction, age: 40_000_000)
        #expect(WaitDiagnosis(facts).expectedWait(behind: 3) == nil)
        #expect(
            WaitDiagnosis(facts).expectation(behind: 3) == "not known: all servers have been kept for far longer than the usual 1 ms")
    }

    @Test func whereNothingCanBeForetoldTheReasonIsTold() {
        var facts = facts()
        #expect(WaitDiagnosis(facts).expectation(behind: 0).hasSuffix("nobody has to wait"))
        facts.servers = 2
        facts.holders = [holder(.running), holder(.running)]
        #expect(WaitDiagnosis(facts).expectation(behind: 0).contains("no transaction has ended yet"))
        facts.isPaused = true
        #expect(WaitDiagnosis(facts).expectation(behind: 0).contains("when an operator resumes"))
        facts.isPaused = false
        facts.failure = "connect failed"
        facts.connected = 0
        #expect(WaitDiagnosis(facts).expectation(behind: 0).contains("when a server can be reached"))
    }

    /// Where the limit is the database's or the user's, those who have the servers may be in other pools: nobody was named.
    @Test func holdersInOtherPoolsAreNamed() {
        var facts = facts(pool: 5, database: 2)
        facts.databaseServers = 2
        var rival = holder(.idleInTransaction, age: 30_000_000, client: 9)
        rival.pool = .init(database: "lab", user: "other")
        facts.rivals = [rival]
        let diagnosis = WaitDiagnosis(facts)
        #expect(diagnosis.limit == .database(2) && diagnosis.limit.isShared)
        #expect(diagnosis.reason.contains("in other pools 1 is idle in a transaction"))
        #expect(diagnosis.advice.contains("client 9 (api)"))
        #expect(diagnosis.expectation(behind: 0).contains("no client of this pool has a server") || facts.transactions == 0)
    }

    @Test func theWaitFollowsFromTheServiceTime() {
        var facts = facts()
        facts.servers = 2
        facts.holders = [holder(.running), holder(.running)]
        #expect(WaitDiagnosis(facts).expectedWait(behind: 3) == nil, "no service time is known")
        (facts.transactions, facts.transactionTime) = (5, 100_000)
        facts.waiting = [6, 7, 8, 9]
        let diagnosis = WaitDiagnosis(facts)
        #expect(diagnosis.expectedWait(behind: 3) == 40_000)
        #expect(
            diagnosis.reason(behind: 3).hasSuffix(
                "4 clients wait, 3 before this one; a server is kept for 20 ms on average, so the wait is about 40 ms."))
        #expect(diagnosis.place(since: 6) == 0 && diagnosis.place(since: 8) == 2 && diagnosis.place(since: 10) == 4)
    }

    @Test func workersAddUp() {
        var sum = facts()
        sum.waiting = [1, 5]
        var other = facts()
        other.waiting = [3]
        other.idle = 1
        other.holders = [holder(.running)]
        // The worker with the longest waiting client alone knows that the reserve may be used.
        other.usesReserve = true
        // Many quick transactions here, few slow ones there: the mean of all of them counts.
        (sum.transactions, sum.transactionTime) = (99, 990)
        (other.transactions, other.transactionTime) = (1, 10_010)
        sum += other
        #expect(sum.waiting == [1, 3, 5] && sum.idle == 1 && sum.holders.count == 1)
        #expect(sum.usesReserve && sum.meanHold == 110)
    }
}

@Suite struct StatementExcerptTests {
    private func message(_ type: Character, _ body: [UInt8]) -> [UInt8] { [type.asciiValue!, 0, 0, 0, 0] + body }

    @Test func textsAreFoundInWhatWasSent() {
        let none = ClientStatements()
        #expect(StatementExcerpt.text(of: message("Q", Array("select 1\0".utf8)), statements: none) == "select 1")
        #expect(StatementExcerpt.text(of: message("P", Array("s1\0select 2\0\0\0".utf8)), statements: none) == "select 2")
        #expect(StatementExcerpt.text(of: message("B", Array("\0s1\0".utf8)), statements: none) == nil)
        var some = ClientStatements()
        some.set(Array("s1".utf8), to: StatementTable().intern(Array("select $1\0\0\0".utf8).span)!)
        #expect(StatementExcerpt.text(of: message("B", Array("\0s1\0\0\0".utf8)), statements: some) == "select $1")
        for bytes in [[], [0x51], message("B", [1, 2, 3]), message("P", [1]), message("S", [])] {
            #expect(StatementExcerpt.text(of: bytes, statements: some) == nil)
        }
    }

    @Test func longTextsEndAtAWholeCharacter() {
        let text = String(repeating: "a", count: 199) + "é and more"
        let excerpt = StatementExcerpt.text(of: message("Q", Array(text.utf8)), statements: ClientStatements())
        #expect(excerpt == String(repeating: "a", count: 199))
    }
}
