import LibpqLoop

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
        try Engine.checkFiles(clients: most, poolers: true)
        for pooler in plan.poolers { try Lab.checkProgram(of: pooler) }
        let lab = try Lab(cores: cores, tls: plan.tls, loop: loop, interrupted: interrupted)
        defer { lab.close() }
        say("starting PostgreSQL and \(plan.poolers.map(\.name).joined(separator: ", ")) in \(lab.folder)")
        try lab.startServer(tenants: tenants)
        // Nobody shares a core with the pooler whose turn it is, where there are enough of them.
        if let rest = cores.rest { Machine.pin(to: rest) }
        var targets = try plan.poolers.map { try start($0, in: lab) }
        // After faults a pooler may keep connections that are none any more, or wait before it tries again (PgBouncer: 15 s). The next
        // scenario is not about that.
        var stale: Set<Int> = []
        var comparison = Comparison(date: Machine.date, machine: facts(lab), how: how, base: plan.base, rounds: plan.rounds)
        var clock = ComparisonClock(plan)
        for scenario in plan.scenarios {
            var entry = Comparison.Entry(
                scenario: scenario,
                targets: plan.poolers.map { Comparison.TargetEntry(name: $0.name, runs: [], skipped: reason(against: $0, scenario)) })
            for round in 1...plan.rounds {
                for index in Self.order(of: targets.count, round: round) where entry.targets[index].skipped == nil && !interrupted() {
                    let behind = clock.behind(scenario, round: round, poolers: entry.targets.count { $0.skipped == nil })
                    let title =
                        "\(scenario.name), round \(round) of \(plan.rounds), \(plan.poolers[index].name) "
                        + "(about \(Progress.duration(behind + clock.length(scenario))) left)"
                    do {
                        // One that ended has its next chance in the next scenario. And memory that an earlier run left free in a
                        // pooler would hide what the next one takes.
                        if scenario.isBurst || stale.contains(index) || lab.ended(targets[index]) != nil {
                            lab.stop(targets[index])
                            stale.remove(index)
                            targets[index] = try start(plan.poolers[index], in: lab)
                        }
                        if !Machine.isTerminal { say(title) }
                        if !scenario.faults.isEmpty { stale = Set(targets.indices) }
                        let result = try play(
                            scenario, on: targets[index], spec: plan.poolers[index], lab: lab, title: title, behind: behind)
                        clock.ended(scenario)
                        entry.targets[index].runs.append(result)
                    } catch let failure as BenchFailure {
                        if case .interrupted = failure { continue }
                        if lab.ended(targets[index]) == nil { skip(&entry.targets[index], failure.description) }
                    }
                    if let words = lab.obituary(targets[index]) { skip(&entry.targets[index], words) }
                }
            }
            comparison.entries.append(entry)
            if interrupted() {
                comparison.isComplete = false
                break
            }
        }
        return comparison
    }

    /// Whose turn it is when: forwards and backwards by turns, and after each pair another one begins, so that nobody always comes
    /// first, or always after the same one.
    static func order(of count: Int, round: Int) -> [Int] {
        let first = (round - 1) / 2
        let order = (0..<count).map { ($0 + first) % count }
        return round % 2 == 1 ? order : order.reversed()
    }

    private var most: Int { plan.scenarios.map(\.clients).max() ?? 0 }
    private var tenants: Int { plan.scenarios.map(\.tenants).max() ?? 0 }

    private func start(_ pooler: PoolerSpec, in lab: Lab) throws -> Target {
        let oneToOne = plan.scenarios.map(\.clients).filter { $0 < Lab.serverConnections - 50 }.max() ?? 8
        return try lab.start(pooler, clients: pooler.kind == .pgpool ? oneToOne : most, tenants: tenants)
    }

    private func skip(_ target: inout Comparison.TargetEntry, _ reason: String) {
        target.skipped = reason
        say("  \(target.name): \(reason)")
    }

    private func play(_ scenario: Scenario, on target: Target, spec: PoolerSpec, lab: Lab, title: String, behind: Double) throws
        -> RunResult
    {
        var options = Engine.Options()
        options.adminURL = lab.adminURL
        options.restart = { try lab.restartServer() }
        options.countsOnlyUsed = true
        options.countSystemCalls = plan.countSystemCalls && spec.kind != .direct
        options.progress = plan.progress && Machine.isTerminal
        options.title = title
        options.secondsBehind = behind
        options.obituary = { lab.obituary(target) }
        if scenario.needsTables { try lab.tidyTables() }
        let result = try Engine(scenario, target: target, options: options, loop: loop, interrupted: interrupted).run()
        if result.outcome != .interrupted { try lab.awaitServer() }
        return result
    }

    private func reason(against spec: PoolerSpec, _ scenario: Scenario) -> String? {
        if spec.kind.isOneToOne, scenario.clients > Lab.serverConnections - 50 {
            return "needs a server connection for each of \(grouped(scenario.clients)) clients"
        }
        if plan.tls, spec.kind == .relay || spec.kind == .direct {
            return "TLS would be the server's, which has none here: all poolers speak plain to it"
        }
        return nil
    }

    private func say(_ text: String) { if plan.progress { Machine.say(text + "\n") } }

    private var how: [String] {
        [
            "All poolers stand before the same throwaway PostgreSQL (fsync off), in transaction mode with 20 server connections\(tenants > 0 ? " for each user and at most 80 in all" : ""), SCRAM on both sides (the user list of Sluice and PgBouncer holds the server's SCRAM secrets)\(plan.tls ? "; TLS to the clients (RSA 2048), none to the server" : ""). Sluice and PgBouncer try again a second after a login at the server failed (server_login_retry; both wait 15 s unless told), which shows in chaos only. pgpool2 and the relay give each client a server connection of its own; direct is PostgreSQL without a pooler."
                + (plan.poolers.contains { $0.kind == .command }
                    ? " A pooler that a command line names does as that and its own file say." : ""),
            "Each scenario is played on one after the other, \(plan.rounds) round\(plan.rounds == 1 ? "" : "s"), every other one backwards; figures are medians of the rounds, with the least and the most of them. The tables are tidied before each run that writes to them.",
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
        // What else ran: on a machine that was busy before the first run, believe CPU for each transaction, and no time.
        if let load = Machine.read("/proc/loadavg")?.split(separator: " ").first {
            facts.append(["load average before the first run", String(load)])
        }
        for pooler in plan.poolers where pooler.kind != .direct && pooler.kind != .relay {
            if pooler.kind == .command {
                let program = pooler.binary.split(separator: " ").first.map(String.init) ?? pooler.binary
                let version = Lab.path(of: program).flatMap { Machine.firstLine(of: [$0, "--version"]) }
                facts.append([pooler.name, (version.map { "\($0): " } ?? "") + "`\(pooler.binary)`"])
                continue
            }
            let binary = Lab.path(of: pooler.binary) ?? pooler.binary
            // Sluice's first line names the PgBouncer that it stands in for, the last one itself.
            let lines = Machine.lines(of: [binary, "--version"])
            facts.append([pooler.name, lines.first { $0.hasPrefix("Sluice ") } ?? lines.first ?? "unknown"])
        }
        return facts
    }
}
