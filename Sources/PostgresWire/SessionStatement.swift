/// Statements whose columns depend on what the session has: a cursor, a statement of SQL PREPARE, a setting.
public enum SessionStatement {
    /// Whether the text in `range` begins with FETCH, EXECUTE or SHOW.
    public static func starts(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard bytes.holds(range) else { return false }
        var tokens = SQLTokens(bytes.extracting(range), escapes: false)
        while tokens.peek() == .semicolon { _ = tokens.next() }
        switch tokens.next() {
        case .word("fetch"), .word("execute"), .word("show"): return true
        default: return false
        }
    }
}
