/// Results as text for a terminal.
public enum TextReport {
    /// A table that fits into so many columns of a terminal: as it is, else with rows and columns exchanged, else in pieces that each
    /// begin with the first column. What is wider than the terminal even so, stays so.
    public static func table(_ rows: [[String]], width: Int) -> String {
        let upright = table(rows)
        if widest(upright) <= width { return upright }
        let turned = transposed(rows)
        let text = table(turned)
        if widest(text) <= width { return text }
        return pieces(turned, width).map(table).joined(separator: "\n")
    }

    private static func widest(_ text: String) -> Int { text.split(separator: "\n").map(\.count).max() ?? 0 }

    static func transposed(_ rows: [[String]]) -> [[String]] {
        let columns = rows.map(\.count).max() ?? 0
        return (0..<columns).map { column in rows.map { column < $0.count ? $0[column] : "" } }
    }

    /// The first column with as many of the others as fit, again and again; at least one each time.
    private static func pieces(_ rows: [[String]], _ width: Int) -> [[[String]]] {
        let columns = rows.map(\.count).max() ?? 0
        var pieces: [[[String]]] = []
        var first = 1
        while first < columns {
            func piece(to end: Int) -> [[String]] {
                rows.map { row in [row.first ?? ""] + (first..<end).map { $0 < row.count ? row[$0] : "" } }
            }
            var end = first + 1
            while end < columns, widest(table(piece(to: end + 1))) <= width { end += 1 }
            pieces.append(piece(to: end))
            first = end
        }
        return pieces.isEmpty ? [rows] : pieces
    }

    /// A sentence in lines of at most so many columns, the later ones indented further.
    static func wrapped(_ text: String, width: Int, indent: String) -> String {
        var lines: [String] = []
        var line = indent
        var isEmpty = true
        for word in text.split(separator: " ", omittingEmptySubsequences: false) {
            if !isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = indent + "  "
                isEmpty = true
            }
            line += (isEmpty ? "" : " ") + word
            isEmpty = false
        }
        return (lines + [line]).joined(separator: "\n") + "\n"
    }

    /// Columns, the first to the left, the others to the right.
    public static func table(_ rows: [[String]]) -> String {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
        return rows.map { row in
            let cells = row.enumerated().map { index, cell in
                let space = String(repeating: " ", count: widths[index] - cell.count)
                return index == 0 ? cell + space : space + cell
            }
            var line = "  " + cells.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }.joined()
    }

    public static func milliseconds(_ microseconds: Double?) -> String {
        guard let microseconds, microseconds.isFinite else { return "-" }
        return fixed(microseconds / 1000, microseconds < 10_000 ? 2 : microseconds < 100_000 ? 1 : 0)
    }

    public static func run(_ result: RunResult) -> String {
        var text = "\n\(result.scenario) on \(result.target), seed \(result.seed), \(fixed(result.length, 1)) s: \(result.summary)\n"
        switch result.outcome {
        case .complete: break
        case .interrupted: text += "  INTERRUPTED: these are the figures up to then\n"
        case .died(let why): text += "  THE TARGET STOPPED: \(why). These are the figures up to then\n"
        }
        var rows = [["ms", "transactions", "a second", "p50", "p95", "p99", "p99.9", "max"]]
        for group in result.groups + [result.total] {
            let name = result.groups.isEmpty ? "" : group.name + " "
            rows.append(
                ["\(name)latency", grouped(group.succeeded), fixed(group.perSecond, 0)] + cells(group.latency))
            rows.append(["\(name)service", "", ""] + cells(group.service))
            if group.wait != nil { rows.append(["\(name)  of it, wait", "", ""] + cells(group.wait)) }
            if group.login != nil { rows.append(["\(name)login", group.login.map { grouped($0.count) } ?? "", ""] + cells(group.login)) }
        }
        text += table(rows)
        text +=
            result.isOpenLoop
            ? "  latency: from when a transaction was due (open arrivals, so corrected for coordinated omission); service: from sending\n"
            : "  latency: closed arrivals wait for the answer before they ask again: NOT corrected for coordinated omission\(result.isOnlyClosed ? "" : ", in the closed groups")\n"
        if result.total.wait != nil {
            text +=
                "  wait: from sending to the server's own time stamp of the transaction's start (now()); the rest of service is the server's\n"
        }
        let total = result.total
        if total.failed + total.unanswered > 0 || !total.errors.isEmpty {
            text +=
                "  \(grouped(total.failed)) failed, \(grouped(total.unanswered)) unanswered: \(fixed(result.errorRate * 100, 3)) % of what was due\n"
            for error in total.errors {
                text += "    \(error.sqlState)  \(grouped(error.count)) x  \(error.message)\n"
            }
        } else {
            text += "  no errors\n"
        }
        if let cpu = result.cpuSeconds {
            let each = result.cpuPerTransaction.map { "\(fixed($0, 2)) us for each transaction, " } ?? ""
            text += "  CPU of the pooler: \(each)\(fixed(cpu, 2)) s in the window (all its processes' CPU clocks)\n"
        }
        if let memory = result.memory, let after = memory.after {
            text += "  memory of the pooler: \(grouped((memory.before ?? 0) / 1024)) kB before, \(grouped(after / 1024)) kB after"
            if let idle = memory.perIdleClient, let burst = memory.perClientAfter, memory.clients > 0 {
                text += "; \(fixed(idle, 0)) B for each idle client, \(fixed(burst, 0)) B after the load"
            }
            text += " (anonymous pages)\n"
        }
        if let calls = result.systemCalls {
            let list = calls.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(8).map { "\($0.key) \(fixed($0.value, 2))" }
            text += "  system calls for each transaction (strace, after the window): \(list.joined(separator: ", "))\n"
        }
        if let servers = result.peakServers { text += "  at most \(servers) connections of the server were in use\n" }
        text +=
            result.strangers == 0
            ? "  \(checked(result.rowsChecked))\n"
            : "  WRONG ANSWERS: \(result.strangers)\n" + result.strangerWords.map { "    \($0)\n" }.joined()
        if let late = result.generatorLate {
            text +=
                "  note: the load generator itself was late by \(milliseconds(late)) ms (p99), for want of CPU; latency contains that, service does not\n"
        }
        if let limit = limit(result.generatorCPU) { text += "  note: \(limit)\n" }
        for note in result.notes { text += "  note: \(note)\n" }
        return text
    }

    /// That answers were right says nothing when there were none.
    static func checked(_ rows: Int) -> String {
        rows == 0
            ? "no row came back that could be checked"
            : "every row that came back was checked against who had asked: \(grouped(rows)) rows, all right"
    }

    /// What is to be said where this program was at its own limit; nil where it was not.
    static func limit(_ cores: Double?) -> String? {
        guard let cores, cores > 0.85 else { return nil }
        return
            "the load generator used \(fixed(cores * 100, 0)) % of a core, and has one: times and rates say as much of it as of the target"
    }

    private static func cells(_ times: Percentiles?) -> [String] {
        [times?.p50, times?.p95, times?.p99, times?.p999, times?.max].map { milliseconds($0) }
    }
}
