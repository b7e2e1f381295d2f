/// A load, as data: who connects, what they ask and when, and what goes wrong meanwhile. The same scenario with the same seed asks
/// the same things at the same times.
public struct Scenario: Codable, Sendable, Equatable {
    public var name: String
    public var summary: String
    public var seed: UInt64
    /// Length of the measured window.
    public var seconds: Double
    /// Load before the window, which no figure contains.
    public var warmup: Double
    /// A transaction that takes longer is given up, and counted as an error.
    public var timeout: Double = 30
    public var groups: [ClientGroup]
    public var faults: [Fault] = []

    public init(
        name: String, summary: String, seed: UInt64, seconds: Double, warmup: Double, timeout: Double = 30, groups: [ClientGroup],
        faults: [Fault] = []
    ) {
        (self.name, self.summary, self.seed, self.seconds, self.warmup, self.timeout) = (name, summary, seed, seconds, warmup, timeout)
        (self.groups, self.faults) = (groups, faults)
    }

    /// How many clients there are at once, at most.
    public var clients: Int { groups.reduce(0) { $0 + $1.clients } }

    /// Users besides the target's own that must exist.
    public var tenants: Int { groups.map(\.tenants).max() ?? 0 }

    /// Whether it needs the tables that `sluicebench prepare` makes.
    public var needsTables: Bool { groups.contains { $0.work.needsTables } }

    /// All ask at once, and what counts is the memory that they need before and after.
    public var isBurst: Bool { groups.contains { if case .once = $0.arrival { true } else { false } } }

    /// What is wrong with it, in words; nil when nothing is.
    public var problem: String? {
        if groups.isEmpty { return "groups: expected at least one group of clients" }
        if !(seconds > 0 && seconds <= 86400) { return "seconds: expected more than 0 and at most 86400, found \(seconds)" }
        if !(warmup >= 0 && warmup <= 3600) { return "warmup: expected 0 to 3600, found \(warmup)" }
        if !(timeout > 0 && timeout <= 3600) { return "timeout: expected more than 0 and at most 3600, found \(timeout)" }
        for group in groups {
            if let problem = group.problem { return "group \"\(group.name)\": \(problem)" }
        }
        for fault in faults {
            if let problem = fault.problem { return "faults: \(problem)" }
        }
        return nil
    }

    /// The same with a window of another length. What is to go wrong at some time in it, goes wrong at the same part of it.
    public func lasting(_ length: Double) -> Scenario {
        var changed = self
        changed.seconds = length
        changed.faults = faults.map { if case .restartServer(let at) = $0 { .restartServer(at: at * length / seconds) } else { $0 } }
        return changed
    }
}

/// Clients that are alike.
public struct ClientGroup: Codable, Sendable, Equatable {
    public var name: String
    public var clients: Int
    /// 0: all log in as the target's user. n: they are spread over the users sluicebench_1 to sluicebench_n, with its password.
    public var tenants: Int = 0
    public var arrival: Arrival
    public var session: Session = .staying
    public var work: Work
    public var mode: QueryMode = .simple

    public init(
        name: String, clients: Int, tenants: Int = 0, arrival: Arrival, session: Session = .staying, work: Work, mode: QueryMode = .simple
    ) {
        (self.name, self.clients, self.tenants, self.arrival) = (name, clients, tenants, arrival)
        (self.session, self.work, self.mode) = (session, work, mode)
    }

    var problem: String? {
        if !(1...50_000).contains(clients) { return "clients: expected 1 to 50000, found \(clients)" }
        if !(0...1000).contains(tenants) { return "tenants: expected 0 to 1000, found \(tenants)" }
        switch arrival {
        case .closed(let think): if !(think >= 0) { return "think: expected 0 or more seconds, found \(think)" }
        case .open(let rate, _):
            if !(rate > 0 && rate <= 1e6) { return "rate: expected more than 0 and at most 1000000 a second, found \(rate)" }
        case .storms(let size, let every, let within):
            if size < 1 || !(every > 0) || !(within >= 0 && within <= every) {
                return "storms: expected size of at least 1, every > 0, within of 0 to every, found \(size), \(every), \(within)"
            }
        case .once(let at): if !(at >= 0) { return "once: expected 0 or more seconds, found \(at)" }
        }
        if case .serverless(let least, let most, let share, let frozen) = session {
            if least < 1 || most < least { return "serverless: expected 1 <= least <= most, found \(least), \(most)" }
            if !(share >= 0 && share <= 1) { return "freezeShare: expected 0 to 1, found \(share)" }
            if !(frozen >= 0) { return "frozenSeconds: expected 0 or more, found \(frozen)" }
        }
        return work.problem
    }
}

