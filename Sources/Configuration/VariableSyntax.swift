/// `${NAME}` in a value, after `%expand_environment`.
///
/// `${NAME}` is the variable's value, `${NAME:-text}` the text where it is not set or empty, and `$$` one dollar sign. All other dollar
/// signs are themselves.
enum VariableSyntax {
    static func expand(_ text: String, variable: VariableReader) throws(InvalidValue) -> String {
        var result = ""
        var rest = text[...]
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            rest = rest[dollar...].dropFirst()
            if rest.first == "$" {
                result += "$"
                rest = rest.dropFirst()
                continue
            }
            guard rest.first == "{" else {
                result += "$"
                continue
            }
            guard let end = rest.firstIndex(of: "}") else { throw InvalidValue("\"${\" without \"}\": expected ${NAME} or ${NAME:-text}") }
            result += try value(rest[..<end].dropFirst(), variable)
            rest = rest[end...].dropFirst()
        }
        return result + rest
    }

    private static func value(_ inside: Substring, _ variable: VariableReader) throws(InvalidValue) -> String {
        let name = inside.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
        let fallback = inside.dropFirst(name.count)
        guard !name.isEmpty, name.first?.isNumber == false, fallback.isEmpty || fallback.hasPrefix(":-") else {
            throw InvalidValue("\"${\(inside)}\" is no variable: expected ${NAME} or ${NAME:-text}")
        }
        let value = variable(String(name)) ?? ""
        if value.isEmpty {
            guard !fallback.isEmpty else {
                throw InvalidValue("the environment variable \(name) is not set: set it, or write ${\(name):-} for an empty text")
            }
            return String(fallback.dropFirst(2))
        }
        // It would begin another line, with whatever setting it likes.
        guard !value.utf8.contains(UInt8(ascii: "\n")), !value.utf8.contains(UInt8(ascii: "\r")) else {
            throw InvalidValue("the environment variable \(name) has more than one line: expected one")
        }
        return value
    }
}
