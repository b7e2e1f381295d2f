/// A comparison for terminals, and for docs/benchmarks/short.md.
public enum ComparisonText {
    /// `width`: the terminal's, which tables are made to fit.
    public static func table(_ comparison: Comparison, width: Int = 160) -> String {
        var text = summary(comparison, width: width)
        for entry in comparison.entries {
            text += "\n" + TextReport.wrapped("\(entry.scenario.name): \(entry.scenario.summary)", width: width, indent: "")
            text += TextReport.table(rows(comparison, entry, mark: "x"), width: width)
            text += remarks(comparison, entry).map { TextReport.wrapped($0, width: width, indent: "  ") }.joined()
        }
        text += "\n" + explanation(comparison).map { TextReport.wrapped($0, width: width, indent: "") }.joined()
        text += TextReport.wrapped(
            comparison.strangers == 0
                ? "Answers: \(TextReport.checked(comparison.rowsChecked))." : "WRONG ANSWERS: \(comparison.strangers)", width: width,
            indent: "")
        if !comparison.isComplete { text += "INTERRUPTED: these are the figures up to then.\n" }
        return text
    }

    /// What the signs in the tables mean.
    static func explanation(_ comparison: Comparison) -> [String] {
        if comparison.rounds == 1 {
            return ["Figures of one round; how far they vary is not known. x: ratio, which says as little: --rounds 3 tells the spread."]
        }
        return [
            "Medians of \(comparison.rounds) rounds (least..most). x: ratio of medians (least..most of single rounds).",
            "< 1, > 1: all rounds agree on who has less, but not on how much. ?: they do not agree.",
        ]
    }

    /// What a comparison says, before the figures: for each pooler a sentence, and what each scenario is about.
    static func summary(_ comparison: Comparison, width: Int) -> String {
        var text = "\n"
        for name in comparison.targetNames {
            if let sentence = sentence(comparison, name) { text += TextReport.wrapped(sentence, width: width, indent: "") }
        }
        return text + "\n" + TextReport.table(summaryRows(comparison), width: width)
    }

    /// One pooler against the base: in how many of the figures that scenarios are about it needs less or does more, or the other way round.
    static func sentence(_ comparison: Comparison, _ name: String) -> String? {
        guard name != comparison.base else { return nil }
        var (better, worse, undecided) = (0, 0, 0)
        for entry in comparison.entries where comparison.base(of: entry) == comparison.base {
            guard let target = entry.targets.first(where: { $0.name == name }) else { continue }
            for metric in Metric.mains(of: entry.scenario) {
                guard let ratio = comparison.ratio(metric, target, in: entry) else { continue }
                if ratio.isUndecided || ratio.median == 1 {
                    undecided += 1
                } else if (ratio.median < 1) == (metric.lessIsBetter ?? true) {
                    better += 1
                } else {
                    worse += 1
                }
            }
        }
        let all = better + worse + undecided
        guard all > 0 else { return nil }
        let rest = undecided > 0 ? ", and no difference that the rounds agree on in \(undecided)" : ""
        let figures = all == 1 ? "the figure" : "the \(all) figures"
        return
            "\(name) against \(comparison.base), in \(figures) that the scenarios are about: better in \(better), worse in \(worse)\(rest)."
    }

    /// A line for each figure that a scenario is about: the base's value, and the ratios of the others.
    static func summaryRows(_ comparison: Comparison) -> [[String]] {
        let names = comparison.targetNames
        var rows = [["scenario", "figure"] + names]
        for entry in comparison.entries {
            let base = comparison.base(of: entry)
            for metric in Metric.mains(of: entry.scenario) {
                guard entry.targets.contains(where: { comparison.figure(metric, $0) != nil }) else { continue }
                rows.append(
                    [entry.scenario.name, heading(metric)]
                        + names.map { name in
                            guard let target = entry.targets.first(where: { $0.name == name }), !target.runs.isEmpty else { return "-" }
                            let value = metric.text(comparison.figure(metric, target)?.median)
                            guard name != base, let ratio = comparison.ratio(metric, target, in: entry) else { return value }
                            return "\(value), x \(ratio.text)"
                        })
            }
        }
        return rows
    }

    /// A target a row. What the scenario is about stands first, with ratio and spread; then medians.
    static func rows(_ comparison: Comparison, _ entry: Comparison.Entry, mark: String) -> [[String]] {
        let mains = Metric.mains(of: entry.scenario).filter { metric in entry.targets.contains { comparison.figure(metric, $0) != nil } }
        let others = comparison.metrics(of: entry).filter { metric in !mains.contains { $0.key == metric.key } && metric.key != "strangers"
        }
        let hasRatios = entry.scenario.faults.isEmpty
        var rows = [
            [""] + mains.flatMap { [heading($0)] + (hasRatios ? ["\(mark) \(comparison.base(of: entry))"] : []) } + others.map(heading)
        ]
        for target in entry.targets where !target.runs.isEmpty {
            var row = [target.name]
            for metric in mains {
                row.append(figure(comparison, metric, target))
                if hasRatios { row.append(ratio(comparison, entry, metric, target)) }
            }
            for metric in others { row.append(metric.text(comparison.figure(metric, target)?.median)) }
            rows.append(row)
        }
        return rows
    }

