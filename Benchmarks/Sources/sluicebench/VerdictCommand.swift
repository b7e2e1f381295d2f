import ArgumentParser
import BenchKit
import LibpqLoop

struct VerdictCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verdict",
        abstract: "Does a pooler keep the service levels that deployments promise?",
        discussion: """
            Holds thousands of clients, asks at a steady rate, and sets target against measured. Without --target it starts
            Sluice before a throwaway PostgreSQL. Exits with 1 when a level is missed.
            """)

    @Option(help: "Connection URL of the pooler. Without it: a throwaway one.")
    var target: String?
    @Option(help: "Connection URL of the server itself, to count its connections.")
    var adminURL: String?
    @Option(help: "Sluice's binary, where there is no --target.")
    var sluice = ".build/release/sluice"
    @Option(help: "Clients that are logged in; the level is to hold them all.")
    var clients = 2000
    @Option(help: "Transactions a second.")
    var rate = 1000.0
    @Option(help: "Length of the measured window, in seconds.")
    var seconds = 30.0
    @Option(help: "Load before the window, in seconds.")
    var warmup = 3.0
    @Option(help: "Level: p95 of the latency, in milliseconds.")
    var p95 = 200.0
    @Option(help: "Level: errors, in percent.")
    var errors = 0.1
    @Option(help: "Level: seconds served, in percent.")
    var served = 99.9
    @Option(help: "Level: connections that the server has at once.")
    var servers = 20
    @Option(name: .customLong("pid"), help: "A process of the pooler's.")
    var pids: [Int32] = []
    @Option(help: "Seconds without any answer after which the target counts as dead.")
    var patience = 10.0
    @Option(help: "Write the verdict as JSON to a file.")
    var json: String?
    @Flag(help: "No progress while it runs.")
    var quiet = false

    func validate() throws {
        if !(p95 > 0 && errors > 0) { throw ValidationError("--p95 and --errors: expected more than 0.") }
        if !(0...100).contains(served) { throw ValidationError("--served: expected 0 to 100 percent.") }
        if servers < 1 { throw ValidationError("--servers: expected at least 1.") }
        if !(patience > 0) { throw ValidationError("--patience: expected more than 0 seconds.") }
    }

    func run() throws {
        try reporting {
            try checkFiles([json])
            let session = try Session()
            let scenario = Catalogue.verdict(clients: clients, rate: rate, seconds: seconds, warmup: warmup)
            if let problem = scenario.problem { throw BenchFailure.usage(problem) }
            var bounds = Verdict.Bounds()
            (bounds.p95, bounds.errors, bounds.seconds, bounds.clients, bounds.servers) = (p95, errors, served, clients, servers)
            var options = Engine.Options()
            options.progress = !quiet
            options.patience = patience
            var lab: Lab?
            defer { lab?.close() }
            let place: Target
            if let target {
                place = try Target(name: "target", url: target, pids: pids)
                options.adminURL = adminURL
            } else {
                let own = try Lab(cores: try CoreBudget(pooler: 1), loop: session.loop, interrupted: session.interrupted)
                lab = own
                try Engine.checkFiles(clients: clients, poolers: true)
                try own.startServer(tenants: 0)
                place = try own.start(PoolerSpec(name: "sluice", kind: .sluice, binary: sluice), clients: clients, tenants: 0)
                options.adminURL = own.adminURL
                options.obituary = { own.obituary(place) }
            }
            let result = try Engine(scenario, target: place, options: options, loop: session.loop, interrupted: session.interrupted).run()
            let verdict = Verdict(result, bounds)
            Machine.say(verdict.text(color: Machine.isTerminalOutput), to: 1)
            if let json { try save(try sluicebench.json(verdict), to: json) }
            if result.outcome == .interrupted { throw ExitCode(130) }
            if verdict.isMissed { throw ExitCode(1) }
        }
    }
}
