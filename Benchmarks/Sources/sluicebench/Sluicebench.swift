import ArgumentParser
import BenchKit
import Glibc
import LibpqLoop

@main
struct Sluicebench: ParsableCommand {
    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch {
            // What ArgumentParser finds wrong with the call ends with our status for that, and not with the 64 of sysexits.h.
            let status = exitCode(for: error)
            let text = fullMessage(for: error)
            if !text.isEmpty { Machine.say(text + "\n", to: status == .success ? 1 : 2) }
            Glibc.exit(status == .validationFailure ? 2 : status.rawValue)
        }
    }

    static let configuration = CommandConfiguration(
        commandName: "sluicebench",
        abstract: "Puts load on PostgreSQL and its connection poolers, checks every answer, and measures.",
        discussion: """
            A target is a connection URL of libpq's: postgres://user:password@host:port/database?sslmode=require

              sluicebench run steady-prepared --target postgres://app:app@127.0.0.1:6543/app --pid $(pgrep -x sluice)
              sluicebench compare --sluice .build/release/sluice --html report.html
              sluicebench verdict --target postgres://app:app@127.0.0.1:6543/app

            Exit status: 0 when all went well; 1 for a wrong answer or a missed service level; 2 for a wrong call; 3 when
            something that is needed does not work; 130 after Ctrl-C, when what was measured so far is printed.
            """,
        subcommands: [Run.self, Compare.self, VerdictCommand.self, Scenarios.self, Prepare.self])
}

/// What all commands share: one loop, and Ctrl-C as a value.
final class Session {
    let loop: Loop
    private var watch: SignalWatch?
    private(set) var isInterrupted = false

    init() throws {
        loop = try Loop()
        watch = SignalWatch(on: loop) { [unowned self] _ in isInterrupted = true }
    }

    /// Whether Ctrl-C was pressed; also outside the loop.
    func interrupted() -> Bool { isInterrupted }
}

/// Runs `body`, and turns what it throws into a message and an exit status.
func reporting(_ body: () throws -> Void) throws {
    do { try body() } catch let failure as BenchFailure {
        Machine.say("sluicebench: \(failure)\n")
        throw ExitCode(failure.exitStatus)
    } catch let failure as SystemFailure {
        Machine.say("sluicebench: \(failure)\n")
        throw ExitCode(3)
    }
}

/// Whether the files that are asked for can be written: better said before than after a quarter of an hour of load.
func checkFiles(_ paths: [String?]) throws {
    for path in paths.compactMap({ $0 }) where !Machine.canWrite(path) {
        throw BenchFailure.usage("cannot write \(path): \(String(cString: strerror(errno)))")
    }
}

/// Writes a file that was asked for.
func save(_ text: String, to path: String) throws {
    if !Machine.write(text, to: path) { throw BenchFailure.unavailable("cannot write \(path): \(String(cString: strerror(errno)))") }
}
