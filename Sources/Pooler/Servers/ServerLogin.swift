import Authentication
import Configuration
import PoolCore
import PostgresWire

/// The pooler's side of a login to PostgreSQL (section 55.2.1). A value: messages in, bytes to send or a result out.
struct ServerLogin {
    enum Step {
        case send([UInt8])
        case wait
        case done
        case failed(OpeningFailure)
        /// Run this where it delays nobody else, put the outcome into the cache, and call `derived`.
        case derive(KeyDerivation)
    }

    let user: String
    let secret: StoredSecret
    let passThrough: SCRAMKeys?
    private let endPoint: [UInt8]?
    private let requiresBinding: Bool
    /// The versions of the protocol that may be spoken; the newest one was asked for.
    private let minors: ClosedRange<UInt16>
    private var scram: SCRAMClientExchange?
    private(set) var parameters: [Parameter] = []
    private var parameterBytes = 0
    private(set) var cancelKey: CancelKey?
    private var isAuthenticated = false

    /// - Parameters:
    ///   - endPoint: on TLS, what SCRAM binds the channel with.
    ///   - binding: whether it is to do so.
    ///   - minors: the minor versions of the protocol that may be spoken; the newest one was asked for.
    init(
        user: String, secret: StoredSecret, passThrough: SCRAMKeys?, endPoint: [UInt8]?, binding: ChannelBinding,
        minors: ClosedRange<UInt16>
    ) {
        self.minors = minors
        self.endPoint = binding == .disable ? nil : endPoint
        requiresBinding = binding == .require
        self.user = user
        self.secret = secret
        self.passThrough = passThrough
    }

    /// Handles one whole message.
    mutating func receive(_ frame: Frame, _ bytes: Span<UInt8>, at offset: Int, cache: inout SaltedPasswordCache) -> Step {
        let body = frame.body(at: offset)
        switch frame.type {
        case Backend.authentication:
            guard !isAuthenticated, let message = AuthenticationMessage.read(bytes, body: body) else { return Self.broken }
            return answer(message, bytes, &cache)
        case Backend.parameterStatus:
            guard let (name, value) = ParameterStatusMessage.read(bytes, body: body) else { return Self.broken }
            // A server that never stops telling is not one.
            parameterBytes += name.count + value.count
            guard parameterBytes <= ParameterSet.mostBytes, parameters.count < ParameterSet.mostParameters else {
                return .failed(.login("the server reports too many parameters"))
            }
            parameters.append(Parameter(name: String(decoding: bytes, in: name), value: String(decoding: bytes, in: value)))
            return .wait
        case Backend.backendKeyData:
            cancelKey = BackendKeyDataMessage.read(bytes, body: body)
            return .wait
        case Backend.readyForQuery:
            return isAuthenticated ? .done : Self.broken
        case Backend.errorResponse:
            return .failed(ErrorFields.read(bytes, body: body).map { .refused($0) } ?? .login("unreadable error"))
        case Backend.negotiateProtocolVersion:
            return negotiated(NegotiateProtocolVersionMessage.read(bytes, body: body))
        case Backend.noticeResponse:
            return .wait
        default:
            return Self.broken
        }
    }

    /// The server speaks an older version than the one that was asked for. Options of the protocol were not asked for.
    private func negotiated(_ answer: (newestMinor: UInt16, unrecognized: [String])?) -> Step {
        guard let answer, answer.newestMinor <= minors.upperBound, answer.unrecognized.isEmpty, !isAuthenticated else {
            return .failed(.login("invalid negotiation of the protocol"))
        }
        guard answer.newestMinor >= minors.lowerBound else {
            return .failed(
                .login(
                    "the server speaks protocol 3.\(answer.newestMinor): "
                        + "expected 3.\(minors.lowerBound) (min_protocol_version)"))
        }
        return .wait
    }

