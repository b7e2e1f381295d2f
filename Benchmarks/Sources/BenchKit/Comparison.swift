import LibpqLoop

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
    /// answered more than one question in a hundred with an error: then its figures are of something else.
    public func ratio(_ metric: Metric, _ target: TargetEntry, in entry: Entry) -> Figure? {
        guard metric.lessIsBetter != nil, let other = entry.targets.first(where: { $0.name == base(of: entry) }), !isFaulty(target),
            !isFaulty(other),
            let mine = figure(metric, target), let theirs = figure(metric, other), theirs.median > 0
        else { return nil }
        let rounds = zip(target.runs, other.runs).compactMap { mine, theirs -> Double? in
            guard let mine = metric.value(mine), let theirs = metric.value(theirs), theirs > 0 else { return nil }
            return mine / theirs
        }
        return Figure(median: mine.median / theirs.median, least: rounds.min() ?? .nan, most: rounds.max() ?? .nan)
    }

    /// What the others are divided by in one scenario: `base`, or where that is of no use the first that is.
    public func base(of entry: Entry) -> String {
        let useful = entry.targets.filter { !$0.runs.isEmpty && !isFaulty($0) }.map(\.name)
        if useful.contains(base) { return base }
        return useful.first { $0 == "relay" } ?? useful.last ?? base
    }

    public func isFaulty(_ target: TargetEntry) -> Bool {
        target.runs.contains { $0.outcome != .complete || ($0.errorRate > 0.01 && $0.scenario != "chaos") }
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

    public var strangers: Int { entries.flatMap(\.targets).flatMap(\.runs).reduce(0) { $0 + $1.strangers } }
}

/// Plays a comparison.
public final class Comparer {
    public struct Plan {
        public var scenarios: [Scenario]
        public var poolers: [PoolerSpec]
        public var rounds: Int
        public var base: String
        public var tls = false
        public var countSystemCalls = false
        public var progress = true

        public init(scenarios: [Scenario], poolers: [PoolerSpec], rounds: Int, base: String) {
            (self.scenarios, self.poolers, self.rounds, self.base) = (scenarios, poolers, rounds, base)
        }
    }

    private let plan: Plan
    private let cores: CoreBudget
    private let loop: Loop
    private let interrupted: () -> Bool

    public init(_ plan: Plan, cores: CoreBudget, loop: Loop, interrupted: @escaping () -> Bool) {
        (self.plan, self.cores, self.loop, self.interrupted) = (plan, cores, loop, interrupted)
    }

    /// Runs it all. After Ctrl-C it returns what there is; it throws when it cannot begin.
    public func run() throws -> Comparison {
        let most = plan.scenarios.map(\.clients).max() ?? 0
        try Engine.checkFiles(clients: most)
        let lab = try Lab(cores: cores, loop: loop, interrupted: interrupted)
        defer { lab.close() }
        let tenants = plan.scenarios.map(\.tenants).max() ?? 0
        say("starting PostgreSQL and \(plan.poolers.map(\.name).joined(separator: ", ")) in \(lab.folder)")
        try lab.startServer(tenants: tenants)
        let oneToOne = plan.scenarios.map(\.clients).filter { $0 < Lab.serverConnections - 50 }.max() ?? 8
        var targets: [(spec: PoolerSpec, target: Target)] = []
        for pooler in plan.poolers {
            targets.append(
                (pooler, try lab.start(pooler, clients: pooler.kind == .pgpool ? oneToOne : most, tenants: tenants, tls: plan.tls)))
        }
        var comparison = Comparison(date: Machine.date, machine: facts(lab), how: how, base: plan.base, rounds: plan.rounds)
        scenarios: for scenario in plan.scenarios {
            var entry = Comparison.Entry(
                scenario: scenario,
                targets: targets.map { Comparison.TargetEntry(name: $0.target.name, runs: [], skipped: reason(against: $0.spec, scenario)) }
            )
            for round in 1...plan.rounds {
                for (index, (spec, target)) in targets.enumerated() where entry.targets[index].skipped == nil {
                    let progress = "\(scenario.name), round \(round) of \(plan.rounds), \(target.name)"
                    if plan.progress, !Machine.isTerminal { say(progress) }
                    do {
                        // Memory that an earlier run left free in a pooler would hide what the next one takes.
                        if isAboutMemory(scenario) {
                            lab.stop(targets[index].target)
                            targets[index].target = try lab.start(
                                spec, clients: spec.kind == .pgpool ? oneToOne : most, tenants: tenants, tls: plan.tls)
                        }
                        let target = targets[index].target
                        let result = try play(scenario, on: target, spec: spec, lab: lab, title: progress)
                        entry.targets[index].runs.append(result)
                    } catch let failure as BenchFailure {
                        if case .interrupted = failure {
                        } else {
                            entry.targets[index].skipped = failure.description
                            say("  \(target.name): \(failure)")
                        }
                    }
                    if let status = lab.ended(targets[index].target) {
                        entry.targets[index].skipped = "the pooler ended by itself with status \(status)"
                        say("  \(target.name) ended by itself with status \(status)")
                    }
                    if interrupted() {
                        comparison.entries.append(entry)
                        comparison.isComplete = false
                        break scenarios
                    }
                }
            }
            comparison.entries.append(entry)
        }
        return comparison
    }

