import ArgumentParser
import PostgresClient
import Terminal

/// How rows are shown.
struct OutputOptions: ParsableArguments {
    @Flag(help: "JSON: an array of objects, one a row; numbers as numbers, NULL as null.")
    var json = false

    @Flag(help: "Tables at full width, whatever the terminal's.")
    var wide = false

    @Flag(name: [.customShort("x"), .customLong("expanded")], help: "One line a column, as psql's \\x.")
    var expanded = false

    @Option(help: ArgumentHelp("Only these columns, in this order, with commas.", valueName: "NAMES"))
    var columns: String?

    @Option(name: [.customShort("n"), .long], help: ArgumentHelp("Ask again every N seconds until Ctrl-C.", valueName: "N"))
    var watch: Double?

    mutating func validate() throws {
        if let watch, !(watch >= 0.1 && watch <= 86_400) { throw ValidationError("--watch: expected seconds, from 0.1 on") }
        if json, expanded { throw ValidationError("--json and --expanded exclude each other") }
    }

    /// The answer as it is printed.
    func text(_ result: QueryResult) throws(CommandFailure) -> String {
        let result = try chosen(result)
        if json { return JSONAnswer.rows(result) }
        let table = TextTable(result)
        if expanded { return table.expanded() }
        return table.rendered(width: wide ? nil : Terminal.size?.columns)
    }

    private func chosen(_ result: QueryResult) throws(CommandFailure) -> QueryResult {
        guard let columns else { return result }
        var indices: [Int] = []
        for name in columns.split(separator: ",") {
            guard let index = result.index(of: String(name)) else {
                let names = result.columns.map(\.name).joined(separator: ", ")
                throw CommandFailure(status: 1, "--columns: there is no column \"\(name)\": expected some of \(names)")
            }
            indices.append(index)
        }
        var chosen = result
        chosen.columns = indices.map { result.columns[$0] }
        chosen.rows = result.rows.map { row in indices.map { row[$0] } }
        return chosen
    }
}
