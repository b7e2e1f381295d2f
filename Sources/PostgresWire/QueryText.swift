/// Reads messages that are one text: Query, CommandComplete, CopyFail and a password in clear.
///
/// PostgreSQL documentation, section "Message Formats".
public enum QueryText {
    /// The text without its NUL; nil when the body does not end with one.
    ///
    /// The text is not searched for further NULs, which would cost a pass over every query; the server refuses those.
    @inlinable
    public static func read(_ bytes: Span<UInt8>, body: Range<Int>) -> Range<Int>? {
        guard bytes.holds(body), !body.isEmpty, bytes[body.upperBound &- 1] == 0 else { return nil }
        return body.lowerBound..<body.upperBound &- 1
    }
}

/// Reads CommandComplete.
///
/// PostgreSQL documentation, section "Message Formats", CommandComplete.
public enum CommandTag {
    /// The tag without its NUL, as `SELECT 5` or `DEALLOCATE ALL`; nil when the body does not end with a NUL.
    @inlinable
    public static func read(_ bytes: Span<UInt8>, body: Range<Int>) -> Range<Int>? {
        QueryText.read(bytes, body: body)
    }
}