    private func isAboutMemory(_ scenario: Scenario) -> Bool {
        scenario.groups.contains { if case .once = $0.arrival { true } else { false } }
    }

    private func play(_ scenario: Scenario, on target: Target, spec: PoolerSpec, lab: Lab, title: String) throws -> RunResult {
        var options = Engine.Options()
        options.adminURL = lab.adminURL
        options.restart = { try lab.restartServer() }
        options.countsOnlyUsed = true
        options.countSystemCalls = plan.countSystemCalls && spec.kind != .direct
        options.progress = plan.progress && Machine.isTerminal
        let result = try Engine(scenario, target: target, options: options, loop: loop, interrupted: interrupted).run()
        try lab.awaitServer()
        return result
    }

    private func reason(against spec: PoolerSpec, _ scenario: Scenario) -> String? {
        if spec.kind.isOneToOne, scenario.clients > Lab.serverConnections - 50 {
            return "needs a server connection for each of \(grouped(scenario.clients)) clients"
        }
        if plan.tls, spec.kind == .relay || spec.kind == .direct || spec.kind == .pgpool { return "no TLS to be had here" }
        return nil
    }

    private func say(_ text: String) { if plan.progress { Machine.say(text + "\n") } }

    private var how: [String] {
        [
            "All poolers stand before the same throwaway PostgreSQL (fsync off), in transaction mode with 20 server connections, SCRAM on both sides (the user list of Sluice and PgBouncer holds the server's SCRAM secrets)\(plan.tls ? ", TLS to the clients" : ""). pgpool2 and the relay give each client a server connection of its own; direct is PostgreSQL without a pooler.",
            "Each scenario is played on one after the other, \(plan.rounds) rounds; figures are medians of the rounds, with the least and the most of them.",
            "Core budget: \(cores.words). A pooler of one thread gets a process for each core (PgBouncer with so_reuseport).",
            "Load, answers and clock: sluicebench, one process, libpq's asynchronous API on libevent.",
        ]
    }

    private func facts(_ lab: Lab) -> [[String]] {
        var facts = [
            ["date", Machine.date], ["processor", Machine.processor], ["cores", String(Machine.cores.count)],
            ["memory", "\(Machine.memoryGigabytes) GB"], ["system", "\(Machine.system), \(Machine.kernel)"],
            ["PostgreSQL", Machine.firstLine(of: [lab.programs + "/postgres", "--version"]) ?? "unknown"],
            ["libpq", "\(ConnectionString.libraryVersion / 10000).\(ConnectionString.libraryVersion % 10000)"],
        ]
        for pooler in plan.poolers where pooler.kind != .direct && pooler.kind != .relay {
            let binary = Lab.path(of: pooler.binary) ?? pooler.binary
            facts.append([pooler.name, Machine.firstLine(of: [binary, "--version"]) ?? "unknown"])
        }
        return facts
    }
}
