import Bytes
import TLS

/// What the pooler answers a server's SCRAM challenge with.
public enum SCRAMCredential: Sendable, Equatable {
    /// The password; PBKDF2 runs when the challenge arrives, unless a cache knows the outcome.
    case password([UInt8])
    /// The outcome of PBKDF2 from an earlier login; good only while the server keeps salt and iteration count.
    case saltedPassword(SaltedPassword)
    /// Keys that a client's own login left behind (pass-through).
    case keys(SCRAMKeys)
}

extension SCRAMCredential: CustomStringConvertible, CustomDebugStringConvertible {
    /// Names the kind and nothing secret.
    public var description: String {
        switch self {
        case .password: "password"
        case .saltedPassword: "salted password"
        case .keys: "SCRAM keys"
        }
    }
    public var debugDescription: String { description }
}

/// What the pooler can say of the channel that it logs in to a server over.
public enum SCRAMServerChannel: Sendable, Equatable {
    /// There is nothing to bind to.
    case unbound
    /// There would be, but the server does not offer the mechanism; it is told so, and knows if that is a lie.
    case notOffered
    /// The mechanism with channel binding; the data of `tls-server-end-point`.
    case bound([UInt8])
}

/// The client's side of one SCRAM-SHA-256 or SCRAM-SHA-256-PLUS exchange (RFC 5802, RFC 7677), with which the pooler logs in to a server.
///
/// A value without input or output. It trusts the server with nothing: lengths, nonce and iteration count are bounded, and the
/// server's signature is verified. After a failure it answers every message with ``SCRAMError/unexpectedMessage``.
public struct SCRAMClientExchange: Sendable {
    private enum State {
        case start
        case awaitingServerFirst
        case awaitingServerFinal(serverSignature: [UInt8])
        case over
    }

    private let credential: SCRAMCredential
    private let nonce: [UInt8]
    private let channel: SCRAMServerChannel
    private var state = State.start

    /// What is said about channel binding, without an authorization identity.
    private var gs2Header: [UInt8] {
        switch channel {
        case .unbound: Array("n,,".utf8)
        case .notOffered: Array("y,,".utf8)
        case .bound: SCRAMMechanism.bindingHeader
        }
    }

    /// The mechanism that goes with the channel.
    public var mechanism: String {
        if case .bound = channel { SCRAMMechanism.plusName } else { SCRAMMechanism.name }
    }

    /// - Parameter nonce: the client's part, fresh for each exchange, of printable ASCII without a comma.
    public init(credential: SCRAMCredential, nonce: String, channel: SCRAMServerChannel = .unbound) {
        self.channel = channel
        self.credential = credential
        self.nonce = Array(nonce.utf8)
    }

    /// The client-first-message, for SASLInitialResponse. The user name is left empty: PostgreSQL takes the startup packet's.
    public mutating func clientFirst() -> [UInt8] {
        if case .start = state { state = .awaitingServerFirst }
        return gs2Header + clientFirstBare
    }

    private var clientFirstBare: [UInt8] { "n=,r=".utf8 + nonce }

    /// The derivation that answering this server-first-message takes; nil where the credential needs none. The exchange stays as it
    /// is: with the outcome in the cache, ``serverFirst(_:cache:)`` costs nothing.
    public func derivation(for message: [UInt8]) throws(SCRAMError) -> KeyDerivation? {
        guard case .awaitingServerFirst = state, case .password(let password) = credential else { return nil }
        let challenge = try Challenge(message, clientNonce: nonce)
        return KeyDerivation(password: password, salt: challenge.salt, iterations: challenge.iterations)
    }

    /// Reads the server-first-message and answers with the client-final-message, running PBKDF2 if the credential is a password.
    public mutating func serverFirst(_ message: [UInt8]) throws(SCRAMError) -> [UInt8] {
        try serverFirst(message) { password, salt, iterations in
            SaltedPassword.derive(password: password, salt: salt, iterations: iterations)
        }
    }

