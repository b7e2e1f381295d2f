/// A token of a text, with the value that it has.
enum SQLToken: Equatable {
    /// A key word or an identifier without quotes, in lower case.
    case word(String)
    /// An identifier that stood in quotes.
    case quoted(String)
    /// A string; nil where its value is not certain: it has escapes, or bytes that are no UTF-8.
    case string(String?)
    case number(String)
    case symbol(UInt8)
    case semicolon
    case end
    /// What can't be read: a comment, string or name without an end, or a name that is empty or not UTF-8 (unless `takesBytes`).
    case broken

    static let equalsSign = SQLToken.symbol(UInt8(ascii: "="))
    static let comma = SQLToken.symbol(UInt8(ascii: ","))
    static let dot = SQLToken.symbol(UInt8(ascii: "."))
    static let opening = SQLToken.symbol(UInt8(ascii: "("))
    static let closing = SQLToken.symbol(UInt8(ascii: ")"))

    var identifier: String? {
        switch self {
        case .word(let name), .quoted(let name): name
        default: nil
        }
    }
}
