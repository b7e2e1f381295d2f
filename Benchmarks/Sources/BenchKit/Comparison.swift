/// Several poolers under the same scenarios, in turn, in rounds.
public struct Comparison: Codable, Sendable {
    public struct Entry: Codable, Sendable {
        public var scenario: Scenario
        public var targets: [TargetEntry]
    }

    public struct TargetEntry: Codable, Sendable {
        public var name: String
        public var runs: [RunResult]
        /// Why there is nothing to measure; nil where there is.
        public var skipped: String?
    }

    /// The middle of the rounds, and how far they lie apart.
    public struct Figure: Sendable, Equatable {
        public var median: Double
        public var least: Double
        public var most: Double
    }

    /// A ratio, and what the rounds allow to say of it.
    public struct Ratio: Sendable, Equatable {
        public var median: Double
        public var least: Double
        public var most: Double

        /// Some rounds say more and some less, or one says that there is no difference.
        public var isUndecided: Bool { median != least || median != most ? least <= 1 && most >= 1 : false }
        /// All rounds say more, or all say less, but not how much: the most is over half as much again as the least.
        public var isVague: Bool { !isUndecided && most > least * 1.5 }

        /// `0.74 (0.70..0.78)`; `< 1 (0.30..0.90)` where only the direction is certain; `? (0.90..1.20)` where not even that is.
        public var text: String {
            if median == least, median == most { return fixed(median, 2) }
            let spread = " (\(fixed(least, 2))..\(fixed(most, 2)))"
            if isUndecided { return "?" + spread }
            return (isVague ? (most < 1 ? "< 1" : "> 1") : fixed(median, 2)) + spread
        }
    }

    public var date: String
    /// Name and value: processor, cores, system, versions.
    public var machine: [[String]]
    /// How it was done, in sentences.
    public var how: [String]
    /// What the others are divided by.
    public var base: String
    public var rounds: Int
    public var entries: [Entry] = []
    public var isComplete = true

    public init(date: String, machine: [[String]], how: [String], base: String, rounds: Int) {
        (self.date, self.machine, self.how, self.base, self.rounds) = (date, machine, how, base, rounds)
    }

    /// A metric of one target in one scenario.
    public func figure(_ metric: Metric, _ target: TargetEntry) -> Figure? {
        let values = target.runs.compactMap(metric.value)
        guard !values.isEmpty else { return nil }
        return Figure(median: median(values), least: values.min()!, most: values.max()!)
    }

    /// Median over the base's median, with the least and the most that single rounds give. nil where one has no figure, or
    /// answered more than one question in a hundred with an error: then its figures are of something else. Where things were made
    /// to go wrong, nobody does the same as another.
    public func ratio(_ metric: Metric, _ target: TargetEntry, in entry: Entry) -> Ratio? {
        guard entry.scenario.faults.isEmpty, metric.lessIsBetter != nil,
            let other = entry.targets.first(where: { $0.name == base(of: entry) }), !isFaulty(target),
            !isFaulty(other),
            let mine = figure(metric, target), let theirs = figure(metric, other), theirs.median > 0
        else { return nil }
        let rounds = zip(target.runs, other.runs).compactMap { mine, theirs -> Double? in
            guard let mine = metric.value(mine), let theirs = metric.value(theirs), theirs > 0 else { return nil }
            return mine / theirs
        }
        guard let least = rounds.min(), let most = rounds.max() else { return nil }
        return Ratio(median: mine.median / theirs.median, least: least, most: most)
    }

    /// What the others are divided by in one scenario: `base`, or where that is of no use the first that is.
    public func base(of entry: Entry) -> String {
        let useful = entry.targets.filter { !$0.runs.isEmpty && !isFaulty($0) }.map(\.name)
        if useful.contains(base) { return base }
        return useful.first { $0 == "relay" } ?? useful.last ?? base
    }

    public func isFaulty(_ target: TargetEntry) -> Bool {
        target.runs.contains { $0.outcome != .complete || ($0.errorRate > 0.01 && !$0.hasFaults) }
    }

    /// Metrics for which somebody in the entry has a figure.
    public func metrics(of entry: Entry) -> [Metric] {
        Metric.all.filter { metric in entry.targets.contains { figure(metric, $0) != nil } }
    }

    public var targetNames: [String] {
        var names: [String] = []
        for entry in entries { for target in entry.targets where !names.contains(target.name) { names.append(target.name) } }
        return names
    }

    public var strangers: Int { strangers(of: Set(targetNames)) }

    /// Wrong answers of some of them.
    public func strangers(of names: Set<String>) -> Int {
        entries.flatMap(\.targets).filter { names.contains($0.name) }.flatMap(\.runs).reduce(0) { $0 + $1.strangers }
    }

    public var rowsChecked: Int { entries.flatMap(\.targets).flatMap(\.runs).reduce(0) { $0 + $1.rowsChecked } }
}
