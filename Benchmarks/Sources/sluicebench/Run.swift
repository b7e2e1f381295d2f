import ArgumentParser
import BenchKit
import Foundation
import LibpqLoop

/// Changes to scenarios, for every command that plays some.
struct Changes: ParsableArguments {
    @Option(help: "Length of the measured window, in seconds.")
    var seconds: Double?
    @Option(help: "Load before the window, in seconds.")
    var warmup: Double?
    @Option(help: "Number of clients. Several groups share it as they share theirs.")
    var clients: Int?
    @Option(help: "Arrivals a second. Several groups share it as they share theirs.")
    var rate: Double?
    @Option(help: "Seed: the same one asks the same things at the same times.")
    var seed: UInt64?
    @Option(help: "Seconds after which a transaction is given up.")
    var timeout: Double?

    func apply(to scenario: Scenario) throws -> Scenario {
        var changed = scenario
        if let seconds { changed = changed.lasting(seconds) }
        if let warmup { changed.warmup = warmup }
        if let seed { changed.seed = seed }
        if let timeout { changed.timeout = timeout }
        if let clients {
            guard (1...50_000).contains(clients) else { throw BenchFailure.usage("--clients: expected 1 to 50000, found \(clients)") }
            let all = Double(max(1, scenario.clients))
            for index in changed.groups.indices {
                changed.groups[index].clients = max(1, Int((Double(changed.groups[index].clients) / all * Double(clients)).rounded()))
            }
        }
        if let rate {
            let all = scenario.groups.reduce(0.0) { if case .open(let rate, _) = $1.arrival { $0 + rate } else { $0 } }
            guard all > 0 else { throw BenchFailure.usage("--rate: no group of \(scenario.name) has open arrivals") }
            for index in changed.groups.indices {
                if case .open(let old, let spacing) = changed.groups[index].arrival {
                    changed.groups[index].arrival = .open(rate: old / all * rate, spacing: spacing)
                }
            }
        }
        // The summary speaks of the numbers that the scenario came with.
        let words = [clients.map { "--clients \($0)" }, rate.map { "--rate \($0.formatted(.number.grouping(.never)))" }].compactMap { $0 }
        if !words.isEmpty { changed.summary += "; here with " + words.joined(separator: " ") }
        if let problem = changed.problem { throw BenchFailure.usage("scenario \"\(changed.name)\": \(problem)") }
        return changed
    }
}

/// The scenarios of some names and files.
func chosen(_ names: [String], _ files: [String], _ changes: Changes) throws -> [Scenario] {
    var result: [Scenario] = []
    for name in names {
        let found = Catalogue.named(name)
        if found.isEmpty {
            throw BenchFailure.usage(
                "no scenario is called \"\(name)\"; there are \(Catalogue.all.map(\.name).joined(separator: ", ")), and the families steady and saturated"
            )
        }
        result += found
    }
    for file in files {
        guard let text = Machine.read(file) else {
            throw BenchFailure.usage("cannot read the scenario \(file): \(String(cString: strerror(errno)))")
        }
        do { result.append(try JSONDecoder().decode(Scenario.self, from: Data(text.utf8))) } catch let error as DecodingError {
            throw BenchFailure.usage("scenario \(file): \(explain(error))")
        }
    }
    return try result.map { try changes.apply(to: $0) }
}

/// Where and what, in words.
func explain(_ error: DecodingError) -> String {
    func place(_ path: [any CodingKey]) -> String { path.isEmpty ? "at the top" : "at " + path.map(\.stringValue).joined(separator: ".") }
    switch error {
    case .keyNotFound(let key, let context): return "\"\(key.stringValue)\" is missing \(place(context.codingPath))"
    case .typeMismatch(_, let context), .valueNotFound(_, let context): return "\(context.debugDescription) \(place(context.codingPath))"
    case .dataCorrupted(let context):
        let detail = (context.underlyingError as NSError?)?.userInfo["NSDebugDescription"] as? String
        return "\(detail ?? context.debugDescription) \(place(context.codingPath))"
    @unknown default: return "\(error)"
    }
}

