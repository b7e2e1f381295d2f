/// What the text of a prepared statement tells of its parameters and columns without a look into the catalogue.
public struct StatementShape: Equatable, Sendable {
    /// How many parameters it has. Nil: that can't be read.
    public let parameters: Int?
    /// It returns no rows, for certain.
    public let hasNoColumns: Bool

    /// Looks at the text in `range`. `escapes`: a backslash escapes in ordinary strings (`standard_conforming_strings = off`).
    public static func read(_ bytes: Span<UInt8>, _ range: Range<Int>, escapes: Bool) -> StatementShape {
        guard bytes.holds(range) else { return StatementShape(parameters: nil, hasNoColumns: false) }
        var tokens = SQLTokens(bytes.extracting(range), escapes: escapes)
        var most = 0
        var first: String?
        var returns = false
        var isEmpty = true
        while true {
            let token = tokens.next()
            switch token {
            case .end:
                let hasNoColumns = isEmpty || (first.map { silent.contains($0) } ?? false && !returns)
                return StatementShape(parameters: most, hasNoColumns: hasNoColumns)
            case .broken:
                return StatementShape(parameters: nil, hasNoColumns: false)
            case .semicolon:
                continue
            case .word(let word):
                if isEmpty { first = word }
                if word == "returning" { returns = true }
            case .symbol(UInt8(ascii: "$")):
                guard case .number(let text) = tokens.next(), let number = Int(text) else {
                    return StatementShape(parameters: nil, hasNoColumns: false)
                }
                most = max(most, number)
            default:
                break
            }
            isEmpty = false
        }
    }

    /// The word with which the text in `range` begins, in lower case, behind blanks, comments and opening parentheses. Nil: it is no word.
    public static func firstWord(_ bytes: Span<UInt8>, _ range: Range<Int>) -> String? {
        guard bytes.holds(range) else { return nil }
        var tokens = SQLTokens(bytes.extracting(range), escapes: false)
        var token = tokens.next()
        while token == .opening { token = tokens.next() }
        if case .word(let word) = token { return word }
        return nil
    }

    /// Statements that begin with these words return rows only with RETURNING.
    private static let silent: Set<String> = [
        "insert", "update", "delete", "merge", "truncate", "lock", "copy", "begin", "start", "commit", "end", "rollback", "abort",
        "savepoint",
        "release", "create", "alter", "drop", "grant", "revoke", "comment", "security", "reassign", "import", "refresh", "set", "reset",
        "do",
        "declare", "close", "move", "listen", "unlisten", "notify", "prepare", "deallocate", "discard", "analyze", "analyse", "vacuum",
        "cluster",
        "reindex", "checkpoint", "load",
    ]
}