    /// As ``serverFirst(_:)``, but takes the outcome of PBKDF2 from the cache, or leaves it there.
    public mutating func serverFirst(_ message: [UInt8], cache: inout SaltedPasswordCache) throws(SCRAMError) -> [UInt8] {
        try serverFirst(message) { password, salt, iterations in
            cache.saltedPassword(password: password, salt: salt, iterations: iterations)
        }
    }

    private mutating func serverFirst(
        _ message: [UInt8], derive: (_ password: [UInt8], _ salt: [UInt8], _ iterations: Int) -> SaltedPassword
    ) throws(SCRAMError) -> [UInt8] {
        guard case .awaitingServerFirst = state else {
            state = .over
            throw .unexpectedMessage
        }
        state = .over
        let challenge = try Challenge(message, clientNonce: nonce)
        let keys: SCRAMKeys
        switch credential {
        case .password(let password):
            keys = derive(password, challenge.salt, challenge.iterations).keys
        case .saltedPassword(let salted):
            guard salted.salt == challenge.salt, salted.iterations == challenge.iterations else { throw .staleSaltedPassword }
            keys = salted.keys
        case .keys(let known):
            keys = known
        }
        var binding = gs2Header
        if case .bound(let data) = channel { binding += data }
        let withoutProof = "c=".utf8 + Base64.encode(binding) + ",r=".utf8 + challenge.nonce
        let comma = [UInt8(ascii: ",")]
        let authMessage = clientFirstBare + comma + message + comma + withoutProof
        let signature = HMACSHA256Key(Digest.sha256(keys.clientKey)).authenticationCode(of: authMessage.span)
        var proof = keys.clientKey
        SCRAMMechanism.mask(&proof, signature)
        state = .awaitingServerFinal(serverSignature: Digest.hmacSHA256(key: keys.serverKey, message: authMessage))
        return withoutProof + ",p=".utf8 + Base64.encode(proof)
    }

    /// Reads the server-final-message and verifies that the server knows the password, too.
    public mutating func serverFinal(_ message: [UInt8]) throws(SCRAMError) {
        guard case .awaitingServerFinal(let expected) = state else {
            state = .over
            throw .unexpectedMessage
        }
        state = .over
        var attributes = try SCRAMAttributes(message.span, limit: SCRAMMechanism.maximumServerMessage)
        if message.starts(with: "e=".utf8) { throw .serverError(Self.printable(message.dropFirst(2))) }
        let encodedSignature = try attributes.value(of: "v")
        guard attributes.isEmpty else { throw .malformedMessage }
        guard let signature = Base64.decode(message.span.extracting(encodedSignature)) else { throw .invalidEncoding("v") }
        guard constantTimeEqual(signature, expected) else { throw .invalidServerSignature }
    }

    private static func printable(_ text: ArraySlice<UInt8>) -> String {
        String(decoding: text.prefix(128).map { (0x20...0x7e).contains($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
    }
}

/// A server-first-message that keeps to the limits.
private struct Challenge {
    /// The client's nonce and the server's part.
    let nonce: [UInt8]
    let salt: [UInt8]
    let iterations: Int

    init(_ message: [UInt8], clientNonce: [UInt8]) throws(SCRAMError) {
        let text = message.span
        var attributes = try SCRAMAttributes(text, limit: SCRAMMechanism.maximumServerMessage)
        let nonce = try text.extracting(attributes.value(of: "r"))
        guard nonce.count <= SCRAMMechanism.maximumNonce, SCRAMMechanism.isNonce(nonce) else { throw .invalidNonce }
        guard nonce.hasPrefix(clientNonce), nonce.count > clientNonce.count else { throw .nonceMismatch }
        let encodedSalt = try attributes.value(of: "s")
        guard let salt = Base64.decode(text.extracting(encodedSalt)), (1...SCRAMMechanism.maximumSalt).contains(salt.count) else {
            throw .invalidEncoding("s")
        }
        let count = try attributes.value(of: "i")
        guard attributes.isEmpty else { throw .malformedMessage }
        guard let iterations = SCRAMMechanism.positiveNumber(message[count]), SCRAMMechanism.iterationLimits.contains(iterations) else {
            throw .iterationsOutOfRange
        }
        self.nonce = Array(copying: nonce)
        self.salt = salt
        self.iterations = iterations
    }
}
