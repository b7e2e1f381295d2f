import Foundation
import Testing

@testable import BenchKit

private func run(_ scenario: Scenario, _ target: String, microseconds: Int64, errors: Int = 0, cpu: Double) -> RunResult {
    var measured = Measurements()
    for number in 1...1000 { measured.succeed(due: 0, sent: 0, done: Int64(number) * microseconds, wait: 5) }
    measured.succeededInside = 1000
    for _ in 0..<errors { measured.fail("26000", "prepared statement \"<x>\" does not exist") }
    var result = RunResult(scenario: scenario.name, summary: scenario.summary, target: target, seed: 1, length: 2, outcome: .complete)
    result.hasFaults = !scenario.faults.isEmpty
    result.isBurst = scenario.isBurst
    result.rowsChecked = 1000
    result.total = GroupResult("total", clients: 64, measured, length: 2)
    result.cpuPerTransaction = cpu
    return result
}

private func sample() -> Comparison {
    let scenario = Catalogue.named("steady-simple")[0]
    var comparison = Comparison(date: "2026-01-02", machine: [["processor", "A & B <9>"]], how: ["As it was."], base: "other", rounds: 3)
    comparison.entries = [
        Comparison.Entry(
            scenario: scenario,
            targets: [
                Comparison.TargetEntry(
                    name: "sluice", runs: [9, 10, 12].map { run(scenario, "sluice", microseconds: 300, cpu: $0) }, skipped: nil),
                Comparison.TargetEntry(
                    name: "other", runs: [20, 20, 16].map { run(scenario, "other", microseconds: 900, cpu: $0) }, skipped: nil),
                Comparison.TargetEntry(
                    name: "faulty", runs: [run(scenario, "faulty", microseconds: 10, errors: 500, cpu: 1)], skipped: nil),
                Comparison.TargetEntry(name: "absent", runs: [], skipped: "needs more <memory>"),
            ])
    ]
    return comparison
}

@Test func ratiosAreOfMediansWithTheSpreadOfRounds() throws {
    let comparison = sample()
    let entry = comparison.entries[0]
    let ratio = try #require(comparison.ratio(.named("cpu"), entry.targets[0], in: entry))
    #expect(ratio.median == 0.5)
    #expect(ratio.least == 0.45)
    #expect(ratio.most == 0.75)
    #expect(comparison.figure(.named("cpu"), entry.targets[0]) == Comparison.Figure(median: 10, least: 9, most: 12))
}

@Test func whoAnswersWithErrorsHasNoRatio() {
    let comparison = sample()
    let entry = comparison.entries[0]
    #expect(comparison.isFaulty(entry.targets[2]))
    #expect(comparison.ratio(.named("cpu"), entry.targets[2], in: entry) == nil)
    let text = ComparisonText.table(comparison)
    #expect(text.contains("faulty: no ratios, its figures are of something else: 33.3 % errors; most often 26000"))
    #expect(text.contains("absent: not measured: needs more <memory>"))
}

@Test func thePageIsWellFormedAndLoadsNothing() throws {
    let page = HTMLReport.page(sample())
    func has(_ text: String) -> Bool { page.contains(text) }
    #expect(has("<svg"))
    for forbidden in ["http:", "https:", "src=", "@import", "url(", "<script", "<link"] {
        let isFree = !page.contains(forbidden)
        #expect(isFree, "\(forbidden)")
    }
    #expect(has("A &amp; B &lt;9&gt;"))
    #expect(has("needs more &lt;memory&gt;"))
    #expect(!has(">nan") && !has("\"nan") && !has(" nan"))
    for name in ["sluice", "other", "faulty"] { #expect(has(">\(name)<")) }
    // As XML it must be well-formed, but for the elements without an end that HTML has.
    var open: [Substring] = []
    var rest = page[...]
    while let start = rest.firstIndex(of: "<"), let end = rest[start...].firstIndex(of: ">") {
        let tag = rest[rest.index(after: start)..<end]
        rest = rest[rest.index(after: end)...]
        if tag.hasPrefix("!") || tag.hasPrefix("meta") || tag.hasSuffix("/") { continue }
        if tag.hasPrefix("/") {
            #expect(open.popLast() == tag.dropFirst())
        } else {
            open.append(tag.prefix { $0 != " " })
        }
    }
    #expect(open.isEmpty)
}

@Test func markdownHasARowForEachTarget() {
    let text = ComparisonText.markdown(sample(), command: "sluicebench compare")
    #expect(text.contains("\n| sluice | 10.0 (9.00..12.0) | < 1 (0.45..0.75) |"))
    #expect(
        text.contains("\n## Summary\n\nsluice against other, in the 2 figures that the scenarios are about: better in 2, worse in 0.\n"))
    #expect(text.contains("\n| steady-simple | CPU for each transaction, us | 10.0, x < 1 (0.45..0.75) | 20.0 | 1.00 | - |"))
    #expect(text.contains("| processor | A & B <9> |"))
    #expect(text.contains("## How each figure was obtained"))
}

