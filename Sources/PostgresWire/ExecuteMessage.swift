/// Reads Execute.
///
/// PostgreSQL documentation, section "Message Formats", Execute.
public enum ExecuteMessage {
    /// The portal's name without its NUL and the most rows to return, 0 for all.
    @inlinable
    public static func read(_ bytes: Span<UInt8>, body: Range<Int>) -> (portal: Range<Int>, maximumRows: UInt32)? {
        guard let end = firstNUL(bytes, in: body), end == body.upperBound &- 5 else { return nil }
        guard let rows = readUInt32(bytes, at: end &+ 1) else { return nil }
        return (body.lowerBound..<end, rows)
    }
}
