import Bytes
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
    private enum Phase {
        case awaitingFirst, awaitingFinal, over
    }

    private let secret: SCRAMSecret
    private let isMock: Bool
    private let nonce: [UInt8]
    private let channel: SCRAMChannel
    private var phase = Phase.awaitingFirst
    /// The client-first-message, and from its end on what the `AuthMessage` goes on with.
    private var transcript: [UInt8] = []
    /// The GS2 header, with which the client-first-message begins and which is not part of the `AuthMessage`.
    private var headerLength = 0
    /// The nonce that both sides made together, in the transcript.
    private var wholeNonce = 0..<0

    /// - Parameters:
    ///   - secret: what the client has to prove knowledge of.
    ///   - isMock: whether the exchange only pretends: it runs to the end like any other and then fails.
    ///   - nonce: the server's part, fresh for each exchange, of printable ASCII without a comma.
    ///   - channel: which of the mechanisms the client chose, and what it could have chosen.
    public init(secret: SCRAMSecret, isMock: Bool, nonce: String, channel: SCRAMChannel = .unbound) {
        self.init(secret: secret, isMock: isMock, nonce: Array(nonce.utf8), channel: channel)
    }

    /// The same with the nonce as bytes.
    init(secret: SCRAMSecret, isMock: Bool, nonce: [UInt8], channel: SCRAMChannel) {
        self.channel = channel
        self.secret = secret
        self.isMock = isMock
        self.nonce = nonce
    }

    /// Reads the client-first-message and answers with the server-first-message.
    public mutating func clientFirst(_ message: [UInt8]) throws(SCRAMError) -> [UInt8] { try clientFirst(message.span) }

    /// Reads the client-first-message in place.
    public mutating func clientFirst(_ message: Span<UInt8>) throws(SCRAMError) -> [UInt8] {
        let isExpected = phase == .awaitingFirst
        phase = .over
        guard isExpected else { throw .unexpectedMessage }
        var attributes = try SCRAMAttributes(message, limit: SCRAMMechanism.maximumClientMessage)
        let flag = try attributes.next()
        try checkBinding(message.extracting(flag))
        let identity = try attributes.next()
        guard identity.isEmpty else {
            throw message.extracting(identity).hasPrefix(Self.identityName) ? .authorizationIdentity : .malformedMessage
        }
        // The startup packet has named the user; like PostgreSQL, take no other name.
        _ = try attributes.value(of: "n")
        let clientNonce = try attributes.value(of: "r")
        guard SCRAMMechanism.isNonce(message.extracting(clientNonce)) else { throw .invalidNonce }
        try attributes.skipExtensions()

        let nonceLength = clientNonce.count + nonce.count
        var answer: [UInt8] = []
        answer.reserveCapacity(2 + nonceLength + secret.challengeEnd.count)
        answer.append(UInt8(ascii: "r"))
        answer.append(UInt8(ascii: "="))
        answer.append(copying: message.extracting(clientNonce))
        answer += nonce
        answer += secret.challengeEnd

        headerLength = flag.count + 2
        let answerStart = message.count + 1
        wholeNonce = answerStart + 2..<answerStart + 2 + nonceLength
        // Room for the client-final-message without its proof, which repeats the nonce behind a short header.
        transcript.reserveCapacity(answerStart + answer.count + nonceLength + 16)
        transcript.append(copying: message)
        transcript.append(Self.comma)
        transcript += answer
        phase = .awaitingFinal
        return answer
    }

    private static let comma = UInt8(ascii: ",")
    private static let identityName = Array("a=".utf8)
    private static let bindingName = Array("p=".utf8)
    /// `,p=`
    private static let proofNameLength = 3

    /// The first part of a client-first-message: what the client says about channel binding.
    private func checkBinding(_ flag: Span<UInt8>) throws(SCRAMError) {
        if flag.hasPrefix(Self.bindingName) {
            guard case .bound = channel else { throw .channelBindingRequested }
            guard flag.hasSameBytes(as: SCRAMMechanism.bindingFlag) else { throw .unsupportedChannelBinding }
            return
        }
        guard flag.count == 1, flag[0] == UInt8(ascii: "n") || flag[0] == UInt8(ascii: "y") else { throw .malformedMessage }
        switch channel {
        case .bound: throw .channelBindingMissing
        case .offered: if flag[0] == UInt8(ascii: "y") { throw .channelBindingDowngrade }
        case .unbound: break
        }
    }

    /// Reads the client-final-message and checks the proof, in a time that does not depend on where it is wrong.
    public mutating func clientFinal(_ message: [UInt8]) throws(SCRAMError) -> SCRAMSuccess { try clientFinal(message.span) }

    /// Reads the client-final-message in place.
    public mutating func clientFinal(_ message: Span<UInt8>) throws(SCRAMError) -> SCRAMSuccess {
        let isExpected = phase == .awaitingFinal
        phase = .over
        guard isExpected else { throw .unexpectedMessage }
        var attributes = try SCRAMAttributes(message, limit: SCRAMMechanism.maximumClientMessage)
        let binding = try attributes.value(of: "c")
        guard let header = Base64.decode(message.extracting(binding)) else { throw .invalidEncoding("c") }
        guard isBound(header.span) else { throw .channelBindingMismatch }
        let claimedNonce = try message.extracting(attributes.value(of: "r"))
        guard claimedNonce.hasSameBytes(as: transcript.span.extracting(wholeNonce)) else {
            throw SCRAMMechanism.isNonce(claimedNonce) ? .nonceMismatch : .invalidNonce
        }
        let encodedProof = try attributes.lastValue(of: "p")
        guard var clientKey = Base64.decode(message.extracting(encodedProof)), clientKey.count == SCRAMKeys.size else {
            throw .invalidEncoding("p")
        }

        transcript.append(Self.comma)
        transcript.append(copying: message.extracting(..<(encodedProof.lowerBound - Self.proofNameLength)))
        let authMessage = transcript.span.extracting(headerLength...)
        SCRAMMechanism.mask(&clientKey, secret.clientSignature(authMessage))
        let isProved = constantTimeEqual(Digest.sha256(clientKey.span).span, secret.storedKey.span)
        guard !isMock else { throw .nothingToProve }
        guard isProved else { throw .wrongProof }
        var serverFinal: [UInt8] = []
        serverFinal.reserveCapacity(2 + (SCRAMKeys.size + 2) / 3 * 4)
        serverFinal.append(UInt8(ascii: "v"))
        serverFinal.append(UInt8(ascii: "="))
        Base64.append(secret.serverSignature(authMessage).span, to: &serverFinal)
        return SCRAMSuccess(serverFinal: serverFinal, clientKey: clientKey, serverKey: secret.serverKey)
    }

    /// Whether the client repeats its GS2 header, with the channel's data behind it where it chose binding.
    private func isBound(_ binding: Span<UInt8>) -> Bool {
        guard binding.count >= headerLength,
            constantTimeEqual(binding.extracting(..<headerLength), transcript.span.extracting(..<headerLength))
        else { return false }
        let rest = binding.extracting(headerLength...)
        if case .bound(let data) = channel { return constantTimeEqual(rest, data.span) }
        return rest.isEmpty
    }
}
