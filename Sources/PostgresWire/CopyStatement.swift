/// A text that is a COPY.
///
/// PostgreSQL documentation, section "COPY". A Parse takes one statement, and none but COPY itself reads CopyData: functions, prepared
/// statements of SQL and EXPLAIN refuse it. So a Parse whose text does not begin with the word is no COPY for certain.
public enum CopyStatement {
    /// Whether the text in `range` begins with COPY, behind blanks, comments and semicolons.
    public static func starts(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard bytes.holds(range) else { return false }
        let text = bytes.extracting(range)
        var index = 0
        while index < text.count, DeallocateStatement.isSpace(text[index]) || text[index] == UInt8(ascii: ";") { index += 1 }
        guard index < text.count else { return false }
        switch text[index] {
        case UInt8(ascii: "c"), UInt8(ascii: "C"), UInt8(ascii: "/"), UInt8(ascii: "-"): break
        default: return false
        }
        var tokens = SQLTokens(text, escapes: false)
        var token = tokens.next()
        while token == .semicolon { token = tokens.next() }
        return token == .word("copy")
    }
}
