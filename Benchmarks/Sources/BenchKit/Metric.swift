/// One figure of a run: where it comes from, how it is written, and how it was obtained.
public struct Metric: Sendable {
    public let key: String
    public let title: String
    public let unit: String
    /// Whether less is better; nil where neither is.
    public let lessIsBetter: Bool?
    public let places: Int
    /// How the figure was obtained, for the report.
    public let how: String
    public let value: @Sendable (RunResult) -> Double?

    public static let all: [Metric] = [
        Metric(
            key: "perSecond", title: "transactions a second", unit: "/s", lessIsBetter: false, places: 0,
            how: "successes that ended in the window, over its length. With open arrivals the load sets the rate, not the target"
        ) { $0.total.perSecond },
        Metric(
            key: "cpu", title: "CPU for each transaction", unit: "us", lessIsBetter: true, places: 2,
            how:
                "CPU clocks of all the pooler's processes (user and system) over the window, divided by successes that ended in it; a function instance (serverless, logins) counts as one, with its login"
        ) { $0.cpuPerTransaction },
        latency("p50", \.p50), latency("p95", \.p95), latency("p99", \.p99), latency("p99.9", \.p999), latency("max", \.max),
        Metric(
            key: "wait99", title: "wait p99", unit: "ms", lessIsBetter: true, places: 2,
            how: "from sending to the time stamp that the server gives the transaction (now()): the pooler's queue, and the way there"
        ) { $0.total.wait.map { $0.p99 / 1000 } },
        Metric(
            key: "login50", title: "login p50", unit: "ms", lessIsBetter: true, places: 2,
            how: "from connect() until the server is ready for a query"
        ) { $0.total.login.map { $0.p50 / 1000 } },
        Metric(
            key: "errors", title: "errors", unit: "%", lessIsBetter: true, places: 3,
            how: "failed, timed out, or unanswered five seconds after the window, of all that were due in it"
        ) { $0.errorRate * 100 },
        Metric(
            key: "idle", title: "memory for each idle client", unit: "B", lessIsBetter: true, places: 0,
            how: "anonymous memory of the pooler's processes when all are logged in, less that before the first login, over their number"
        ) { $0.isBurst ? $0.memory?.perIdleClient : nil },
        Metric(
            key: "burst", title: "the same after one query of each", unit: "B", lessIsBetter: true, places: 0,
            how: "the same, after all have asked at once and been answered"
        ) { $0.isBurst ? $0.memory?.perClientAfter : nil },
        Metric(
            key: "calls", title: "system calls for each transaction", unit: "", lessIsBetter: true, places: 2,
            how: "strace -c -f on the pooler's processes for two seconds, a second after the window, over the transactions meanwhile"
        ) { $0.systemCalls.map { $0.values.reduce(0, +) } },
        Metric(
            key: "strangers", title: "wrong answers", unit: "", lessIsBetter: true, places: 0,
            how:
                "every row that comes back holds the name of the one who asked, and is compared; and a cancel must hit only who asked for it"
        ) { Double($0.strangers) },
    ]

    public static func named(_ key: String) -> Metric { all.first { $0.key == key }! }

    /// What a scenario is about; the first is what charts show.
    public static func mains(of scenario: Scenario) -> [Metric] {
        let keys =
            switch scenario.groups.first?.arrival {
            // What went wrong on purpose decides the rest.
            case _ where !scenario.faults.isEmpty: ["errors", "p99"]
            case .once: ["idle", "burst"]
            case .closed where scenario.groups.allSatisfy(\.session.isServerless): ["cpu", "login50"]
            case .closed: ["cpu", "perSecond"]
            default: ["cpu", "p99"]
            }
        return keys.map(named)
    }

    private static func latency(_ name: String, _ part: KeyPath<Percentiles, Double> & Sendable) -> Metric {
        Metric(
            key: name, title: "latency \(name)", unit: "ms", lessIsBetter: true, places: 2,
            how:
                "HdrHistogram, three digits, of what succeeded or was not answered at all (that with its age); from when the transaction was due where arrivals are open, so free of coordinated omission; from sending where they are closed (saturated, bulk, logins)"
        ) { $0.total.latency.map { $0[keyPath: part] / 1000 } }
    }

    public func text(_ value: Double?) -> String {
        guard let value, value.isFinite else { return "-" }
        return places == 0 ? grouped(Int(value.rounded())) : fixed(value, value >= 100 ? 0 : value >= 10 ? min(places, 1) : places)
    }
}