    private mutating func answer(_ message: AuthenticationMessage, _ bytes: Span<UInt8>, _ cache: inout SaltedPasswordCache) -> Step {
        switch message {
        case .ok:
            // A server that skips the end of SCRAM has not shown that it knows the password.
            if scram != nil, !isVerified { return .failed(.login("invalid server signature")) }
            if requiresBinding, scram == nil { return Self.unbound("the server asked for no proof of the password") }
            isAuthenticated = true
            return .wait
        case .cleartextPassword: return answer(.cleartextPassword)
        case .md5Password(let salt): return answer(.md5Password(salt: salt))
        case .sasl(let mechanisms): return answer(.sasl(mechanisms: mechanisms))
        case .saslContinue(let range):
            return answer([UInt8](copying: bytes, in: range), &cache)
        case .saslFinal(let range):
            guard var exchange = scram else { return .failed(.login(ServerPasswordAnswer.unexpectedSASLMessage)) }
            do {
                try exchange.serverFinal([UInt8](copying: bytes, in: range))
                scram = exchange
                isVerified = true
                return .wait
            } catch {
                return .failed(.login("invalid server signature"))
            }
        default:
            return .failed(.login("unsupported authentication method"))
        }
    }

    private var isVerified = false
    /// What was said last holds a nonce that nobody else can know.
    var hasBegunSCRAM: Bool { scram != nil }

    /// The server-first-message that waits for a derivation.
    private var challenge: [UInt8]?
    var isDeriving: Bool { challenge != nil }

    /// The outcome of the derivation is in the cache.
    mutating func derived(cache: inout SaltedPasswordCache) -> Step {
        guard let message = challenge else { return .wait }
        challenge = nil
        return answer(message, &cache)
    }

    private mutating func answer(_ challenge: [UInt8], _ cache: inout SaltedPasswordCache) -> Step {
        guard var exchange = scram else { return .failed(.login(ServerPasswordAnswer.unexpectedSASLMessage)) }
        do {
            if let derivation = try exchange.derivation(for: challenge), cache.known(derivation) == nil {
                self.challenge = challenge
                return .derive(derivation)
            }
            let final = try exchange.serverFirst(challenge, cache: &cache)
            scram = exchange
            var writer = MessageWriter()
            writer.saslResponse(final)
            return .send(writer.bytes)
        } catch {
            return .failed(.login("\(error.reason)"))
        }
    }

    private mutating func answer(_ request: AuthenticationRequest) -> Step {
        guard scram == nil else { return Self.broken }
        var writer = MessageWriter()
        let answer = ServerPasswordAnswer.answer(
            to: request, secret: secret, user: user, passThrough: passThrough, endPoint: endPoint)
        // Before anything is said: an answer of another kind is what somebody in between would ask for.
        if requiresBinding, let reason = answer.lackOfBinding(endPoint: endPoint) { return Self.unbound(reason) }
        switch answer {
        case .none: return .wait
        case .password(let text): writer.password(text)
        case .scram(let credential, let channel):
            var exchange = SCRAMClientExchange(credential: credential, nonce: SCRAMMechanism.randomNonce(), channel: channel)
            writer.saslInitialResponse(mechanism: exchange.mechanism, data: exchange.clientFirst())
            scram = exchange
        case .failed(let text): return .failed(.login(text))
        }
        return .send(writer.bytes)
    }

    private static func unbound(_ reason: String) -> Step {
        .failed(.login("channel binding is required, but \(reason)"))
    }

    private static var broken: Step { .failed(.login("unexpected message")) }
}

extension ServerPasswordAnswer {
    /// Why this answer is not bound to the channel; nil where it is, or is no answer at all.
    fileprivate func lackOfBinding(endPoint: [UInt8]?) -> String? {
        switch self {
        case .scram(_, .bound), .failed: nil
        case _ where endPoint == nil: "there is no TLS with a certificate to bind to"
        case .scram: "the server does not offer it"
        case .none, .password: "the server asked for a password in another way"
        }
    }
}
