/// What Describe and Close name.
public enum Target: UInt8, Sendable {
    case statement = 0x53  // S
    case portal = 0x50  // P
}

/// Reads Describe and Close, whose bodies are alike.
///
/// PostgreSQL documentation, section "Message Formats", Describe and Close.
public enum TargetMessage {
    /// The kind and the name without its NUL; nil when the kind is unknown or the name does not fill the body.
    @inlinable
    public static func read(_ bytes: Span<UInt8>, body: Range<Int>) -> (kind: Target, name: Range<Int>)? {
        guard bytes.holds(body), !body.isEmpty, let kind = Target(rawValue: bytes[body.lowerBound]) else { return nil }
        let name = body.lowerBound &+ 1
        guard let end = firstNUL(bytes, in: name..<body.upperBound), end == body.upperBound &- 1 else { return nil }
        return (kind, name..<end)
    }
}
