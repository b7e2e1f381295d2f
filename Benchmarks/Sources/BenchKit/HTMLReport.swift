/// A comparison as one web page: nothing is loaded from anywhere, charts are SVG.
public enum HTMLReport {
    public static func page(_ comparison: Comparison) -> String {
        let names = comparison.targetNames
        var body = "<header><h1>Connection poolers under load</h1>\n<p class=\"lead\">\(summary(comparison))</p>\n"
        if comparison.strangers > 0 { body += "<p class=\"bad\">\(comparison.strangers) wrong answers: see the notes below.</p>\n" }
        if comparison.strangers == 0 { body += "<p class=\"lead\">Answers: \(TextReport.checked(comparison.rowsChecked)).</p>\n" }
        if !comparison.isComplete { body += "<p class=\"bad\">Interrupted: these are the figures up to then.</p>\n" }
        body += "<ul class=\"legend\">"
        for (index, name) in names.enumerated() { body += "<li><span class=\"swatch c\(index % 8)\"></span>\(escape(name))</li>" }
        body += "</ul></header>\n"
        body +=
            "<nav>"
            + comparison.entries.map { "<a href=\"#\(escape($0.scenario.name))\">\(escape($0.scenario.name))</a>" }.joined(separator: " ")
            + "</nav>\n"
        for entry in comparison.entries { body += section(comparison, entry, names) }
        body += "<section><h2>How it was done</h2>\n<ul>"
        for sentence in comparison.how { body += "<li>\(escape(sentence))</li>" }
        body += "</ul>\n<div class=\"wide\"><table class=\"facts\">"
        for fact in comparison.machine { body += "<tr><th>\(escape(fact[0]))</th><td>\(escape(fact[1]))</td></tr>" }
        body += "</table></div></section>\n<section><h2>How each figure was obtained</h2>\n<dl>"
        for metric in Metric.all { body += "<dt>\(escape(metric.title))</dt><dd>\(escape(metric.how)).</dd>" }
        body += "</dl></section>\n"
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>Connection poolers under load</title>
            <style>
            \(style)
            </style>
            </head>
            <body>
            \(body)</body>
            </html>

            """
    }

    private static func summary(_ comparison: Comparison) -> String {
        let processor = comparison.machine.first { $0.first == "processor" }?.last ?? ""
        return escape(
            "\(comparison.targetNames.joined(separator: ", ")), \(comparison.entries.count) scenarios, medians of \(comparison.rounds) rounds with the least and the most of them. \(comparison.date), \(processor)."
        )
    }

    private static func section(_ comparison: Comparison, _ entry: Comparison.Entry, _ names: [String]) -> String {
        let scenario = entry.scenario
        var text = "<section id=\"\(escape(scenario.name))\"><h2>\(escape(scenario.name))</h2>\n"
        text +=
            "<p>\(escape(scenario.summary)). \(grouped(scenario.clients)) clients, \(fixed(scenario.seconds, 0)) s, seed \(scenario.seed)\(scenario.faults.isEmpty ? ". x: ratio to \(escape(comparison.base(of: entry)))" : "; no ratios, because nobody fails like another").</p>\n<div class=\"charts\">"
        for metric in Metric.mains(of: scenario) {
            let bars = entry.targets.compactMap { target -> Bar? in
                guard let figure = comparison.figure(metric, target) else { return nil }
                return Bar(
                    name: target.name, color: names.firstIndex(of: target.name)! % 8, figure: figure, label: metric.text(figure.median),
                    isFaulty: comparison.isFaulty(target))
            }
            if !bars.isEmpty {
                text += chart(
                    bars, title: metric.title + (metric.unit.isEmpty ? "" : ", \(metric.unit)"), lessIsBetter: metric.lessIsBetter)
            }
        }
        let lines = entry.targets.compactMap { target -> Line? in
            guard !comparison.isFaulty(target), let points = curve(target) else { return nil }
            return Line(name: target.name, color: names.firstIndex(of: target.name)! % 8, points: points)
        }
        if !lines.isEmpty { text += chart(lines, isCorrected: scenario.groups.allSatisfy(\.arrival.isOpen)) }
        text += "</div>\n<div class=\"wide\"><table><thead><tr><th></th>"
        for target in entry.targets { text += "<th>\(escape(target.name))</th>" }
        text += "</tr></thead><tbody>"
        for metric in comparison.metrics(of: entry) {
            text += "<tr><th>\(escape(metric.title))\(metric.unit.isEmpty ? "" : "<span class=\"unit\">, \(metric.unit)</span>")</th>"
            for target in entry.targets {
                guard let figure = comparison.figure(metric, target) else {
                    text += "<td>-</td>"
                    continue
                }
                text += "<td>\(metric.text(figure.median))"
                if figure.most > figure.least { text += "<small>\(metric.text(figure.least))..\(metric.text(figure.most))</small>" }
                if target.name != comparison.base(of: entry), let ratio = comparison.ratio(metric, target, in: entry), showsRatio(metric) {
                    let spread = ratio.most > ratio.least ? " (\(fixed(ratio.least, 2))..\(fixed(ratio.most, 2)))" : ""
                    text += "<small class=\"ratio\">\(fixed(ratio.median, 2)) x\(spread)</small>"
                }
                text += "</td>"
            }
            text += "</tr>"
        }
        text += "</tbody></table></div>\n"
        let remarks = ComparisonText.remarks(comparison, entry)
        if !remarks.isEmpty { text += "<ul class=\"notes\">" + remarks.map { "<li>\(escape($0))</li>" }.joined() + "</ul>\n" }
        return text + "</section>\n"
    }

    private static func showsRatio(_ metric: Metric) -> Bool { metric.key != "errors" && metric.key != "strangers" && metric.key != "max" }

    /// The curve of the middle round, by p99.
    private static func curve(_ target: Comparison.TargetEntry) -> [(percent: Double, milliseconds: Double)]? {
        let runs = target.runs.compactMap(\.total.latency).sorted { $0.p99 < $1.p99 }
        guard !runs.isEmpty else { return nil }
        return runs[runs.count / 2].curve.map { ($0[0], $0[1] / 1000) }.filter { $0.1 > 0 }
    }

    // MARK: Charts

    private struct Bar {
        let name: String
        let color: Int
        let figure: Comparison.Figure
        let label: String
        let isFaulty: Bool
    }

    /// Horizontal bars from zero; a thin line spans the least and the most of the rounds.
    private static func chart(_ bars: [Bar], title: String, lessIsBetter: Bool?) -> String {
        let width = 360.0
        let left = 78.0
        let right = 64.0
        let height = 14.0 + Double(bars.count) * 28
        let most = max(bars.map(\.figure.most).max() ?? 0, 1e-9)
        func x(_ value: Double) -> Double { left + max(0, value) / most * (width - left - right) }
        var text =
            "<figure><figcaption>\(escape(title))<small>\(lessIsBetter.map { $0 ? "less is better" : "more is better" } ?? "")</small></figcaption>"
        text += "<svg viewBox=\"0 0 \(fixed(width, 0)) \(fixed(height, 0))\" role=\"img\" aria-label=\"\(escape(title))\">"
        for (index, bar) in bars.enumerated() {
            let y = 8 + Double(index) * 28
            text +=
                "<text class=\"name\" x=\"\(fixed(left - 8, 1))\" y=\"\(fixed(y + 14, 1))\" text-anchor=\"end\">\(escape(bar.name))</text>"
            text +=
                "<rect class=\"c\(bar.color)\(bar.isFaulty ? " faulty" : "")\" x=\"\(fixed(left, 1))\" y=\"\(fixed(y, 1))\" width=\"\(fixed(max(1, x(bar.figure.median) - left), 1))\" height=\"20\" rx=\"2\">"
            text += "<title>\(escape(bar.name)): \(bar.label)\(bar.isFaulty ? ", with errors" : "")</title></rect>"
            if bar.figure.most > bar.figure.least {
                let from = fixed(x(bar.figure.least), 1)
                let to = fixed(x(bar.figure.most), 1)
                text +=
                    "<path class=\"spread\" d=\"M\(from) \(fixed(y + 10, 1))H\(to)M\(from) \(fixed(y + 6, 1))v8M\(to) \(fixed(y + 6, 1))v8\"/>"
            }
            text +=
                "<text class=\"value\" x=\"\(fixed(max(x(bar.figure.most), x(bar.figure.median)) + 6, 1))\" y=\"\(fixed(y + 14, 1))\">\(bar.label)\(bar.isFaulty ? "*" : "")</text>"
        }
        return text + "</svg></figure>"
    }

    private struct Line {
        let name: String
        let color: Int
        let points: [(percent: Double, milliseconds: Double)]
    }

    /// Latency over percentile, both logarithmic: the right end is the slowest of ten thousand.
    private static func chart(_ lines: [Line], isCorrected: Bool) -> String {
        let width = 360.0
        let height = 220.0
        let left = 44.0
        let right = 12.0
        let top = 10.0
        let bottom = 26.0
        let values = lines.flatMap(\.points).map(\.milliseconds).filter { $0 > 0 }
        guard let least = values.min(), let most = values.max() else { return "" }
        let low = (least.decimalLogarithm).rounded(.down)
        let high = max(low + 1, most.decimalLogarithm.rounded(.up))
        func x(_ percent: Double) -> Double {
            // 0 % stands at 0, 90 % at 1, 99 % at 2, and the last at 4.
            let place = percent >= 99.99 ? 4 : -(1 - percent / 100).decimalLogarithm
            return left + min(4, place) / 4 * (width - left - right)
        }
        func y(_ value: Double) -> Double {
            top + (high - max(value, 1e-6).decimalLogarithm) / (high - low) * (height - top - bottom)
        }
        let caption = isCorrected ? "corrected for coordinated omission" : "closed load: not corrected"
        var text = "<figure><figcaption>latency by percentile, ms<small>\(caption)</small></figcaption>"
        text += "<svg viewBox=\"0 0 \(fixed(width, 0)) \(fixed(height, 0))\" role=\"img\" aria-label=\"latency by percentile\">"
        for power in Int(low)...Int(high) {
            let value =
                power >= 0 ? (0..<power).reduce(1.0) { result, _ in result * 10 } : (0..<(-power)).reduce(1.0) { result, _ in result / 10 }
            let height = fixed(y(value), 1)
            text += "<path class=\"grid\" d=\"M\(fixed(left, 1)) \(height)H\(fixed(width - right, 1))\"/>"
            text +=
                "<text class=\"tick\" x=\"\(fixed(left - 6, 1))\" y=\"\(fixed(y(value) + 4, 1))\" text-anchor=\"end\">\(power >= 0 ? fixed(value, 0) : fixed(value, -power))</text>"
        }
        for (percent, label) in [(0.0, "0"), (50, "50"), (90, "90 %"), (99, "99 %"), (99.9, "99.9 %")] {
            text += "<path class=\"grid\" d=\"M\(fixed(x(percent), 1)) \(fixed(top, 1))V\(fixed(height - bottom, 1))\"/>"
            text +=
                "<text class=\"tick\" x=\"\(fixed(x(percent), 1))\" y=\"\(fixed(height - 8, 1))\" text-anchor=\"middle\">\(label)</text>"
        }
        for line in lines {
            let path = line.points.enumerated().map { index, point in
                "\(index == 0 ? "M" : "L")\(fixed(x(point.percent), 1)) \(fixed(y(point.milliseconds), 1))"
            }.joined()
            text += "<path class=\"line s\(line.color)\" d=\"\(path)\"><title>\(escape(line.name))</title></path>"
        }
        return text + "</svg></figure>"
    }

    static func escape(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            default: result.append(character)
            }
        }
        return result
    }

    /// Colours that stay apart for most kinds of colour-blindness, in a light and a dark version.
    private static let style = """
        :root { color-scheme: light dark; --back: #fff; --text: #1a1d21; --soft: #5b6470; --line: #dfe3e8; --card: #f7f8fa; --bad: #b3261e;
          --c0: #2563c9; --c1: #d1660a; --c2: #7b4bb3; --c3: #767d87; --c4: #1f8a5f; --c5: #b8327a; --c6: #8a6d00; --c7: #0e7c9b; }
        @media (prefers-color-scheme: dark) {
          :root { --back: #14171a; --text: #e6e9ed; --soft: #9aa4b0; --line: #2d333a; --card: #1b1f24; --bad: #ff8a80;
            --c0: #6ea3ff; --c1: #ff9d4d; --c2: #b690ee; --c3: #9aa3ad; --c4: #4fc596; --c5: #f077b4; --c6: #d6b840; --c7: #53c0de; } }
        * { box-sizing: border-box; }
        body { margin: 0 auto; max-width: 1200px; padding: 24px 16px 64px; background: var(--back); color: var(--text);
          font: 15px/1.5 system-ui, sans-serif; }
        h1 { font-size: 26px; line-height: 1.2; margin: 0 0 8px; } h2 { font-size: 20px; margin: 0 0 4px; }
        .lead, section > p { color: var(--soft); margin: 0 0 12px; } .bad { color: var(--bad); font-weight: 600; }
        section { border-top: 1px solid var(--line); margin-top: 28px; padding-top: 20px; }
        .legend { display: flex; flex-wrap: wrap; gap: 6px 18px; list-style: none; margin: 0; padding: 0; }
        .swatch { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 6px; }
        nav { display: flex; flex-wrap: wrap; gap: 4px 14px; margin-top: 12px; } a { color: var(--c0); }
        .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(300px, 100%), 1fr)); gap: 12px; margin-bottom: 14px; }
        figure { background: var(--card); border: 1px solid var(--line); border-radius: 8px; margin: 0; padding: 10px 12px; }
        figcaption { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 10px; font-weight: 600; font-size: 14px; margin-bottom: 4px; }
        figcaption small { color: var(--soft); font-weight: 400; }
        svg { display: block; width: 100%; height: auto; max-width: 460px; font: 12px system-ui, sans-serif; }
        svg text { fill: var(--text); } svg .tick { fill: var(--soft); font-size: 11px; } .value { font-variant-numeric: tabular-nums; }
        .grid { stroke: var(--line); fill: none; } .spread { stroke: var(--text); fill: none; stroke-width: 1.25; } .line { fill: none; stroke-width: 2; }
        .faulty { opacity: .35; }
        .wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
        th, td { border-bottom: 1px solid var(--line); padding: 5px 10px; text-align: right; vertical-align: top; }
        tbody th, .facts th { text-align: left; font-weight: 500; } tbody th { position: sticky; left: 0; background: var(--back); min-width: 130px; }
        .facts { width: auto; } .facts td { text-align: left; } td small { display: block; color: var(--soft); font-size: 12px; white-space: nowrap; }
        td .ratio { color: var(--text); } .unit { color: var(--soft); } .notes { color: var(--soft); font-size: 14px; padding-left: 20px; } dt { font-weight: 600; margin-top: 8px; } dd { margin: 0; color: var(--soft); }
        \((0..<8).map { ".c\($0) { fill: var(--c\($0)); background: var(--c\($0)); } .s\($0) { stroke: var(--c\($0)); }" }.joined(separator: "\n"))
        """
}
