import Statistics
import Testing

struct CountersTests {
    @Test func namesBeyondTheLimitAreCountedTogether() {
        var counts = BoundedCounts(limit: 3)
        for code in ["a", "b", "c", "d", "e", "a", "d"] { counts.add(code) }
        #expect(counts.counts == ["a": 2, "b": 1, "c": 1, "other": 3])
    }

    /// The number of names was bounded, and not their length: a SQLSTATE is what a server says it is.
    @Test func longNamesAreCut() {
        var counts = BoundedCounts(limit: 3)
        counts.add(String(repeating: "\u{e9}", count: 1_000_000))
        counts.add(String(repeating: "x", count: 64))
        #expect(counts.counts == [String(repeating: "\u{e9}", count: 32): 1, String(repeating: "x", count: 64): 1])
    }

    /// Workers are asked one after the other. A server that was lent in between was counted by both of them, or by neither.
    @Test func serversBetweenTwoWorkersAreCountedOnce() {
        func worker(idle: Int, active: Int, lent: Int) -> WorkerStatistics {
            var gauges = PoolGauges()
            (gauges.serversIdle, gauges.serversActive, gauges.serversLent) = (idle, active, lent)
            return WorkerStatistics(
                pools: [PoolStatistics(database: "d", user: "u", counters: PoolCounters(), period: PeriodTotals(), gauges: gauges)],
                servers: idle + active)
        }
        func sum(_ workers: WorkerStatistics...) -> [Int] {
            let process = ProcessStatistics(workers)
            let gauges = process.pools[0].gauges
            return [gauges.serversIdle, gauges.serversActive, process.servers, gauges.servers]
        }
        #expect(sum(worker(idle: 1, active: 1, lent: 7), worker(idle: 0, active: 1, lent: -7)) == [1, 2, 3, 3])
        // On its way: the first one has given it away, the second one has not got it.
        #expect(sum(worker(idle: 0, active: 1, lent: 8), worker(idle: 0, active: 1, lent: -7)) == [1, 2, 3, 3])
        // Asked before it was lent, and after it had come.
        #expect(sum(worker(idle: 1, active: 1, lent: 7), worker(idle: 0, active: 2, lent: -8)) == [0, 3, 3, 3])
        #expect(sum(worker(idle: 0, active: 2, lent: 7), worker(idle: 0, active: 2, lent: -8)) == [0, 3, 3, 3])
    }

    @Test func mergingKeepsTheLimit() {
        var left = BoundedCounts(limit: 2)
        left.add("a")
        left.add("b")
        var right = BoundedCounts(limit: 2)
        right.add("c", 5)
        left += right
        #expect(left.counts == ["a": 1, "b": 1, "other": 5])
    }

    @Test func workersAddUpToOnePoolInOrder() {
        func pool(_ database: String, _ user: String, _ assignments: Int64, waited: Int64) -> PoolStatistics {
            var counters = PoolCounters()
            for _ in 0..<assignments { counters.assigned(waited: waited) }
            counters.answered(after: 10)
            counters.ended(transactionOf: 20)
            counters.errors.add("42601")
            var gauges = PoolGauges()
            gauges.clientsIdle = 1
            gauges.longestWait = waited
            return PoolStatistics(
                database: database, user: user, counters: counters,
                period: PeriodTotals(totals: counters.totals, duration: 2_000_000),
                recent: PeriodTotals(totals: counters.totals, duration: 1_000_000), gauges: gauges)
        }
        let process = ProcessStatistics([
            WorkerStatistics(
                pools: [pool("b", "u", 2, waited: 5), pool("a", "z", 1, waited: 1)], clientsLoggingIn: 1, clients: 3, servers: 2),
            WorkerStatistics(pools: [pool("a", "z", 4, waited: 9), pool("B", "u", 1, waited: 0)], clients: 1),
        ])
        #expect(process.pools.map(\.database) == ["B", "a", "b"])
        let a = process.pools[1]
        #expect(a.counters.totals.assignments == 5)
        #expect(a.counters.totals.waitTime == 37)
        #expect(a.counters.waits.count == 5)
        #expect(a.counters.errors["42601"] == 2)
        #expect(a.gauges.clientsIdle == 2 && a.gauges.longestWait == 9)
        #expect(a.period.rate(a.period.totals.assignments) == 2)
        #expect(a.recent.rate(a.recent.totals.assignments) == 5)
        #expect(process.databases.map { $0.recent.rate($0.recent.totals.assignments) } == [1, 5, 2])
        #expect(process.clients == 4 && process.servers == 2 && process.clientsLoggingIn == 1)
        #expect(process.databases.map(\.totals.queries) == [1, 2, 1])
        #expect(process.total.totals.transactionTime == 80)
    }

    @Test func aDifferenceOfTotalsIsWhatCameBetween() {
        var earlier = PoolTotals()
        earlier.queries = 3
        var now = earlier
        now.queries = 10
        now.bytesSent = 7
        let between = now - earlier
        #expect(between.queries == 7 && between.bytesSent == 7 && between.logins == 0)
    }
}