@Test func resultsSurviveJSON() throws {
    let comparison = sample()
    let copy = try JSONDecoder().decode(Comparison.self, from: JSONEncoder().encode(comparison))
    #expect(ComparisonText.table(copy) == ComparisonText.table(comparison))
}

private func verdict(_ change: (inout RunResult) -> Void) -> Verdict {
    let scenario = Catalogue.verdict(clients: 2000, rate: 1000, seconds: 2)
    var result = run(scenario, "sluice", microseconds: 100, cpu: 10)
    result.connected = 2000
    result.peakServers = 20
    result.seconds = Array(repeating: SecondCount(due: 500, failed: 0, served: 500), count: 2)
    change(&result)
    return Verdict(result, Verdict.Bounds())
}

@Test func aVerdictIsKeptWhenEveryLevelIs() {
    let kept = verdict { _ in }
    #expect(kept.isKept)
    #expect(kept.text(color: false).contains("Verdict: kept."))
}

@Test func eachMissedLevelIsNamed() {
    let changes: [(String, (inout RunResult) -> Void)] = [
        ("latency p95", { $0.total.latency!.p95 = 200_000 }), ("errors", { $0.total.failed = 2 }),
        ("seconds served", { $0.seconds[1].served = 10 }), ("clients", { $0.connected = 1999 }),
        ("server connections", { $0.peakServers = 21 }),
        ("wrong answers", { $0.strangers = 1 }), ("wrong answers", { $0.rowsChecked = 0 }), ("the run", { $0.outcome = .died("gone") }),
        ("latency p95", { $0.total.latency = nil }),
    ]
    for (name, change) in changes {
        let missed = verdict(change)
        #expect(missed.isMissed && !missed.isKept)
        #expect(missed.text(color: false).contains("MISSED: \(name)"), "\(name)")
    }
}

@Test func whatCannotBeMeasuredIsNotKept() {
    let unknown = verdict { $0.peakServers = nil }
    #expect(!unknown.isMissed && !unknown.isKept)
    #expect(unknown.text(color: false).contains("kept, as far as it was measured"))
}

@Test func aFaultyBaseIsReplaced() {
    var comparison = sample()
    comparison.base = "faulty"
    #expect(comparison.base(of: comparison.entries[0]) == "other")
    comparison.base = "sluice"
    #expect(comparison.base(of: comparison.entries[0]) == "sluice")
}

/// CPU for each success, where one pooler fails half of what it is asked and another nothing, was printed as a ratio.
@Test func whereThingsGoWrongOnPurposeThereAreNoRatios() {
    let scenario = Catalogue.named("chaos")[0]
    var comparison = sample()
    comparison.entries = [
        Comparison.Entry(
            scenario: scenario,
            targets: ["sluice", "other"].map {
                Comparison.TargetEntry(name: $0, runs: [run(scenario, $0, microseconds: 10, errors: 500, cpu: 9)], skipped: nil)
            })
    ]
    #expect(!comparison.isFaulty(comparison.entries[0].targets[0]))
    #expect(comparison.ratio(.named("cpu"), comparison.entries[0].targets[0], in: comparison.entries[0]) == nil)
    #expect(ComparisonText.rows(comparison, comparison.entries[0], mark: "x")[0][1].hasPrefix("errors"))
    #expect(!ComparisonText.table(comparison).contains("x other"))
}

