/// Reads ParameterStatus.
///
/// PostgreSQL documentation, section "Message Formats", ParameterStatus.
public enum ParameterStatusMessage {
    /// Both texts without their NULs; nil when they do not fill the body.
    @inlinable
    public static func read(_ bytes: Span<UInt8>, body: Range<Int>) -> (name: Range<Int>, value: Range<Int>)? {
        guard let nameEnd = firstNUL(bytes, in: body) else { return nil }
        let value = nameEnd &+ 1
        guard let end = firstNUL(bytes, in: value..<body.upperBound), end == body.upperBound &- 1 else { return nil }
        return (body.lowerBound..<nameEnd, value..<end)
    }
}
