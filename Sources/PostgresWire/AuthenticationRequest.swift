/// What a server asks of a client, or tells it, during a login: the payloads of the protocol's Authentication messages. Those that arrive
/// are read as `AuthenticationMessage`, which has the requests that nobody here makes or answers, too.
public enum AuthenticationRequest: Sendable, Equatable {
    /// AuthenticationOk: no (further) password.
    case ok
    /// AuthenticationCleartextPassword.
    case cleartextPassword
    /// AuthenticationMD5Password with its four bytes of salt.
    case md5Password(salt: [UInt8])
    /// AuthenticationSASL with the mechanisms on offer.
    case sasl(mechanisms: [String])
    /// AuthenticationSASLContinue: a server-first-message.
    case saslContinue([UInt8])
    /// AuthenticationSASLFinal: a server-final-message; AuthenticationOk follows.
    case saslFinal([UInt8])
}
