import ArgumentParser
import PostgresClient
import Terminal

/// `sluicectl show TOPIC`.
struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what the pooler knows about a topic.",
        discussion: Topic.list + "\n\n`sluicectl show TOPIC --help` tells what a topic shows.")

    @Argument(help: ArgumentHelp("What to show, as listed above.", valueName: "TOPIC"))
    var topic: Topic

    @Option(
        name: .customLong("where"), help: ArgumentHelp("Only rows with this value; may be given several times.", valueName: "COLUMN=VALUE"))
    var conditions: [String] = []

    @Option(name: .customLong("order-by"), help: ArgumentHelp("Sort; `:desc` behind the name turns the order.", valueName: "COLUMN[:desc]"))
    var order: String?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let selection = try RowSelection(conditions, order: order)
        try Question(text: "SHOW \(topic.name)", title: "sluicectl show \(topic.name)", connection: connection, output: output)
            .run { (answer) throws(CommandFailure) in try selection.applied(to: answer) }
    }
}

/// Something that is asked and shown, once or again and again.
struct Question {
    /// What is sent.
    let text: String
    /// What stands above the answers.
    let title: String
    let connection: ConnectionOptions
    let output: OutputOptions

    /// Asks until `--watch` is over; `select` chooses from each answer.
    func run(_ select: (QueryResult) throws(CommandFailure) -> QueryResult) throws(CommandFailure) {
        let session = try ConsoleSession(connection)
        repeat {
            let answer = try session.show(text)
            var text = try output.text(try select(answer))
            if answer.columns.isEmpty { text = VerbNotices.text(session.notices()) }
            if output.watch != nil, Terminal.isOutput {
                let title = "\(title): every \(output.watch ?? 0) s, Ctrl-C ends"
                text = "\u{1b}[H\u{1b}[2J\(TerminalText.sanitized(title))\n\n" + Self.top(text, lines: Terminal.size.map { $0.rows - 3 })
            }
            guard Terminal.write(text) else { return }
            if let seconds = output.watch { try session.pause(seconds: seconds) }
        } while output.watch != nil
    }

    /// The first lines of a text, with a word about the rest.
    private static func top(_ text: String, lines limit: Int?) -> String {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard let limit, lines.count > limit, limit > 1 else { return text }
        return lines[..<(limit - 1)].joined(separator: "\n") + "\n(\(lines.count - limit) more lines)\n"
    }
}

/// `--where` and `--order-by`.
struct RowSelection {
    private var conditions: [(column: String, value: String)] = []
    private var order: (column: String, isDescending: Bool)?

    init(_ conditions: [String], order: String?) throws {
        for condition in conditions {
            guard let equals = condition.firstIndex(of: "=") else {
                throw ValidationError("--where \(condition): expected COLUMN=VALUE")
            }
            self.conditions.append((String(condition[..<equals]), String(condition[condition.index(after: equals)...])))
        }
        if let order {
            let parts = order.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count <= 2, parts.count == 1 || ["asc", "desc"].contains(parts[1].lowercased()) else {
                throw ValidationError("--order-by \(order): expected COLUMN, COLUMN:asc or COLUMN:desc")
            }
            self.order = (String(parts[0]), parts.last?.lowercased() == "desc" && parts.count == 2)
        }
    }

    func applied(to result: QueryResult) throws(CommandFailure) -> QueryResult {
        var result = result
        for (column, value) in conditions {
            let index = try position(of: column, in: result, "--where")
            result.rows.removeAll { ($0[index] ?? "") != value }
        }
        if let order {
            let index = try position(of: order.column, in: result, "--order-by")
            let isNumber = result.columns[index].isNumeric
            result.rows.sort { left, right in
                let (first, second) = order.isDescending ? (right[index], left[index]) : (left[index], right[index])
                guard isNumber else { return (first ?? "") < (second ?? "") }
                return (first.flatMap { Double($0) } ?? 0) < (second.flatMap { Double($0) } ?? 0)
            }
        }
        return result
    }

    private func position(of column: String, in result: QueryResult, _ option: String) throws(CommandFailure) -> Int {
        if let index = result.index(of: column) { return index }
        let names = result.columns.map(\.name).joined(separator: ", ")
        throw CommandFailure(status: 1, "\(option): there is no column \"\(column)\": expected one of \(names)")
    }
}
