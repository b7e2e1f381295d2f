/// Reads BackendKeyData.
///
/// PostgreSQL documentation, section "Message Formats", BackendKeyData.
public enum BackendKeyDataMessage {
    /// The key; nil when the secret is shorter than 4 or longer than 256 bytes.
    public static func read(_ bytes: Span<UInt8>, body: Range<Int>) -> CancelKey? {
        CancelKey(bytes, in: body)
    }
}
