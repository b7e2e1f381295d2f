/// Why a SCRAM exchange failed. For the log: the peer is told nothing but that authentication failed.
public enum SCRAMError: Error, Sendable, Equatable {
    /// A message came that is not due, or came after the exchange had ended.
    case unexpectedMessage
    /// More bytes than the limit for a message.
    case messageTooLong
    /// Empty, or not made of the parts that RFC 5802, section 7, lists.
    case malformedMessage
    /// The client asked for channel binding (`p=`), which was not offered.
    case channelBindingRequested
    /// The mechanism is the one with channel binding, and the message asks for none.
    case channelBindingMissing
    /// The client could bind the channel and believes that the pooler can't, though it offered to: somebody in between took the offer out.
    case channelBindingDowngrade
    /// A type of channel binding other than `tls-server-end-point`.
    case unsupportedChannelBinding
    /// The `c=` attribute does not repeat the header of the first message.
    case channelBindingMismatch
    /// The client wants to act as somebody else (`a=`).
    case authorizationIdentity
    /// A mandatory extension (`m=`).
    case unsupportedExtension
    /// The attribute due at this place is missing.
    case missingAttribute(Unicode.Scalar)
    /// Empty, too long, or with characters other than printable ASCII.
    case invalidNonce
    /// The nonce is not, or does not begin with, the one of this exchange.
    case nonceMismatch
    /// An attribute is not valid Base64, or has the wrong size.
    case invalidEncoding(Unicode.Scalar)
    /// The server asks for an iteration count outside 1...1,000,000.
    case iterationsOutOfRange
    /// The proof does not belong to the password.
    case wrongProof
    /// The exchange was a mock: there is nothing the user could have proved.
    case nothingToProve
    /// The salted password at hand belongs to another salt or iteration count than the server named.
    case staleSaltedPassword
    /// The server reported an error (`e=`), cut to printable ASCII.
    case serverError(String)
    /// The server does not know the password either.
    case invalidServerSignature

    /// A short text for the log; it never holds a secret.
    public var reason: String {
        switch self {
        case .unexpectedMessage: "unexpected SCRAM message"
        case .messageTooLong: "SCRAM message too long"
        case .malformedMessage: "malformed SCRAM message"
        case .channelBindingRequested: "channel binding requested but not offered"
        case .channelBindingMissing: "SCRAM-SHA-256-PLUS without channel binding"
        case .channelBindingDowngrade: "the client supports channel binding but thinks that the pooler does not"
        case .unsupportedChannelBinding: "unsupported type of channel binding"
        case .channelBindingMismatch: "unexpected SCRAM channel-binding attribute"
        case .authorizationIdentity: "authorization identity not supported"
        case .unsupportedExtension: "unsupported SCRAM extension required"
        case .missingAttribute(let name): "attribute \"\(name)\" expected in SCRAM message"
        case .invalidNonce: "invalid SCRAM nonce"
        case .nonceMismatch: "SCRAM nonce does not match"
        case .invalidEncoding(let name): "malformed value of SCRAM attribute \"\(name)\""
        case .iterationsOutOfRange: "SCRAM iteration count out of range"
        case .wrongProof: "password does not match"
        case .nothingToProve: "no such user or no usable password"
        case .staleSaltedPassword: "server changed salt or iteration count"
        case .serverError(let text): "server reported SCRAM error: \(text)"
        case .invalidServerSignature: "invalid server signature"
        }
    }
}
