import PostgresClient

/// JSON, written.
enum JSONText {
    /// An array of objects in the order of the columns. A column of a numeric type gives numbers.
    static func rows(_ result: QueryResult) -> String {
        let rows = result.rows.map { row in
            let members = zip(result.columns, row).map { "\(string($0.name)): \(value($1, isNumber: $0.isNumeric))" }
            return "{\(members.joined(separator: ", "))}"
        }
        return "[\(rows.joined(separator: ",\n "))]"
    }

    /// An object of texts, in this order.
    static func object(_ members: [(String, String)]) -> String {
        "{\(members.map { "\(string($0)): \($1)" }.joined(separator: ", "))}"
    }

    private static func value(_ text: String?, isNumber: Bool) -> String {
        guard let text else { return "null" }
        return isNumber && isJSONNumber(text) ? text : string(text)
    }

    /// NaN and Infinity are numbers of PostgreSQL's but not of JSON's.
    static func isJSONNumber(_ text: String) -> Bool {
        var rest = Substring(text)
        if rest.first == "-" { rest.removeFirst() }
        let whole = rest.prefix { $0.isASCII && $0.isNumber }
        guard !whole.isEmpty, whole == "0" || whole.first != "0" else { return false }
        rest = rest.dropFirst(whole.count)
        guard rest.first == "." else { return rest.isEmpty }
        let fraction = rest.dropFirst()
        return !fraction.isEmpty && fraction.allSatisfy { $0.isASCII && $0.isNumber }
    }

    /// A text in quotes.
    static func string(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 32 || scalar.value == 127:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
