import PostgresClient
import Terminal

/// Rows and columns as text.
struct TextTable {
    struct Column {
        var name: String
        var isNumber: Bool
    }

    var columns: [Column]
    var rows: [[String]]

    private static let gap = 2
    /// No text column is made narrower than this before columns are left out.
    private static let narrowest = 8

    init(_ result: QueryResult) {
        columns = result.columns.map { Column(name: TerminalText.sanitized($0.name), isNumber: $0.isNumeric) }
        rows = result.rows.map { $0.map { TerminalText.sanitized($0 ?? "") } }
    }

    init(columns: [Column], rows: [[String]]) {
        self.columns = columns
        self.rows = rows
    }

    /// The table within `width` columns; nil: as wide as it gets.
    ///
    /// What does not fit goes in this order: columns that say nothing (empty or 0 in every row), the ends of long texts, columns from
    /// the right. The last line then says what is missing.
    func rendered(width: Int?) -> String {
        guard !columns.isEmpty else { return "" }
        var shown = Array(columns.indices)
        var widths = columns.indices.map { index in
            rows.reduce(TerminalText.width(columns[index].name)) { max($0, TerminalText.width($1[index])) }
        }
        if let width {
            func total() -> Int { shown.reduce(0) { $0 + widths[$1] } + Self.gap * (shown.count - 1) }
            while total() > width, let idle = shown.last(where: saysNothing) { shown.removeAll { $0 == idle } }
            while total() > width {
                let texts = shown.filter { !columns[$0].isNumber && widths[$0] > Self.narrowest }
                guard let widest = texts.max(by: { widths[$0] < widths[$1] }) else { break }
                widths[widest] -= 1
            }
            while total() > width, shown.count > 1 { shown.removeLast() }
            if let only = shown.first, shown.count == 1 { widths[only] = min(widths[only], width) }
        }
        var text = line(columns.map(\.name), shown, widths)
        for row in rows { text += line(row, shown, widths) }
        if shown.count < columns.count {
            let hidden = columns.indices.filter { !shown.contains($0) }.map { columns[$0].name }.joined(separator: " ")
            text += wrapped("(not shown: \(hidden); --wide, --expanded or --columns shows them)", width: width ?? .max)
        }
        return text
    }

    /// The first columns name the row; they stay.
    private func saysNothing(_ index: Int) -> Bool {
        index >= 2 && !rows.isEmpty && rows.allSatisfy { $0[index].isEmpty || $0[index] == "0" }
    }

    private func line(_ cells: [String], _ shown: [Int], _ widths: [Int]) -> String {
        var text = shown.map { TerminalText.fit(cells[$0], widths[$0], right: columns[$0].isNumber) }
            .joined(separator: String(repeating: " ", count: Self.gap))
        while text.last == " " { text.removeLast() }
        return text + "\n"
    }

    /// One line a column, a blank line between rows.
    func expanded() -> String {
        let widest = columns.reduce(0) { max($0, TerminalText.width($1.name)) }
        return rows.map { row in
            zip(columns, row).map { "\(TerminalText.fit($0.name, widest))  \($1)\n" }.joined()
        }.joined(separator: "\n")
    }

    private func wrapped(_ text: String, width: Int) -> String {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            if !line.isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = ""
            }
            line += (line.isEmpty ? "" : " ") + word
        }
        return (lines + [line]).joined(separator: "\n") + "\n"
    }
}
