/// What a deployment promises, and whether a run kept it.
public struct Verdict: Codable, Sendable {
    /// One service level: a target, and what was measured.
    public struct Level: Codable, Sendable {
        public var name: String
        public var target: String
        public var measured: String
        /// nil: it could not be measured, and why stands in `measured`.
        public var isKept: Bool?
        public var how: String
    }

    /// The bounds. Each may be changed on the command line.
    public struct Bounds: Sendable {
        /// Milliseconds.
        public var p95 = 200.0
        /// Share of transactions, in percent.
        public var errors = 0.1
        /// Share of seconds, in percent.
        public var seconds = 99.9
        public var clients = 2000
        public var servers = 20

        public init() {}
    }

    public var levels: [Level]
    public var run: RunResult

    public init(_ run: RunResult, _ bounds: Bounds) {
        self.run = run
        let total = run.total
        let asked = total.succeeded + total.failed + total.unanswered
        levels = [
            Level(
                name: "latency p95", target: "under \(fixed(bounds.p95, 0)) ms",
                measured: total.latency.map { "\(TextReport.milliseconds($0.p95)) ms" } ?? "no answers",
                isKept: total.latency.map { $0.p95 / 1000 < bounds.p95 } ?? false,
                how: "from when a transaction was due, corrected for coordinated omission"),
            Level(
                name: "errors", target: "under \(Self.percent(bounds.errors))",
                measured: asked == 0 ? "nothing was asked" : "\(fixed(run.errorRate * 100, 3)) % of \(grouped(asked))",
                isKept: asked > 0 && run.errorRate * 100 < bounds.errors, how: "failed or unanswered, of the transactions that were due"),
            Level(
                name: "seconds served", target: "at least \(Self.percent(bounds.seconds))",
                measured: "\(fixed(run.servedSeconds * 100, 2)) % of \(run.seconds.count)",
                isKept: run.servedSeconds * 100 >= bounds.seconds,
                how: "seconds in which 95 % of what was due was answered within a second"),
            Level(
                name: "clients", target: "at least \(grouped(bounds.clients))", measured: "\(grouped(run.connected)) logged in",
                isKept: run.connected >= bounds.clients,
                how: "logged in before the load began, and still when it ended"),
            Level(
                name: "server connections", target: "at most \(bounds.servers)",
                measured: run.peakServers.map { "\($0) at the peak" } ?? "unknown: needs --admin-url",
                isKept: run.peakServers.map { $0 <= bounds.servers }, how: "in pg_stat_activity, four times a second"),
            Level(
                name: "wrong answers", target: "none",
                measured: run.rowsChecked == 0 ? "no rows" : "\(run.strangers) of \(grouped(run.rowsChecked)) rows",
                isKept: run.strangers == 0 && run.rowsChecked > 0,
                how: "every row holds the name of the one who asked, and is compared"),
        ]
        if run.outcome != .complete {
            let why = if case .died(let words) = run.outcome { words } else { "interrupted" }
            levels.insert(
                Level(
                    name: "the run", target: "comes to its end", measured: why, isKept: false,
                    how: "the target answers until the window is over"), at: 0)
        }
    }

    /// All levels that could be measured were kept, and every one could be.
    public var isKept: Bool { levels.allSatisfy { $0.isKept == true } }
    public var isMissed: Bool { levels.contains { $0.isKept == false } }

    private static func percent(_ value: Double) -> String {
        let places = value == value.rounded() ? 0 : (value * 10).rounded() == value * 10 ? 1 : 2
        return "\(fixed(value, places)) %"
    }

    /// The dashboard.
    public func text(color: Bool) -> String {
        func paint(_ text: String, _ code: String) -> String { color ? "\u{1b}[\(code)m\(text)\u{1b}[0m" : text }
        let names = levels.map(\.name.count).max() ?? 0
        let targets = max(6, levels.map(\.target.count).max() ?? 0)
        let measures = max(8, levels.map(\.measured.count).max() ?? 0)
        func pad(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.count)) }
        var result =
            "\nService levels of \(run.target): \(run.scenario), \(grouped(run.total.clients)) clients, \(fixed(run.length, 1)) s, seed \(run.seed)\n\n"
        result += "          \(pad("", names))  \(pad("target", targets))  \(pad("measured", measures))  how\n"
        for level in levels {
            let word =
                switch level.isKept {
                case true?: paint("kept   ", "32")
                case false?: paint("MISSED ", "1;31")
                case nil: paint("unknown", "33")
                }
            result += "  \(word) \(pad(level.name, names))  \(pad(level.target, targets))  \(pad(level.measured, measures))  \(level.how)\n"
        }
        result += "\n  \(bar(run))\n"
        for error in run.total.errors.prefix(5) { result += "  \(error.sqlState)  \(grouped(error.count)) x  \(error.message)\n" }
        for word in run.strangerWords { result += "  \(word)\n" }
        if let late = run.generatorLate {
            result +=
                "  note: the load generator itself was late by \(TextReport.milliseconds(late)) ms (p99), for want of CPU; latency contains that\n"
        }
        for note in run.notes { result += "  note: \(note)\n" }
        let missed = levels.filter { $0.isKept == false }.map(\.name)
        result +=
            missed.isEmpty
            ? (isKept ? "\nVerdict: kept.\n" : "\nVerdict: kept, as far as it was measured.\n")
            : "\nVerdict: MISSED: \(missed.joined(separator: ", ")).\n"
        return result
    }

    /// A sign for each second, in up to sixty pieces: full when served.
    private func bar(_ run: RunResult) -> String {
        guard !run.seconds.isEmpty else { return "no second was measured" }
        let pieces = min(60, run.seconds.count)
        var signs = ""
        for piece in 0..<pieces {
            let part = run.seconds[(piece * run.seconds.count / pieces)..<((piece + 1) * run.seconds.count / pieces)]
            let due = part.reduce(0) { $0 + $1.due }
            let served = part.reduce(0) { $0 + $1.served }
            signs += due == 0 ? "." : Double(served) >= 0.95 * Double(due) ? "#" : served > 0 ? "-" : "!"
        }
        return "seconds: \(signs)  (# served, - partly, ! not at all, . nothing due)"
    }
}

extension Catalogue {
    /// What `verdict` plays: many clients who each ask now and then.
    public static func verdict(clients: Int, rate: Double, seconds: Double, warmup: Double = 3) -> Scenario {
        Scenario(
            name: "verdict",
            summary: "\(grouped(clients)) clients, \(fixed(rate, 0)) transactions a second, prepared statements and short transactions",
            seed: 21, seconds: seconds, warmup: warmup,
            groups: [
                ClientGroup(
                    name: "clients", clients: clients, arrival: .open(rate: rate, spacing: .poisson),
                    work: .mix([.select, .select, .select, .selects(3)]), mode: .prepared)
            ])
    }
}
