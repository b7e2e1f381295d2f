/// How a run ended.
public enum Outcome: Codable, Sendable, Equatable {
    case complete
    case interrupted
    case died(String)
}

/// All figures of one run. Times in microseconds, where the name says nothing else.
public struct RunResult: Codable, Sendable {
    public var scenario: String
    public var summary: String
    public var target: String
    public var seed: UInt64
    /// Seconds of the measured window, as they really were.
    public var length: Double
    public var outcome: Outcome
    /// All arrivals are due at times that do not depend on answers: latency is free of coordinated omission.
    public var isOpenLoop = true
    public var isOnlyClosed = false
    /// All asked at once, so that memory before and after says something.
    public var isBurst = false
    /// Things were made to go wrong, so errors are no surprise.
    public var hasFaults = false
    public var total = GroupResult("total", clients: 0, Measurements(), length: 0)
    /// One for each group, where there is more than one.
    public var groups: [GroupResult] = []
    /// Clients that stay and were logged in when the load began, and still when the window ended.
    public var connected = 0
    /// Answers that did not belong to who got them; cancels that hit somebody else.
    public var strangers = 0
    public var strangerWords: [String] = []
    /// Rows that were compared with who had asked, warm-up and end included.
    public var rowsChecked = 0
    public var seconds: [SecondCount] = []
    /// Most connections that the server had in this database at once, asked four times a second.
    public var peakServers: Int?
    public var cpuSeconds: Double?
    public var cpuPerTransaction: Double?
    public var memory: MemoryResult?
    /// Calls for each transaction, by name.
    public var systemCalls: [String: Double]?
    /// p99 of what this program was late by itself, where that is more than a millisecond: it had too little CPU. `latency`
    /// contains it, `service` does not.
    public var generatorLate: Double?
    /// CPU of this program in the window, in cores: near 1 it was at its own limit, and times say more of it than of the target.
    public var generatorCPU: Double?
    public var notes: [String] = []

    public init(scenario: String, summary: String, target: String, seed: UInt64, length: Double, outcome: Outcome) {
        (self.scenario, self.summary, self.target) = (scenario, summary, target)
        (self.seed, self.length, self.outcome) = (seed, length, outcome)
    }

    /// Failed or unanswered, of all that were due.
    public var errorRate: Double {
        let all = total.succeeded + total.failed + total.unanswered
        return all == 0 ? 0 : Double(total.failed + total.unanswered) / Double(all)
    }

    /// Seconds in which something was due and nearly all of it (95 %) was answered in time, of those in which something was due.
    public var servedSeconds: Double {
        let busy = seconds.filter { $0.due > 0 }
        guard !busy.isEmpty else { return 0 }
        return Double(busy.count { Double($0.served) >= 0.95 * Double($0.due) }) / Double(busy.count)
    }
}

/// What one group of clients experienced.
public struct GroupResult: Codable, Sendable {
    public var name: String
    public var clients: Int
    public var succeeded: Int
    public var failed: Int
    public var unanswered: Int
    public var perSecond: Double
    public var latency: Percentiles?
    public var service: Percentiles?
    public var wait: Percentiles?
    public var lateness: Percentiles?
    public var login: Percentiles?
    public var errors: [ErrorCount]

    init(_ name: String, clients: Int, _ measured: Measurements, length: Double) {
        self.name = name
        self.clients = clients
        succeeded = measured.succeeded
        failed = measured.failed
        unanswered = measured.unanswered
        perSecond = length > 0 ? Double(measured.succeededInside) / length : 0
        latency = Percentiles(measured.latency)
        service = Percentiles(measured.service)
        wait = Percentiles(measured.wait)
        lateness = Percentiles(measured.lateness)
        login = Percentiles(measured.login)
        errors = measured.errors.map { ErrorCount(sqlState: $0.key, count: $0.value, message: measured.messages[$0.key] ?? "") }
            .sorted { ($1.count, $0.sqlState) < ($0.count, $1.sqlState) }
    }
}

public struct ErrorCount: Codable, Sendable, Equatable {
    public var sqlState: String
    public var count: Int
    /// The first message with this code.
    public var message: String
}

/// Bytes of the measured processes' own memory (anonymous pages).
public struct MemoryResult: Codable, Sendable, Equatable {
    public var before: Int?
    public var connected: Int?
    public var after: Int?
    public var clients: Int

    public var perIdleClient: Double? { each(connected) }
    public var perClientAfter: Double? { each(after) }

    private func each(_ bytes: Int?) -> Double? {
        guard let before, let bytes, clients > 0 else { return nil }
        return Double(bytes - before) / Double(clients)
    }
}
