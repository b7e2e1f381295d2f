/// The codes that take the place of a protocol version in the first packet.
///
/// PostgreSQL documentation, section "Message Formats", CancelRequest, SSLRequest and GSSENCRequest.
enum StartupCode {
    static let cancelRequest: UInt32 = 80_877_102
    static let sslRequest: UInt32 = 80_877_103
    static let gssEncryptionRequest: UInt32 = 80_877_104
}