/// The first in a list was always the first to run, on tables that the others had not yet filled.
@Test func nobodyIsAlwaysFirst() {
    #expect(Comparer.order(of: 3, round: 1) == [0, 1, 2])
    #expect(Comparer.order(of: 3, round: 2) == [2, 1, 0])
    #expect(Comparer.order(of: 3, round: 3) == [1, 2, 0])
    for count in 1...6 {
        for round in 1...12 { #expect(Comparer.order(of: count, round: round).sorted() == Array(0..<count)) }
        // A load that changes evenly from run to run does not favour anybody in two rounds.
        let places = (0..<count).map { one in (1...2).reduce(0) { $0 + Comparer.order(of: count, round: $1).firstIndex(of: one)! } }
        #expect(Set(places).count == 1)
    }
}

@Test func answersThatNobodySawAreNotCalledRight() {
    var comparison = sample()
    #expect(ComparisonText.table(comparison).contains("rows, all right"))
    for index in comparison.entries[0].targets.indices {
        for run in comparison.entries[0].targets[index].runs.indices { comparison.entries[0].targets[index].runs[run].rowsChecked = 0 }
    }
    #expect(!ComparisonText.table(comparison).contains("all right"))
}

@Test func aGeneratorAtItsLimitIsSaid() {
    var comparison = sample()
    comparison.entries[0].targets[0].runs[0].generatorCPU = 0.97
    #expect(ComparisonText.table(comparison).contains("sluice: the load generator used 97 % of a core"))
    comparison.entries[0].targets[0].runs[0].generatorCPU = 0.5
    #expect(!ComparisonText.table(comparison).contains("of a core"))
}

@Test func aRatioSaysNoMoreThanItsRounds() {
    func text(_ median: Double, _ least: Double, _ most: Double) -> String {
        Comparison.Ratio(median: median, least: least, most: most).text
    }
    #expect(text(0.74, 0.7, 0.78) == "0.74 (0.70..0.78)")
    #expect(text(0.5, 0.3, 0.9) == "< 1 (0.30..0.90)")
    #expect(text(2, 1.1, 4) == "> 1 (1.10..4.00)")
    #expect(text(0.98, 0.9, 1.2) == "? (0.90..1.20)")
    #expect(text(1, 0.9, 1) == "? (0.90..1.00)")
    // One round has no spread.
    #expect(text(0.74, 0.74, 0.74) == "0.74" && text(1, 1, 1) == "1.00")
}

@Test func aTableFitsTheTerminal() {
    let rows = [
        ["", "CPU for each transaction, us", "latency p50, ms", "latency p99, ms"], ["sluice", "10.0 (9.00..12.0)", "1.00", "2.00"],
        ["pgbouncer", "20.0 (18.0..22.0)", "2.00", "3.00"], ["pgpool", "40.0 (38.0..42.0)", "3.00", "4.00"],
    ]
    func lines(_ width: Int) -> [Substring] {
        TextReport.table(rows, width: width).split(separator: "\n", omittingEmptySubsequences: false)
    }
    #expect(lines(200).first?.contains("CPU for each transaction, us") == true && lines(200).count == 5)
    // Upright it has 77 columns; turned, a metric is a row.
    let upright = TextReport.table(rows).split(separator: "\n").map(\.count).max() ?? 0
    #expect(lines(upright).count == 5 && lines(upright)[1].hasPrefix("  sluice"))
    #expect(TextReport.table(rows, width: upright - 1).contains("\n  CPU for each transaction, us  "))
    for width in [30, 50, 60, 76, 80, 100] {
        #expect(lines(width).allSatisfy { $0.count <= max(width, 49) }, "\(width)")
        // Nothing is lost.
        for cell in rows.joined() where !cell.isEmpty { #expect(TextReport.table(rows, width: width).contains(cell)) }
    }
}

@Test func theTimeLeftIsWhatTheRunsSoFarTook() {
    let scenarios = [Catalogue.named("saturated-simple")[0], Catalogue.named("idle")[0]]
    var plan = Comparer.Plan(scenarios: scenarios, poolers: [], rounds: 2, base: "x")
    plan.poolers = ["a", "b"].map { PoolerSpec(name: $0, kind: .direct, binary: "") }
    var clock = ComparisonClock(plan, now: 100)
    // 6.5 s each, and 7.5 s with the waits of a burst.
    #expect(clock.length(scenarios[0], now: 100) == 6.5)
    #expect(clock.behind(scenarios[0], round: 1, poolers: 2, now: 100) == 3 * 6.5 + 4 * 7.5)
    clock.ended(scenarios[0])
    // It took twice as long.
    #expect(clock.behind(scenarios[0], round: 1, poolers: 2, now: 113) == 2 * (2 * 6.5 + 4 * 7.5))
    for _ in 0..<3 { clock.ended(scenarios[0]) }
    #expect(clock.behind(scenarios[1], round: 2, poolers: 1, now: 126) == 7.5)
    #expect(Progress.duration(7.2) == "0:08" && Progress.duration(65) == "1:05" && Progress.duration(3725) == "1:02:05")
}

@Test func wordsInBracesAreFilledIn() {
    let holders = PlaceHolders(values: ["port": "6432", "user": "app"])
    #expect(holders.filled("listen {port} { user = {user} } {other}") == "listen 6432 { user = app } {other}")
    #expect(PlaceHolders.problem(in: "pooler --port {port}") == nil)
    #expect(PlaceHolders.problem(in: "awk '{ print }' {config}") == nil)
    #expect(PlaceHolders.problem(in: "pooler")?.contains("{port}") == true)
    #expect(PlaceHolders.problem(in: "{port} {prt}")?.contains("there is no {prt}") == true)
}
