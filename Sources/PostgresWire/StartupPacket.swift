/// What a client says about itself when it connects.
///
/// PostgreSQL documentation, section "Message Formats", StartupMessage.
public struct StartupPacket: Sendable {
    /// 3; other versions are no StartupPacket.
    public let major: UInt16
    public let minor: UInt16
    /// Every parameter but `options` and those of the protocol, in the client's order; a name may come twice.
    public let parameters: [(name: String, value: String)]
    /// The command line that the client asks for, which `StartupOptions` takes apart. The last one counts, as in PostgreSQL.
    public let options: String?
    /// The parameters that begin with `_pq_.`, which belong to the protocol and not to the session.
    public let protocolOptions: [(name: String, value: String)]

    /// The value that counts for `name`: the last one, as in PostgreSQL.
    public subscript(name: String) -> String? {
        parameters.last { $0.name == name }?.value
    }

    /// Reads pairs up to the empty name that must be the last byte; nil when it is not.
    init?(_ bytes: Span<UInt8>, parameters range: Range<Int>, minor: UInt16) {
        var parameters: [(name: String, value: String)] = []
        var protocolOptions: [(name: String, value: String)] = []
        var options: String?
        var start = range.lowerBound
        while let nameEnd = firstNUL(bytes, in: start..<range.upperBound), nameEnd > start {
            guard let valueEnd = firstNUL(bytes, in: nameEnd + 1..<range.upperBound) else { return nil }
            let name = String(decoding: bytes, in: start..<nameEnd)
            let value = String(decoding: bytes, in: nameEnd + 1..<valueEnd)
            if name == "options" {
                options = value
            } else if name.utf8.starts(with: "_pq_.".utf8) {
                protocolOptions.append((name, value))
            } else {
                parameters.append((name, value))
            }
            start = valueEnd + 1
        }
        // The loop ended at an empty name, which is the terminator, or ran out of NULs.
        guard start == range.upperBound - 1, bytes[start] == 0 else { return nil }
        (self.major, self.minor) = (3, minor)
        (self.parameters, self.options, self.protocolOptions) = (parameters, options, protocolOptions)
    }
}
