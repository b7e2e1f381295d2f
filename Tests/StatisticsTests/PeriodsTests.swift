import Testing

@testable import Statistics

@Suite struct PeriodsTests {
    @Test func aPeriodEndsWhenItIsOver() {
        var clock = PeriodClock()
        #expect(clock.recent(at: 5) == 0)
        let lengths = [1_000, 1_059, 1_060, 1_100, 1_125].map { clock.advance(to: $0, period: 60) }
        #expect(lengths == [nil, nil, 60, nil, 65])
        // The last whole period, and what has passed since.
        #expect(clock.recent(at: 1_130) == 70)
    }

    @Test func beforeTheFirstPeriodIsOverItsBeginningCounts() {
        var clock = PeriodClock()
        _ = clock.advance(to: 1_000, period: 60)
        #expect(clock.recent(at: 1_010) == 10)
    }

    @Test func aTallyKeepsWhatALastPeriodBrought() {
        var before = PoolTotals()
        before.queries = 100
        var tally = PeriodTally(countedBefore: before)
        var totals = before
        totals.queries = 107
        #expect(tally.last.totals.queries == 0 && tally.recent(totals, duration: 9) == PeriodTotals(totals: totals - before, duration: 9))
        tally.end(totals, length: 60)
        #expect(tally.last.totals.queries == 7 && tally.last.duration == 60)
        totals.queries = 110
        #expect(tally.recent(totals, duration: 70).totals.queries == 10)
        tally.end(totals, length: 60)
        #expect(tally.last.totals.queries == 3)
    }
}
