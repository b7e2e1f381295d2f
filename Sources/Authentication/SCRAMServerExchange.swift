import TLS

/// The outcome of an exchange in which the client proved that it knows the password.
public struct SCRAMSuccess: Sendable, Equatable {
    /// The server-final-message: the pooler's own proof, for AuthenticationSASLFinal.
    public let serverFinal: [UInt8]
    /// `ClientKey`, recovered from the proof.
    public let clientKey: [UInt8]
    /// `ServerKey` of the secret.
    public let serverKey: [UInt8]

    /// Both keys, for a login to the server on the client's behalf.
    public var keys: SCRAMKeys { SCRAMKeys(clientKey: clientKey, serverKey: serverKey) }
}

/// What the pooler knows of the channel that a client logs in over.
public enum SCRAMChannel: Sendable, Equatable {
    /// The mechanism with channel binding was not offered.
    case unbound
    /// It was offered, and the client chose the one without.
    case offered
    /// The client chose it; the data of `tls-server-end-point`.
    case bound([UInt8])
}

/// The server's side of one SCRAM-SHA-256 or SCRAM-SHA-256-PLUS exchange (RFC 5802, RFC 7677).
///
/// A value without input or output: feed it the client's two messages in order. After a failure, or after its end, it answers
/// every message with ``SCRAMError/unexpectedMessage``.
public struct SCRAMServerExchange: Sendable {
    private enum State {
        case awaitingFirst
        case awaitingFinal(gs2Header: [UInt8], nonce: [UInt8], authMessagePrefix: [UInt8])
        case over
    }

    private let secret: SCRAMSecret
    private let isMock: Bool
    private let nonce: [UInt8]
    private let channel: SCRAMChannel
    private var state = State.awaitingFirst

    /// - Parameters:
    ///   - secret: what the client has to prove knowledge of.
    ///   - isMock: whether the exchange only pretends: it runs to the end like any other and then fails.
    ///   - nonce: the server's part, fresh for each exchange, of printable ASCII without a comma.
    ///   - channel: which of the mechanisms the client chose, and what it could have chosen.
    public init(secret: SCRAMSecret, isMock: Bool, nonce: String, channel: SCRAMChannel = .unbound) {
        self.channel = channel
        self.secret = secret
        self.isMock = isMock
        self.nonce = Array(nonce.utf8)
    }

    /// Reads the client-first-message and answers with the server-first-message.
    public mutating func clientFirst(_ message: [UInt8]) throws(SCRAMError) -> [UInt8] {
        guard case .awaitingFirst = state else {
            state = .over
            throw .unexpectedMessage
        }
        state = .over
        var attributes = try SCRAMAttributes(message, limit: SCRAMMechanism.maximumClientMessage)
        let flag = try attributes.next()
        try checkBinding(flag)
        let identity = try attributes.next()
        if identity.starts(with: "a=".utf8) { throw .authorizationIdentity }
        guard identity.isEmpty else { throw .malformedMessage }
        // The startup packet has named the user; like PostgreSQL, take no other name.
        _ = try attributes.value(of: "n")
        let clientNonce = try attributes.value(of: "r")
        guard SCRAMMechanism.isNonce(clientNonce) else { throw .invalidNonce }
        try attributes.skipExtensions()

        let wholeNonce = Array(clientNonce) + nonce
        let gs2Header = flag + ",,".utf8
        let answer = "r=".utf8 + wholeNonce + ",s=".utf8 + Base64.encode(secret.salt) + ",i=\(secret.iterations)".utf8
        let prefix = message.dropFirst(gs2Header.count) + [UInt8(ascii: ",")] + answer
        state = .awaitingFinal(gs2Header: Array(gs2Header), nonce: wholeNonce, authMessagePrefix: Array(prefix))
        return answer
    }

    /// The first part of a client-first-message: what the client says about channel binding.
    private func checkBinding(_ flag: ArraySlice<UInt8>) throws(SCRAMError) {
        if flag.starts(with: "p=".utf8) {
            guard case .bound = channel else { throw .channelBindingRequested }
            guard flag.elementsEqual(SCRAMMechanism.bindingHeader.dropLast(2)) else { throw .unsupportedChannelBinding }
            return
        }
        guard flag.elementsEqual("n".utf8) || flag.elementsEqual("y".utf8) else { throw .malformedMessage }
        if case .bound = channel { throw .channelBindingMissing }
        if channel == .offered, flag.elementsEqual("y".utf8) { throw .channelBindingDowngrade }
    }

    /// Reads the client-final-message and checks the proof, in a time that does not depend on where it is wrong.
    public mutating func clientFinal(_ message: [UInt8]) throws(SCRAMError) -> SCRAMSuccess {
        guard case .awaitingFinal(let gs2Header, let nonce, let authMessagePrefix) = state else {
            state = .over
            throw .unexpectedMessage
        }
        state = .over
        var attributes = try SCRAMAttributes(message, limit: SCRAMMechanism.maximumClientMessage)
        let binding = try attributes.value(of: "c")
        guard let header = Base64.decode(binding) else { throw .invalidEncoding("c") }
        var expected = gs2Header
        if case .bound(let data) = channel { expected += data }
        guard constantTimeEqual(header, expected) else { throw .channelBindingMismatch }
        let wholeNonce = try attributes.value(of: "r")
        guard SCRAMMechanism.isNonce(wholeNonce) else { throw .invalidNonce }
        guard wholeNonce.elementsEqual(nonce) else { throw .nonceMismatch }
        let encodedProof = try attributes.lastValue(of: "p")
        guard let proof = Base64.decode(encodedProof), proof.count == SCRAMKeys.size else { throw .invalidEncoding("p") }

        let withoutProof = message.dropLast(encodedProof.count + ",p=".utf8.count)
        let authMessage = authMessagePrefix + [UInt8(ascii: ",")] + withoutProof
        let clientKey = SCRAMMechanism.mask(proof, storedKey: secret.storedKey, authMessage: authMessage)
        let isProved = constantTimeEqual(Digest.sha256(clientKey), secret.storedKey)
        guard !isMock else { throw .nothingToProve }
        guard isProved else { throw .wrongProof }
        let signature = Digest.hmacSHA256(key: secret.serverKey, message: authMessage)
        return SCRAMSuccess(serverFinal: "v=".utf8 + Base64.encode(signature), clientKey: clientKey, serverKey: secret.serverKey)
    }
}
