/// What a Query with several statements drops of the prepared statements by their names.
public struct DeallocatedNames: Equatable, Sendable {
    /// One `DEALLOCATE name`.
    public struct One: Equatable, Sendable {
        public let name: String
        /// How many statements stand ahead of it, empty ones not counted: so many command tags come before its own.
        public let index: Int
    }

    /// In their order.
    public private(set) var all: [One] = []
    /// How many statements the query has; at least so many where it has more names than are looked for.
    public private(set) var statements = 0

    /// So many are looked for. Those behind them are left to the server.
    public static let most = 1000

    /// Whether the text in `range` has one statement only. `escapes`: see `read`.
    public static func isOneStatement(_ bytes: Span<UInt8>, _ range: Range<Int>, escapes: Bool) -> Bool {
        guard bytes.holds(range) else { return false }
        var tokens = SQLTokens(bytes.extracting(range), escapes: escapes)
        tokens.skipStatement()
        while tokens.peek() == .semicolon { _ = tokens.next() }
        return tokens.peek() == .end
    }

    /// Nil: there is no such statement in the text in `range`. `escapes`: a backslash escapes in ordinary strings
    /// (`standard_conforming_strings = off`).
    public static func read(_ bytes: Span<UInt8>, _ range: Range<Int>, escapes: Bool) -> DeallocatedNames? {
        guard bytes.holds(range) else { return nil }
        var tokens = SQLTokens(bytes.extracting(range), escapes: escapes)
        tokens.takesBytes = true
        var found = DeallocatedNames()
        while true {
            switch tokens.peek() {
            case .end:
                return found.all.isEmpty ? nil : found
            case .semicolon:
                break
            default:
                if case .name(let name) = DeallocateStatement.statement(&tokens), found.all.count < most {
                    switch tokens.peek() {
                    case .semicolon, .end: found.all.append(One(name: name, index: found.statements))
                    default: break
                    }
                }
                found.statements += 1
            }
            tokens.skipStatement()
        }
    }
}
