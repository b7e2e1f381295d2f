/// A whole Query that takes a setting of the session back to what it was at its start.
///
/// PostgreSQL documentation, RESET and SET. On a server that is shared, "its start" is that of the client, which only the pooler knows.
public enum ResetStatement: Hashable, Sendable {
    /// `RESET name`, `SET [SESSION] name { TO | = } DEFAULT`, `SET [SESSION] TIME ZONE { DEFAULT | LOCAL }`; the name in lower case.
    case name(String)
    /// `RESET ALL`; and `DISCARD ALL`, which is recognised by its tag.
    case all
    /// One of the settings, but which one is not known.
    case unknown

    /// Recognises the text in `range`, which has no NUL at its end.
    public static func parse(_ bytes: Span<UInt8>, _ range: Range<Int>) -> ResetStatement? {
        guard bytes.holds(range) else { return nil }
        var tokens = SQLTokens(bytes.extracting(range), escapes: false)
        let statement: ResetStatement
        switch tokens.next() {
        case .word("reset"):
            guard let name = name(&tokens) else { return nil }
            statement = name == "all" ? .all : .name(name)
        case .word("set"):
            if tokens.peek() == .word("session") { _ = tokens.next() }
            guard let name = name(&tokens) else { return nil }
            let value: SQLToken
            if name == "timezone", tokens.peek() != .word("to"), tokens.peek() != .equalsSign {
                value = tokens.next()
                if value == .word("local") { return end(&tokens) ? .name(name) : nil }
            } else {
                guard [.word("to"), .equalsSign].contains(tokens.next()) else { return nil }
                value = tokens.next()
            }
            guard value == .word("default") else { return nil }
            statement = .name(name)
        default:
            return nil
        }
        return end(&tokens) ? statement : nil
    }

    private static func name(_ tokens: inout SQLTokens) -> String? {
        let token = tokens.next()
        if token == .word("time"), tokens.peek() == .word("zone") {
            _ = tokens.next()
            return "timezone"
        }
        return token.identifier?.lowercased()
    }

    private static func end(_ tokens: inout SQLTokens) -> Bool {
        while tokens.peek() == .semicolon { _ = tokens.next() }
        return tokens.next() == .end
    }
}
