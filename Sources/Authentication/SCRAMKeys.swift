/// The two keys with which a SCRAM login to the server can be answered without the password (pass-through).
public struct SCRAMKeys: Sendable, Equatable {
    /// Bytes of a key, the size of a SHA-256 digest.
    public static let size = 32

    /// `ClientKey`, recovered from a client's proof.
    public let clientKey: [UInt8]
    /// `ServerKey`, from the stored secret.
    public let serverKey: [UInt8]

    public init(clientKey: [UInt8], serverKey: [UInt8]) {
        self.clientKey = clientKey
        self.serverKey = serverKey
    }
}

extension SCRAMKeys: CustomStringConvertible, CustomDebugStringConvertible {
    /// Names the kind and nothing secret.
    public var description: String { "SCRAM keys" }
    public var debugDescription: String { description }
}
