/// The state that ReadyForQuery reports.
///
/// PostgreSQL documentation, section "Message Formats", ReadyForQuery.
public enum TransactionStatus: UInt8, Sendable {
    case idle = 0x49  // I
    case inTransaction = 0x54  // T
    case failed = 0x45  // E
}

/// Reads ReadyForQuery.
public enum ReadyForQueryMessage {
    /// The state, or nil when the body is not one known letter.
    @inlinable
    public static func read(_ bytes: Span<UInt8>, body: Range<Int>) -> TransactionStatus? {
        guard bytes.holds(body), body.count == 1 else { return nil }
        return TransactionStatus(rawValue: bytes[body.lowerBound])
    }
}