/// When transactions are due.
public enum Arrival: Codable, Sendable, Equatable {
    /// Each client asks again `think` seconds after its answer. A slow answer delays the next question, so its latencies know
    /// nothing of those who would have come meanwhile.
    case closed(think: Double)
    /// `rate` a second for the whole group, whether or not answers come; latency counts from when a transaction was due.
    case open(rate: Double, spacing: Spacing)
    /// `size` at once (spread over `within` seconds), every `every` seconds.
    case storms(size: Int, every: Double, within: Double)
    /// One of each client, all at the same time, `at` seconds after the window began.
    case once(at: Double)

    public var isOpen: Bool {
        if case .closed = self { false } else { true }
    }
}

public enum Spacing: String, Codable, Sendable {
    /// As independent people come: exponential gaps.
    case poisson
    case even
}

/// How long a client stays.
public enum Session: Codable, Sendable, Equatable {
    case staying
    /// An instance of a function: connects, runs `least` to `most` transactions, leaves. `freezeShare` of them do not leave: they
    /// keep their connection, silent, for `frozenSeconds`, and then are gone without a farewell.
    case serverless(least: Int, most: Int, freezeShare: Double, frozenSeconds: Double)

    public var isServerless: Bool {
        if case .serverless = self { true } else { false }
    }
}

public enum QueryMode: String, Codable, Sendable, CaseIterable {
    case simple
    case extended
    case prepared
    case pipeline
}

/// What one transaction does. Every row that comes back carries the name of the one who asked, and is compared.
public indirect enum Work: Codable, Sendable, Equatable {
    /// One statement, one row.
    case select
    /// In pipeline mode, that many statements behind one Sync; else one after the other.
    case selects(Int)
    /// As TPC-B: three updates, a select, an insert, between BEGIN and COMMIT; `think` seconds in the middle.
    case tpcb(think: Double)
    /// A result of that many rows of 100 bytes.
    case result(rows: Int)
    case copyOut(rows: Int)
    case copyIn(rows: Int)
    /// The server is busy that long.
    case sleep(seconds: Double)
    /// One of these, by the seed.
    case mix([Work])

    var needsTables: Bool {
        switch self {
        case .tpcb: true
        case .mix(let parts): parts.contains { $0.needsTables }
        default: false
        }
    }

    var problem: String? {
        switch self {
        case .selects(let count): (1...1000).contains(count) ? nil : "selects: expected 1 to 1000, found \(count)"
        case .result(let rows), .copyOut(let rows), .copyIn(let rows):
            (1...10_000_000).contains(rows) ? nil : "rows: expected 1 to 10000000, found \(rows)"
        case .tpcb(let seconds), .sleep(let seconds): seconds >= 0 ? nil : "expected 0 or more seconds, found \(seconds)"
        case .mix(let parts): parts.isEmpty ? "mix: expected at least one kind of work" : parts.lazy.compactMap(\.problem).first
        case .select: nil
        }
    }
}

/// What goes wrong while the load runs, again and again.
public enum Fault: Codable, Sendable, Equatable {
    /// pg_terminate_backend for `count` of the server's connections in use.
    case killBackends(count: Int, every: Double)
    /// The server stops and starts, `at` seconds into the window.
    case restartServer(at: Double)
    /// Clients go without a farewell, in the middle of whatever they do; half of them with a reset.
    case clientsVanish(count: Int, every: Double)
    /// Clients cancel what they have asked.
    case cancels(count: Int, every: Double)

    var problem: String? {
        switch self {
        case .killBackends(let count, let every), .clientsVanish(let count, let every), .cancels(let count, let every):
            count >= 1 && every > 0 ? nil : "expected count of at least 1 and every > 0, found \(count) and \(every)"
        case .restartServer(let at): at >= 0 ? nil : "restartServer: expected 0 or more seconds, found \(at)"
        }
    }
}