    private static func heading(_ metric: Metric) -> String { metric.title + (metric.unit.isEmpty ? "" : ", \(metric.unit)") }

    static func figure(_ comparison: Comparison, _ metric: Metric, _ target: Comparison.TargetEntry) -> String {
        guard let figure = comparison.figure(metric, target) else { return "-" }
        let spread = figure.most > figure.least ? " (\(metric.text(figure.least))..\(metric.text(figure.most)))" : ""
        return metric.text(figure.median) + spread
    }

    static func ratio(_ comparison: Comparison, _ entry: Comparison.Entry, _ metric: Metric, _ target: Comparison.TargetEntry) -> String {
        guard target.name != comparison.base(of: entry) else { return "1" }
        guard let ratio = comparison.ratio(metric, target, in: entry) else { return "-" }
        return ratio.text
    }

    static func remarks(_ comparison: Comparison, _ entry: Comparison.Entry) -> [String] {
        var remarks: [String] = []
        for target in entry.targets {
            if let reason = target.skipped {
                remarks.append("\(target.name): not measured\(target.runs.isEmpty ? "" : " to the end"): \(reason)")
            }
            if target.runs.contains(where: { $0.outcome == .interrupted }) {
                remarks.append("\(target.name): no ratios, its last run was interrupted")
            } else if comparison.isFaulty(target), let worst = target.runs.max(by: { $0.errorRate < $1.errorRate }) {
                let first = worst.total.errors.first.map { "; most often \($0.sqlState) \($0.message)" } ?? ""
                var words = "\(fixed(worst.errorRate * 100, 1)) % errors\(first)"
                if case .died(let why) = worst.outcome { words = why }
                remarks.append("\(target.name): no ratios, its figures are of something else: \(words)")
            }
            if let late = target.runs.compactMap(\.generatorLate).max() {
                remarks.append(
                    "\(target.name): the load generator was late by up to \(TextReport.milliseconds(late)) ms (p99), for want of CPU; latency contains that"
                )
            }
            if let words = TextReport.limit(target.runs.compactMap(\.generatorCPU).max()) { remarks.append("\(target.name): \(words)") }
            for note in Set(target.runs.flatMap(\.notes)).sorted() { remarks.append("\(target.name): \(note)") }
            for word in target.runs.flatMap(\.strangerWords).prefix(3) { remarks.append("\(target.name): WRONG ANSWER: \(word)") }
        }
        return remarks
    }

    /// A page for docs. `command` is what was run.
    public static func markdown(_ comparison: Comparison, command: String, title: String = "Benchmarks") -> String {
        var text = """
            # \(title)

            Written by the command below; do not edit. What the figures teach, and how to measure by yourself, is in
            [README.md](README.md).

            | | |
            |---|---|

            """
        for fact in comparison.machine { text += "| \(fact[0]) | \(escape(fact[1])) |\n" }
        text += "| command | `\(command)` |\n\n"
        for sentence in comparison.how { text += "- \(sentence)\n" }
        text += "- A ratio (x) divides the median by that of the pooler that it names. "
        text += explanation(comparison).joined(separator: " ") + "\n"
        text +=
            comparison.strangers == 0
            ? "- Answers: \(TextReport.checked(comparison.rowsChecked)).\n" : "- **Wrong answers: \(comparison.strangers)**\n"
        if !comparison.isComplete { text += "- **Interrupted**: these are the figures up to then.\n" }
        text += "\n## Summary\n\n"
        for name in comparison.targetNames { if let sentence = sentence(comparison, name) { text += sentence + "\n" } }
        text += "\n" + markdownTable(summaryRows(comparison), left: 2)
        for entry in comparison.entries {
            text +=
                "\n## \(entry.scenario.name)\n\n\(entry.scenario.summary) (\(grouped(entry.scenario.clients)) clients, \(fixed(entry.scenario.seconds, 0)) s, seed \(entry.scenario.seed))\n\n"
            text += markdownTable(rows(comparison, entry, mark: "x"), left: 1)
            let remarks = remarks(comparison, entry)
            if !remarks.isEmpty { text += "\n" + remarks.map { "- \(escape($0))\n" }.joined() }
        }
        text += "\n## How each figure was obtained\n\n"
        for metric in Metric.all { text += "- **\(metric.title)**: \(metric.how).\n" }
        return text
    }

    /// The first `left` columns to the left, the others to the right.
    private static func markdownTable(_ rows: [[String]], left: Int) -> String {
        let marks = rows[0].indices.map { $0 < left ? "---" : "---:" }
        return ([rows[0], marks] + rows.dropFirst().map { $0.map(escape) }).map { "| " + $0.joined(separator: " | ") + " |\n" }.joined()
    }

    private static func escape(_ text: String) -> String {
        text.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
    }
}
