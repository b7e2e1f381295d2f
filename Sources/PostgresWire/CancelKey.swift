/// What a client must show to cancel a query: the server process and a secret.
///
/// PostgreSQL documentation, section "Message Formats", BackendKeyData and CancelRequest. The secret has 4 bytes in
/// protocol 3.0 and 4 to 256 from 3.2 on.
public struct CancelKey: Hashable, Sendable {
    /// The lengths that a secret may have.
    public static let secretLengths = 4...256

    public let processID: UInt32
    public let secret: [UInt8]

    /// Nil when the secret has a length that the protocol does not allow.
    public init?(processID: UInt32, secret: [UInt8]) {
        guard Self.secretLengths.contains(secret.count) else { return nil }
        self.processID = processID
        self.secret = secret
    }

    /// Reads the process and a secret that fills the rest of `range`.
    init?(_ bytes: Span<UInt8>, in range: Range<Int>) {
        guard bytes.holds(range), range.count >= 4, let processID = readUInt32(bytes, at: range.lowerBound) else { return nil }
        self.init(processID: processID, secret: [UInt8](copying: bytes, in: range.lowerBound + 4..<range.upperBound))
    }
}
