import ArgumentParser
import BenchKit
import Foundation
import LibpqLoop

struct Compare: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Plays scenarios on several poolers before one throwaway PostgreSQL, in turn, in rounds.",
        discussion: """
            Starts its own PostgreSQL and poolers on free ports of 127.0.0.1, in a temporary folder, and leaves nothing behind. A
            pooler is KIND, KIND=BINARY or NAME:KIND=BINARY, of the kinds sluice, pgbouncer, pgpool, relay (the cheapest proxy
            there can be) and direct (no pooler). Without --pooler: sluice, and what is installed of the others.

            Any other pooler is NAME:command='its command line', where {port} stands for the port that it is to listen on, and {config}
            for the file of --config NAME:FILE with everything in braces filled in: {port}, {server_host}, {server_port}, {database},
            {user}, {password}, {secret} (the user's SCRAM secret), {userlist} (a file as PgBouncer's), {pool_size}, {clients}, {cores},
            {folder} (for its own files), {certificate}, {key}. It has to stay in the foreground.

            Ends with 1 when a pooler of the kind sluice gave a wrong answer. What the others did is in the report: to find that
            out is what a comparison is for.

              sluicebench compare steady logins idle --html report.html
              sluicebench compare saturated --pooler new:sluice=./sluice --pooler old:sluice=./sluice.old --base old
            """)

    @Argument(help: "Names of scenarios; without one: steady, saturated, transactions, bulk, logins, idle.")
    var names: [String] = []
    @Option(name: .customLong("file"), help: "A scenario of your own, as JSON.")
    var files: [String] = []
    @Option(name: .customLong("pooler"), help: "A pooler to measure.")
    var poolers: [String] = []
    @Option(help: "Sluice's binary, where --pooler does not say.")
    var sluice = ".build/release/sluice"
    @Option(help: ArgumentHelp("A line for one pooler's configuration file.", valueName: "NAME:LINE"))
    var extra: [String] = []
    @Option(help: ArgumentHelp("The configuration file of a pooler of the kind command.", valueName: "NAME:FILE"))
    var config: [String] = []
    @Option(help: "The pooler that the others are divided by. Default: pgbouncer when it is there, else the last.")
    var base: String?
    @Option(help: "How often each is measured.")
    var rounds = 3
    @Option(help: "Cores for each pooler.")
    var cores = 1
    @Flag(help: "TLS between clients and poolers.")
    var tls = false
    @Flag(help: "Count system calls with strace, after each window.")
    var systemCalls = false
    @Option(help: "Write a web page with charts to a file.")
    var html: String?
    @Option(help: "Write all runs as JSON to a file.")
    var json: String?
    @Option(help: "Write the tables as Markdown to a file.")
    var markdown: String?
    @Option(help: "Heading of the Markdown page.")
    var title = "Benchmarks"
    @Flag(help: "No progress while it runs.")
    var quiet = false
    @OptionGroup var changes: Changes

    func validate() throws {
        if !(1...1000).contains(rounds) { throw ValidationError("--rounds: expected 1 to 1000.") }
    }

    func run() throws {
        try reporting {
            try checkFiles([json, html, markdown])
            let session = try Session()
            let names =
                self.names.isEmpty && files.isEmpty ? ["steady", "saturated", "transactions", "bulk", "logins", "idle"] : self.names
            let specs = try pickedPoolers()
            let base = base ?? specs.first { $0.kind == .pgbouncer }?.name ?? specs.last!.name
            guard specs.contains(where: { $0.name == base }) else { throw BenchFailure.usage("--base \(base): no pooler has that name") }
            var plan = Comparer.Plan(scenarios: try chosen(names, files, changes), poolers: specs, rounds: rounds, base: base)
            plan.tls = tls
            plan.countSystemCalls = systemCalls
            plan.progress = !quiet
            let comparison = try Comparer(plan, cores: try CoreBudget(pooler: cores), loop: session.loop, interrupted: session.interrupted)
                .run()
            Machine.say(ComparisonText.table(comparison, width: Machine.outputWidth), to: 1)
            if let json { try save(try sluicebench.json(comparison), to: json) }
            if let html { try save(HTMLReport.page(comparison), to: html) }
            if let markdown {
                let page = ComparisonText.markdown(
                    comparison, command: (["sluicebench"] + CommandLine.arguments.dropFirst()).map(quoted).joined(separator: " "),
                    title: title)
                try save(page, to: markdown)
            }
            if !comparison.isComplete { throw ExitCode(130) }
            let ours = Set(specs.filter { $0.kind == .sluice }.map(\.name))
            if comparison.strangers(of: ours) > 0 { throw ExitCode(1) }
            // Without one run that came to its end there is nothing to compare.
            if comparison.entries.allSatisfy({ $0.targets.allSatisfy { $0.runs.isEmpty } }) { throw ExitCode(3) }
        }
    }

    /// A word as a shell has to be given it.
    private func quoted(_ word: String) -> String {
        let isPlain = !word.isEmpty && word.allSatisfy { $0.isLetter || $0.isNumber || "-_./:=,@%+".contains($0) }
        return isPlain ? word : "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }

    private func pickedPoolers() throws -> [PoolerSpec] {
        var specs: [PoolerSpec]
        if poolers.isEmpty {
            specs = [PoolerSpec(name: "sluice", kind: .sluice, binary: sluice)]
            for kind in [PoolerSpec.Kind.pgbouncer, .pgpool, .relay] where Lab.path(of: binary(of: kind)) != nil {
                specs.append(PoolerSpec(name: kind.rawValue, kind: kind, binary: binary(of: kind)))
            }
            specs.append(PoolerSpec(name: "direct", kind: .direct, binary: ""))
        } else {
            specs = try poolers.map { try PoolerSpec($0, defaults: binary) }
        }
        for line in extra {
            let parts = line.split(separator: ":", maxSplits: 1).map(String.init)
            guard parts.count == 2, let index = specs.firstIndex(where: { $0.name == parts[0] }) else {
                throw BenchFailure.usage("--extra \(line): expected NAME:LINE, with the name of a pooler")
            }
            specs[index].extra.append(parts[1].trimmingCharacters(in: .whitespaces))
        }
        for option in config {
            let parts = option.split(separator: ":", maxSplits: 1).map(String.init)
            guard parts.count == 2, let index = specs.firstIndex(where: { $0.name == parts[0] && $0.kind == .command }) else {
                throw BenchFailure.usage("--config \(option): expected NAME:FILE, with the name of a pooler of the kind command")
            }
            guard let text = Machine.read(parts[1]) else {
                throw BenchFailure.usage("--config \(option): cannot read \(parts[1]): \(String(cString: strerror(errno)))")
            }
            specs[index].template = text
        }
        for spec in specs where spec.kind == .command && spec.template == nil {
            if spec.binary.contains("{config}") {
                throw BenchFailure.usage("--pooler \(spec.name): {config} needs --config \(spec.name):FILE")
            }
            if !spec.extra.isEmpty { throw BenchFailure.usage("--extra \(spec.name): lines need a file, --config \(spec.name):FILE") }
        }
        if Set(specs.map(\.name)).count < specs.count {
            throw BenchFailure.usage("--pooler: two have the same name; give one NAME:KIND=BINARY")
        }
        return specs
    }

    private func binary(of kind: PoolerSpec.Kind) -> String {
        switch kind {
        case .sluice: sluice
        case .pgbouncer: "pgbouncer"
        case .pgpool: "pgpool"
        case .relay: relayBesideUs
        case .direct, .command: ""
        }
    }

    /// The relay is built into the same folder as this program.
    private var relayBesideUs: String {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        return own.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/") + "/sluicebench-relay"
    }
}
