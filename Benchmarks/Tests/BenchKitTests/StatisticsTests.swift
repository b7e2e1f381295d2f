import Testing

@testable import BenchKit

/// 100 transactions a second for ten seconds, each taking 1 ms; the target stands still from second 5 to second 6.
private func stall(open: Bool) -> Measurements {
    var measured = Measurements()
    let millisecond: Int64 = 1_000_000
    var free: Int64 = 0
    for number in 0..<1000 {
        let due = Int64(number) * 10 * millisecond
        // A client that waits for its answer does not ask meanwhile; one that is late asks as soon as it can.
        let sent = max(due, free)
        if !open, sent > due + millisecond { continue }
        let done = sent >= 5000 * millisecond && sent < 5001 * millisecond ? 6000 * millisecond : sent + millisecond
        free = done
        measured.succeed(due: open ? due : sent, sent: sent, done: done, wait: nil)
    }
    return measured
}

@Test func latencyFromDueTimesShowsAStall() throws {
    let latency = try #require(Percentiles(stall(open: true).latency))
    // A tenth of all transactions was due in the second that was lost, and waited half a second on average.
    #expect(latency.count == 1000)
    #expect(latency.p50 < 2_000)
    #expect(latency.p95 > 400_000)
    #expect(latency.p99 > 850_000)
    #expect(latency.max > 990_000)
}

@Test func serviceTimeAloneHidesIt() throws {
    let service = try #require(Percentiles(stall(open: true).service))
    #expect(service.p99 < 2_000)
    #expect(service.max > 990_000)
    let closed = try #require(Percentiles(stall(open: false).latency))
    #expect(closed.p99 < 2_000)
}

@Test func anUnansweredTransactionCountsWithItsAge() throws {
    var measured = Measurements()
    measured.giveUp(due: 1_000_000_000, now: 4_000_000_000)
    let latency = try #require(Percentiles(measured.latency))
    #expect(measured.unanswered == 1)
    #expect(abs(latency.max - 3_000_000) < 3_000)
}

@Test func percentilesAreThoseOfTheValues() throws {
    var measured = Measurements()
    for value in 1...10_000 { measured.succeed(due: 0, sent: 0, done: Int64(value) * 1000, wait: Double(value)) }
    for times in [measured.latency, measured.service, measured.wait] {
        let found = try #require(Percentiles(times))
        for (measured, exact) in [(found.p50, 5000.0), (found.p95, 9500), (found.p99, 9900), (found.p999, 9990), (found.max, 10_000)] {
            #expect(abs(measured - exact) <= exact / 1000 + 1)
        }
    }
}

@Test func nothingMeasuredHasNoPercentiles() { #expect(Percentiles(Measurements().latency) == nil) }

@Test func groupsAddUp() {
    var one = Measurements()
    one.succeed(due: 0, sent: 0, done: 1000, wait: nil)
    one.fail("57P01", "gone")
    var other = Measurements()
    other.fail("57P01", "gone again")
    other.fail("08006", "closed")
    one.add(other)
    #expect(one.succeeded == 1)
    #expect(one.failed == 3)
    #expect(one.errors == ["57P01": 2, "08006": 1])
    #expect(one.messages["57P01"] == "gone")
}

@Test func mediansAndNumbers() {
    #expect(median([3, 1, 2]) == 2)
    #expect(median([4, 1, 2, 3]) == 2.5)
    #expect(median([]).isNaN)
    #expect(fixed(1.005, 1) == "1.0")
    #expect(fixed(-0.04, 1) == "0.0")
    #expect(fixed(-1.25, 1) == "-1.3")
    #expect(fixed(12.5, 0) == "13")
    #expect(fixed(0.05, 2) == "0.05")
    #expect(fixed(.nan, 2) == "-")
    #expect(grouped(1_234_567) == "1,234,567")
    #expect(grouped(-999) == "-999")
}

@Test func servedSecondsAreThoseInTime() {
    var result = RunResult(scenario: "s", summary: "", target: "t", seed: 1, length: 4, outcome: .complete)
    result.seconds = [
        SecondCount(due: 100, failed: 0, served: 100), SecondCount(due: 100, failed: 5, served: 95),
        SecondCount(due: 100, failed: 0, served: 94),
        SecondCount(due: 0, failed: 0, served: 0),
    ]
    #expect(abs(result.servedSeconds - 2.0 / 3) < 1e-9)
}

/// A target that answered nothing within the time limit had a fine latency: what had timed out stood in the errors only.
@Test func aTimeOutIsInTheLatencyWithItsAge() throws {
    var measured = Measurements()
    for _ in 0..<98 { measured.succeed(due: 0, sent: 0, done: 1_000_000, wait: nil) }
    for _ in 0..<2 {
        measured.fail("time-out", "no answer in 2 s")
        measured.age(due: 0, now: 2_000_000_000)
    }
    let latency = try #require(Percentiles(measured.latency))
    #expect(latency.count == 100)
    #expect(latency.p99 > 1_990_000)
}

/// Of few values: each percentile is one of them (nearest rank), the last the greatest.
@Test func percentilesOfFewValuesAreValues() throws {
    for count in [1, 2, 3, 10, 31, 100, 1000] {
        var measured = Measurements()
        for value in 1...count { measured.succeed(due: 0, sent: 0, done: Int64(value) * 1000, wait: nil) }
        let found = try #require(Percentiles(measured.latency))
        for (percent, value) in [(50.0, found.p50), (95, found.p95), (99, found.p99), (99.9, found.p999)] {
            #expect(value == (percent * Double(count) / 100 - 1e-9).rounded(.up), "p\(percent) of \(count)")
        }
        #expect(found.max == Double(count))
        #expect(found.curve.first == [0, 1] && found.curve.last == [100, Double(count)])
    }
}
