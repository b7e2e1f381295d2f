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
    #expect(text.contains("\n| sluice | 10.0 (9.00..12.0) | 0.50 (0.45..0.75) |"))
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
