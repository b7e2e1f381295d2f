/// Reads Parse, the message that prepares a statement.
///
/// PostgreSQL documentation, section "Message Formats", Parse.
public enum ParseMessage {
    /// The statement's name without its NUL, and the tail: the query, its NUL, the count and the parameter types.
    ///
    /// Two Parse messages with equal tails prepare the same statement. Nil when the name or the query has no NUL, or the
    /// count of types disagrees with the bytes that follow it.
    @inlinable
    public static func read(_ bytes: Span<UInt8>, body: Range<Int>) -> (name: Range<Int>, tail: Range<Int>)? {
        guard let nameEnd = firstNUL(bytes, in: body) else { return nil }
        let tail = nameEnd &+ 1..<body.upperBound
        guard let query = query(bytes, tail: tail), let count = readUInt16(bytes, at: query.upperBound &+ 1) else { return nil }
        // The count may lie beyond the body when the span goes on; the comparison refuses that too.
        guard tail.upperBound &- query.upperBound == 3 &+ 4 &* Int(count) else { return nil }
        return (body.lowerBound..<nameEnd, tail)
    }

    /// The query's text in a tail that `read` returned.
    @inlinable
    public static func query(_ bytes: Span<UInt8>, tail: Range<Int>) -> Range<Int>? {
        guard let end = firstNUL(bytes, in: tail) else { return nil }
        return tail.lowerBound..<end
    }
}
