/// An address and a port to listen on, written `ADDRESS:PORT`: `127.0.0.1:9127`, `[::1]:9127`, `*:9127`.
public struct ListenAddress: Sendable, Equatable {
    /// An IP address, a host name, or `*`.
    public let host: String
    /// From 1 to 65535.
    public let port: Int

    /// Reads an address. Throws what was expected.
    public init(parsing text: String) throws(InvalidValue) {
        let expected = "expected ADDRESS:PORT, such as 127.0.0.1:9127, [::1]:9127 or *:9127"
        guard let colon = text.lastIndex(of: ":") else { throw InvalidValue("\"\(text)\" has no port: \(expected)") }
        let digits = text[text.index(after: colon)...]
        guard !digits.isEmpty, digits.utf8.count <= 5, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = Int(digits),
            (1...65535).contains(port)
        else { throw InvalidValue("\"\(digits)\" is not a port: \(expected), with a port from 1 to 65535") }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
        } else if host.contains(":") {
            throw InvalidValue("an IPv6 address has to stand in brackets: \(expected)")
        }
        guard !host.isEmpty else { throw InvalidValue("\"\(text)\" has no address: \(expected)") }
        self.host = host
        self.port = port
    }
}
