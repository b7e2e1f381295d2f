import JSON
import PostgresClient

/// What `--json` prints.
enum JSONAnswer {
    /// One value, and the end of its line.
    static func text(_ body: (inout JSONWriter) -> Void) -> String {
        var json = JSONWriter()
        body(&json)
        return json.text + "\n"
    }

    /// An array of objects in the order of the columns, each on a line. A column of a numeric type gives numbers.
    static func rows(_ result: QueryResult) -> String {
        text { json in
            json.lines { json in
                for row in result.rows {
                    json.object { json in
                        for (column, value) in zip(result.columns, row) {
                            json.key(column.name)
                            if let value, column.isNumeric, isNumber(value) { json.value(json: value) } else { json.value(value) }
                        }
                    }
                }
            }
        }
    }

    /// NaN and Infinity are numbers of PostgreSQL's but not of JSON's.
    static func isNumber(_ text: String) -> Bool {
        var rest = Substring(text)
        if rest.first == "-" { rest.removeFirst() }
        let whole = rest.prefix { $0.isASCII && $0.isNumber }
        guard !whole.isEmpty, whole == "0" || whole.first != "0" else { return false }
        rest = rest.dropFirst(whole.count)
        guard rest.first == "." else { return rest.isEmpty }
        let fraction = rest.dropFirst()
        return !fraction.isEmpty && fraction.allSatisfy { $0.isASCII && $0.isNumber }
    }
}
