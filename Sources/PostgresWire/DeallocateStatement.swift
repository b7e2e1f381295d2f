/// A whole Query that does nothing but forget prepared statements.
///
/// PostgreSQL documentation, DEALLOCATE and DISCARD. The server knows a client's statements by the pooler's names, so that
/// the pooler must recognise these texts and look into the client's own names. What is not recognised beyond doubt is
/// nil and goes to the server as it is.
public enum DeallocateStatement: Hashable, Sendable {
    /// `DEALLOCATE [PREPARE] name`, with the name as PostgreSQL would look it up.
    case name(String)
    /// `DEALLOCATE [PREPARE] ALL`.
    case all
    /// `DISCARD ALL`.
    case discardAll

    /// Recognises the text in `range`, which has no NUL at its end.
    @inlinable
    public static func parse(_ bytes: Span<UInt8>, _ range: Range<Int>) -> DeallocateStatement? {
        mayStart(bytes, range) ? scan(bytes, range) : nil
    }

    /// Whether the text begins as such a statement or one that `ResetStatement` reads, or with a comment. All that ordinary queries cost.
    @inlinable
    public static func mayStart(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard bytes.holds(range) else { return false }
        let text = bytes.extracting(range)
        var index = 0
        while index < text.count, isSpace(text[index]) { index &+= 1 }
        guard index <= text.count &- 3 else { return false }
        let start = text.extracting(index..<index &+ 3)
        // Setting bit 5 makes capitals small.
        switch (start[0] | 0x20, start[1] | 0x20, start[2] | 0x20) {
        case (0x64, 0x65, 0x61): return true  // dea
        case (0x64, 0x69, 0x73): return true  // dis
        case (0x72, 0x65, 0x73), (0x73, 0x65, 0x74): return true  // res, set
        default: return start[0] == 0x2F || start[0] == 0x2D  // slash and hyphen
        }
    }

    /// What PostgreSQL's scanner passes over.
    @inlinable
    static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte &- 0x09 <= 0x04
    }

    @usableFromInline
    static func scan(_ bytes: Span<UInt8>, _ range: Range<Int>) -> DeallocateStatement? {
        var tokens = SQLTokens(bytes.extracting(range), escapes: false)
        tokens.takesBytes = true
        guard let statement = statement(&tokens) else { return nil }
        while tokens.peek() == .semicolon { _ = tokens.next() }
        return tokens.next() == .end ? statement : nil
    }

    /// The statement that begins here, up to what follows its last word.
    static func statement(_ tokens: inout SQLTokens) -> DeallocateStatement? {
        switch tokens.next() {
        case .word("deallocate"): return target(&tokens)
        case .word("discard"): return tokens.next() == .word("all") ? .discardAll : nil
        default: return nil
        }
    }

    /// What follows DEALLOCATE. The word PREPARE is noise, unless nothing follows: then it is the name.
    private static func target(_ tokens: inout SQLTokens) -> DeallocateStatement? {
        var token = tokens.next()
        if token == .word("prepare") {
            switch tokens.peek() {
            case .word, .quoted: token = tokens.next()
            default: break
            }
        }
        return token == .word("all") ? .all : token.identifier.map { .name($0) }
    }
}
