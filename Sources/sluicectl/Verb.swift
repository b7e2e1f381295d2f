import ArgumentParser
import PostgresClient
import Terminal

/// A console command that does something.
protocol Verb: ParsableCommand {
    var connection: ConnectionOptions { get }
    var answer: AnswerOptions { get }
    /// What is sent to the console.
    func text() throws -> String
    /// The pooler ends as part of the command, so the connection ends without an answer.
    var endsConnection: Bool { get }
}

/// How a command without rows reports.
struct AnswerOptions: ParsableArguments {
    @Flag(help: "JSON: an object with the command's tag, or the rows as for show.")
    var json = false

    @Flag(name: [.short, .long], help: "Nothing on standard output when it went well.")
    var quiet = false

    /// What is printed of an answer without rows.
    static func tag(_ result: QueryResult, json: Bool) -> String {
        json ? JSONAnswer.text { $0.object { $0.member("tag", result.tag) } } : result.tag + "\n"
    }
}

extension Verb {
    var endsConnection: Bool { false }

    func run() throws {
        let session = try ConsoleSession(connection)
        let command = try text()
        do throws(CommandFailure) {
            report(try session.perform(command), session.notices())
        } catch {
            guard endsConnection, error.status == 2 else { throw error }
            var result = QueryResult()
            result.tag = "SHUTDOWN"
            report(result, session.notices())
        }
    }

    private func report(_ result: QueryResult, _ notices: [PostgresMessage]) {
        if answer.quiet { return }
        for notice in notices { Terminal.complain("\(notice.severity): \(TerminalText.sanitized(notice.message))") }
        if !result.columns.isEmpty {
            let text = answer.json ? JSONAnswer.rows(result) : TextTable(result).rendered(width: Terminal.size?.columns)
            Terminal.write(text)
        } else {
            Terminal.write(AnswerOptions.tag(result, json: answer.json))
        }
    }
}

/// NOTICEs in full, for SHOW HELP.
enum VerbNotices {
    static func text(_ notices: [PostgresMessage]) -> String {
        notices.map { notice in
            ([notice.message] + (notice.detail.map { [$0] } ?? [])).map { text in
                text.split(separator: "\n", omittingEmptySubsequences: false).map {
                    TerminalText.sanitized(String($0).replacing("\t", with: "  "))
                }
                .joined(separator: "\n") + "\n"
            }.joined()
        }.joined()
    }
}