func json(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
}

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Plays scenarios on one target.",
        discussion: "Give the pooler's process with --pid (several: once each), and its CPU and memory are measured too.")

    @Argument(help: "Names of scenarios (see `sluicebench scenarios`).")
    var names: [String] = []
    @Option(name: .customLong("file"), help: "A scenario of your own, as JSON.")
    var files: [String] = []
    @Option(help: "Connection URL of the pooler or server under load.")
    var target: String
    @Option(name: .customLong("pid"), help: "A process of the pooler's; what it started counts too.")
    var pids: [Int32] = []
    @Option(help: "Connection URL of the server itself, as superuser: for chaos, and to count its connections.")
    var adminURL: String?
    @Option(help: "Command that restarts the server, for chaos; must return at once.")
    var restartCommand: String?
    @Flag(help: "Count the pooler's system calls with strace, after the window. Needs --pid.")
    var systemCalls = false
    @Option(help: "Seconds without any answer after which the target counts as dead.")
    var patience = 10.0
    @Option(help: "Write the results as JSON to a file.")
    var json: String?
    @Flag(help: "No progress while it runs.")
    var quiet = false
    @OptionGroup var changes: Changes

    func validate() throws {
        if names.isEmpty, files.isEmpty { throw ValidationError("Which scenario? `sluicebench scenarios` lists them.") }
        if systemCalls, pids.isEmpty { throw ValidationError("--system-calls needs --pid.") }
        if !(patience > 0) { throw ValidationError("--patience: expected more than 0 seconds.") }
    }

    func run() throws {
        try reporting {
            try checkFiles([json])
            let session = try Session()
            let scenarios = try chosen(names, files, changes)
            let target = try Target(name: "target", url: target, pids: pids)
            var options = Engine.Options()
            options.adminURL = adminURL
            options.countSystemCalls = systemCalls
            options.progress = !quiet
            options.patience = patience
            var results: [RunResult] = []
            do {
                for (index, scenario) in scenarios.enumerated() {
                    options.secondsBehind = scenarios[(index + 1)...].reduce(0) { $0 + $1.warmup + $1.seconds }
                    let restarts = RestartCommand(restartCommand)
                    options.restart = restarts.map { restarts in { try restarts.start() } }
                    let engine = try Engine(
                        scenario, target: target, options: options, loop: session.loop, interrupted: session.interrupted)
                    var result = try engine.run()
                    if let words = restarts?.problem() { result.notes.append(words) }
                    results.append(result)
                    Machine.say(TextReport.run(result), to: 1)
                    if result.outcome != .complete { break }
                }
            } catch {
                // What was measured before that is not lost.
                if let json, !results.isEmpty { try save(try sluicebench.json(results), to: json) }
                throw error
            }
            if let json { try save(try sluicebench.json(results), to: json) }
            try throwStatus(of: results)
        }
    }
}

/// The command of --restart-command, and what becomes of it.
private final class RestartCommand {
    private let command: String
    private var children: [Child] = []

    /// nil without a command.
    init?(_ command: String?) {
        guard let command else { return nil }
        self.command = command
    }

    func start() throws { children.append(try Child(["/bin/sh", "-c", command], name: "restart")) }

    /// What went wrong with it, once the run is over; nil when nothing did. One that still runs is ended.
    func problem() -> String? {
        for child in children {
            if !child.wait(atMost: 10) {
                child.stop()
                return "the command that restarts the server (\(command)) did not end, and was ended"
            }
            if let status = child.poll(), status != 0 {
                return "the command that restarts the server (\(command)) ended with status \(status)"
            }
        }
        return nil
    }
}

/// Ends the program with the status that the results call for.
func throwStatus(of results: [RunResult]) throws {
    if results.contains(where: { $0.outcome == .interrupted }) { throw ExitCode(130) }
    if results.contains(where: { if case .died = $0.outcome { true } else { false } }) { throw ExitCode(3) }
    if results.contains(where: { $0.strangers > 0 }) { throw ExitCode(1) }
}

struct Scenarios: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Lists the scenarios, or prints one as JSON.")

    @Argument(help: "The one to print.")
    var name: String?

    func run() throws {
        try reporting {
            guard let name else {
                print(
                    TextReport.table(Catalogue.all.map { [$0.name, ""] + [$0.summary] }.map { [$0[0].padded(20) + $0[2]] }), terminator: "")
                return
            }
            guard let scenario = Catalogue.all.first(where: { $0.name == name }) else {
                throw BenchFailure.usage("no scenario is called \"\(name)\"")
            }
            print(try json(scenario), terminator: "")
        }
    }
}

extension String {
    func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
}

struct Prepare: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Makes the tables (and users) that scenarios need, in the schema sluicebench.",
        discussion: "Drops and makes the schema \"sluicebench\" anew. --tenants needs the right to create roles; `mixed` wants 30 of them.")

    @Option(help: "Connection URL of the server; its user will own the tables.")
    var target: String
    @Option(help: "Also make the users sluicebench_1 to sluicebench_N.")
    var tenants = 0
    @Option(help: "Their password; must be the one of the URL that the load will use.")
    var tenantPassword: String?

    func validate() throws {
        if tenants > 0, tenantPassword == nil { throw ValidationError("--tenants needs --tenant-password.") }
        if !(0...1000).contains(tenants) { throw ValidationError("--tenants: expected 0 to 1000.") }
    }

    func run() throws {
        try reporting {
            let session = try Session()
            let target = try Target(name: "target", url: target)
            try Preparation.run(
                on: target, tenants: tenants, password: tenantPassword ?? "", loop: session.loop, interrupted: session.interrupted)
            print("prepared \(target.database) at \(target.address)\(tenants > 0 ? ", and \(tenants) users" : "")")
        }
    }
}
