/// A comparison for terminals, and for docs/benchmarks/short.md.
public enum ComparisonText {
    public static func table(_ comparison: Comparison) -> String {
        var text = ""
        for entry in comparison.entries {
            text += "\n\(entry.scenario.name): \(entry.scenario.summary)\n"
            text += TextReport.table(rows(comparison, entry, mark: "x"))
            text += remarks(comparison, entry).map { "  \($0)\n" }.joined()
        }
        text +=
            "\nMedians of \(comparison.rounds) round\(comparison.rounds == 1 ? "" : "s") (least..most). x: ratio of medians, with the spread of single rounds.\n"
        text +=
            comparison.strangers == 0
            ? "Answers: \(TextReport.checked(comparison.rowsChecked)).\n" : "WRONG ANSWERS: \(comparison.strangers)\n"
        if !comparison.isComplete { text += "INTERRUPTED: these are the figures up to then.\n" }
        return text
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
        return fixed(ratio.median, 2) + (ratio.most > ratio.least ? " (\(fixed(ratio.least, 2))..\(fixed(ratio.most, 2)))" : "")
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
        text += "- A ratio (x) divides the median by that of the pooler that it names; in brackets the least and the most of the rounds.\n"
        text +=
            comparison.strangers == 0
            ? "- Answers: \(TextReport.checked(comparison.rowsChecked)).\n" : "- **Wrong answers: \(comparison.strangers)**\n"
        if !comparison.isComplete { text += "- **Interrupted**: these are the figures up to then.\n" }
        for entry in comparison.entries {
            text +=
                "\n## \(entry.scenario.name)\n\n\(entry.scenario.summary) (\(grouped(entry.scenario.clients)) clients, \(fixed(entry.scenario.seconds, 0)) s, seed \(entry.scenario.seed))\n\n"
            let rows = rows(comparison, entry, mark: "x")
            text += "| " + rows[0].joined(separator: " | ") + " |\n|---|" + String(repeating: "---:|", count: rows[0].count - 1) + "\n"
            for row in rows.dropFirst() { text += "| " + row.map(escape).joined(separator: " | ") + " |\n" }
            let remarks = remarks(comparison, entry)
            if !remarks.isEmpty { text += "\n" + remarks.map { "- \(escape($0))\n" }.joined() }
        }
        text += "\n## How each figure was obtained\n\n"
        for metric in Metric.all { text += "- **\(metric.title)**: \(metric.how).\n" }
        return text
    }

    private static func escape(_ text: String) -> String {
        text.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
    }
}
