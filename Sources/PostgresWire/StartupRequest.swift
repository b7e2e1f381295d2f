/// The first packet of a connection, which has no type byte.
///
/// PostgreSQL documentation, section "Message Flow", Start-up, SSL Session Encryption, GSSAPI Session Encryption and
/// Canceling Requests in Progress.
public enum StartupRequest: Sendable {
    case ssl
    case gssEncryption
    case cancel(CancelKey)
    case startup(StartupPacket)
    /// A StartupPacket of protocol 2, which PostgreSQL spoke until version 13.
    case oldProtocol
    /// One of a protocol that nobody speaks, or a request that means nothing.
    case unknownProtocol(major: UInt16, minor: UInt16)
    /// The first byte of a TLS handshake without an SSLRequest before it. Nothing is consumed: the bytes are for TLS.
    case directTLS

    /// Reads the packet at the start of `bytes`.
    ///
    /// `limit` is the most bytes that a packet may take, its length included. What cannot become a valid packet is
    /// refused as soon as that shows, before more of it is waited for.
    public static func parse(_ bytes: Span<UInt8>, limit: Int) -> StartupParse {
        guard !bytes.isEmpty else { return .needMore }
        if bytes[0] == 0x16 { return .complete(.directTLS, length: 0) }
        guard let word = readUInt32(bytes, at: 0) else { return .needMore }
        guard word >= 8, word <= max(0, limit) else { return badHeader(bytes) }
        guard let code = readUInt32(bytes, at: 4) else { return .needMore }
        let length = Int(word)
        switch code {
        case StartupCode.sslRequest, StartupCode.gssEncryptionRequest:
            guard length == 8 else { return badHeader(bytes) }
            return .complete(code == StartupCode.sslRequest ? .ssl : .gssEncryption, length: length)
        case StartupCode.cancelRequest:
            guard CancelKey.secretLengths.contains(length - 12) else { return .brokenCancel }
            guard bytes.count >= length else { return .needMore }
            guard let key = CancelKey(bytes, in: 8..<length) else { return .brokenCancel }
            return .complete(.cancel(key), length: length)
        default:
            let (major, minor) = (UInt16(truncatingIfNeeded: code >> 16), UInt16(truncatingIfNeeded: code))
            guard major == 2 || major == 3 else { return .complete(.unknownProtocol(major: major, minor: minor), length: 8) }
            guard bytes.count >= length else { return .needMore }
            if major == 2 { return .complete(.oldProtocol, length: length) }
            guard let packet = StartupPacket(bytes, parameters: 8..<length, minor: minor) else {
                return .malformed(reason: "invalid startup packet layout: expected terminator as last byte")
            }
            return .complete(.startup(packet), length: length)
        }
    }

    private static func badHeader(_ bytes: Span<UInt8>) -> StartupParse {
        .malformed(reason: "bad packet header: '\(headerDigits(bytes, at: 0))'")
    }
}

/// What `StartupRequest.parse` found.
public enum StartupParse: Sendable {
    case needMore
    /// The text is meant for the client and for the log.
    case malformed(reason: String)
    /// A CancelRequest of a length that it can't have. Nobody is told anything.
    case brokenCancel
    /// A request and how many bytes it took.
    case complete(StartupRequest, length: Int)
}
