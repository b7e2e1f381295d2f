/// Messages whose length follows from what they say.
///
/// PostgreSQL documentation, section "Message Formats". PostgreSQL ends some connections over surplus bytes and skips messages over
/// others; inside a COPY it takes them. A pooler that passes them on can't tell what the server makes of them.
public enum SmallMessages {
    /// Whether a whole Sync, Flush, CopyDone, Terminate, Execute, Describe or Close has bytes behind what belongs to it. False for all
    /// others.
    @inlinable
    public static func hasSurplus(_ frame: Frame, _ bytes: Span<UInt8>, at offset: Int) -> Bool {
        let body = frame.body(at: offset)
        switch frame.type {
        case Frontend.sync, Frontend.flush, Frontend.copyDone, Frontend.terminate:
            return !body.isEmpty
        case Frontend.execute:
            guard let end = firstNUL(bytes, in: body) else { return false }
            return body.upperBound &- end > 5
        case Frontend.describe, Frontend.close:
            guard !body.isEmpty, let end = firstNUL(bytes, in: body.lowerBound &+ 1..<body.upperBound) else { return false }
            return body.upperBound &- end > 1
        default:
            return false
        }
    }
}
