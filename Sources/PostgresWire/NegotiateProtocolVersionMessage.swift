/// Reads NegotiateProtocolVersion.
///
/// PostgreSQL documentation, section "Message Formats", NegotiateProtocolVersion.
public enum NegotiateProtocolVersionMessage {
    /// The newest minor version that the server speaks and the `_pq_.` options that it does not know.
    ///
    /// The documentation calls the number the minor version; PostgreSQL sends major and minor in one word, as in the
    /// startup message. Both forms give the minor version here.
    public static func read(_ bytes: Span<UInt8>, body: Range<Int>) -> (newestMinor: UInt16, unrecognized: [String])? {
        guard bytes.holds(body), body.count >= 8, let version = readUInt32(bytes, at: body.lowerBound),
            let count = readUInt32(bytes, at: body.lowerBound + 4)
        else { return nil }
        var names: [String] = []
        var start = body.lowerBound + 8
        // Each name takes a byte at least, so that a wrong count runs out of bytes before it runs long.
        while names.count < count {
            guard let end = firstNUL(bytes, in: start..<body.upperBound) else { return nil }
            names.append(String(decoding: bytes, in: start..<end))
            start = end + 1
        }
        guard start == body.upperBound else { return nil }
        return (UInt16(truncatingIfNeeded: version), names)
    }
}
