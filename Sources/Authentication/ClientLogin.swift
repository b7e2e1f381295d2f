import Bytes
import PostgresWire
import TLS

/// The methods by which a client can be asked for a password, or let in without one.
///
/// Methods that decide by other means (`cert`, `peer`) continue as ``trust`` once their own check has passed.
public enum LoginMethod: String, Sendable, Equatable, CaseIterable {
    /// Everybody, whatever the name.
    case any
    /// Every user that exists.
    case trust
    /// The password in clear text (`password` in HBA files).
    case plain
    /// PostgreSQL's MD5 method; SCRAM for users whose secret is a SCRAM secret.
    case md5
    case scramSHA256 = "scram-sha-256"
    /// The password in clear text, for the system's PAM stack to judge.
    case pam
    /// The password in clear text, for a directory to judge.
    case ldap
}

/// The random numbers of one login, from outside so that the machine itself is deterministic.
public struct LoginRandomness: Sendable {
    /// Four bytes for AuthenticationMD5Password.
    public let md5Salt: [UInt8]
    /// The server's part of the SCRAM nonce, printable ASCII without a comma.
    public let scramNonce: [UInt8]
    /// Unpredictable bytes, the same for the whole process: users' salts follow from it where no SCRAM secret is stored.
    public let processKey: [UInt8]

    public init(md5Salt: [UInt8], scramNonce: String, processKey: [UInt8]) {
        self.init(md5Salt: md5Salt, scramNonce: Array(scramNonce.utf8), processKey: processKey)
    }

    private init(md5Salt: [UInt8], scramNonce: [UInt8], processKey: [UInt8]) {
        self.md5Salt = md5Salt
        self.scramNonce = scramNonce
        self.processKey = processKey
    }

    /// Fresh numbers from the secure generator, as far as a login by this method can ask for them.
    public static func fresh(for method: LoginMethod, processKey: [UInt8]) -> LoginRandomness {
        switch method {
        case .any, .trust, .plain, .pam, .ldap: LoginRandomness(md5Salt: [], scramNonce: [], processKey: processKey)
        case .scramSHA256:
            LoginRandomness(md5Salt: [], scramNonce: SCRAMMechanism.randomNonceBytes(), processKey: processKey)
        case .md5:
            // It becomes SCRAM where the secret is one.
            LoginRandomness(
                md5Salt: SecureRandom.bytes(MD5Password.saltSize), scramNonce: SCRAMMechanism.randomNonceBytes(), processKey: processKey)
        }
    }
}

/// One client's login by password, from the method's choice to the verdict.
///
/// A value without input or output: ``start()`` says what to send first, ``receivedPassword(_:)`` takes the body of each PasswordMessage.
/// It belongs to one user name for good; a client that names another user needs another machine. Users who do not exist are
/// asked like all others and fail at the end. Every message out of order is a rejection, and a rejection is final.
public struct ClientLogin: Sendable {
    /// What to do next.
    public enum Step: Sendable, Equatable {
        /// Send this request and wait for a PasswordMessage.
        case send(AuthenticationRequest)
        /// Let the client in. Send AuthenticationSASLFinal first if there is a server-final-message, then AuthenticationOk.
        /// The keys, if any, open servers that store the same SCRAM secret.
        case accepted(saslFinal: [UInt8]?, keys: SCRAMKeys?)
        /// Send the error and close.
        case rejected(LoginRejection)
        /// Run this, which takes milliseconds, where it delays nobody else, and call ``derived(_:)`` with the outcome. Until then
        /// the client has nothing to say.
        case derive(KeyDerivation)
        /// Ask whoever judges passwords for this method, and call ``checked(_:)`` with the verdict. Until then the client has nothing
        /// to say.
        case check(password: [UInt8])
    }

    private enum State {
        case notStarted
        case awaitingCleartext
        case awaitingMD5
        case awaitingSASLInitialResponse
        case awaitingSASLResponse
        /// The secret is being derived that this client-first-message will be answered with.
        case deriving(clientFirst: [UInt8], SCRAMChannel)
        /// The typed password is being hashed for a comparison with this secret.
        case verifying(SCRAMSecret)
        case checking
        case over
    }

    /// The longest PasswordMessage that is looked at, in bytes without the terminating NUL.
    public static let maximumPasswordSize = 65_535

    /// The name this login is for.
    public let user: String
    /// What the client calls itself, and has hashed with its password where MD5 is asked for.
    private let nameOfClient: String
    /// The SCRAM secret of a plain password, present after the exchange needed one; a pretended one for a user who can't log in. Deriving
    /// it costs PBKDF2: keep it beside the password, or under the name, and hand it to the next login of that user.
    public private(set) var derivedSecret: SCRAMSecret?
    /// Whether this very login had to derive it.
    public private(set) var hasDerived = false

    private let method: LoginMethod
    private let secret: StoredSecret?
    private let randomness: LoginRandomness
    private let iterations: Int
    private let endPoint: [UInt8]?
    private let pretendsToDerive: Bool
    private var state = State.notStarted
    /// From the client-first-message on.
    private var exchange: SCRAMServerExchange?

    /// - Parameters:
    ///   - method: what the settings or the HBA file say.
    ///   - user: whose password it is.
    ///   - nameOfClient: the name in the startup packet, where that is another.
    ///   - secret: what is known of the user's password; nil for a user who does not exist.
    ///   - derivedSecret: ``derivedSecret`` of an earlier login with the same plain password in this process.
    ///   - randomness: fresh for each login.
    ///   - iterations: rounds of PBKDF2 for secrets that are derived or pretended.
    ///   - endPoint: the data of `tls-server-end-point` where the client is on TLS and SCRAM-SHA-256-PLUS can be offered.
    ///   - pretendsToDerive: a user who can't log in costs what one with a plain password costs, so that the time tells nothing about
    ///     who exists. To be left out where most users have SCRAM secrets, whose first login costs nothing.
    public init(
        method: LoginMethod, user: String, nameOfClient: String? = nil, secret: StoredSecret?, derivedSecret: SCRAMSecret? = nil,
        randomness: LoginRandomness,
        iterations: Int = SCRAMSecret.defaultIterations, endPoint: [UInt8]? = nil, pretendsToDerive: Bool = true
    ) {
        self.endPoint = endPoint
        self.pretendsToDerive = pretendsToDerive
        if method == .md5, case .scram = secret { self.method = .scramSHA256 } else { self.method = method }
        self.user = user
        self.nameOfClient = nameOfClient ?? user
        if case .plain(let password) = secret, password.isEmpty { self.secret = StoredSecret.none } else { self.secret = secret }
        // One of another count would tell who has logged in since the count was changed.
        self.derivedSecret = derivedSecret.flatMap { $0.iterations == iterations ? $0 : nil }
        self.randomness = randomness
        self.iterations = iterations
    }

    /// Begins the login; to be called once.
    public mutating func start() -> Step {
        guard case .notStarted = state else { return reject(.outOfOrder(.start)) }
        switch method {
        case .any:
            return accept()
        case .trust:
            return secret == nil ? reject(.noSuchUser) : accept()
        case .plain, .pam, .ldap:
            state = .awaitingCleartext
            return .send(.cleartextPassword)
        case .md5:
            state = .awaitingMD5
            return .send(.md5Password(salt: randomness.md5Salt))
        case .scramSHA256:
            state = .awaitingSASLInitialResponse
            return .send(.sasl(mechanisms: endPoint == nil ? Self.unboundMechanisms : Self.boundMechanisms))
        }
    }

    private static let unboundMechanisms = [SCRAMMechanism.name]
    private static let boundMechanisms = [SCRAMMechanism.plusName, SCRAMMechanism.name]

    /// Takes the body of a PasswordMessage (PasswordMessage, SASLInitialResponse and SASLResponse share the tag `p`).
    public mutating func receivedPassword(_ body: [UInt8]) -> Step { receivedPassword(body.span) }

    /// Takes the body of a PasswordMessage in place.
    public mutating func receivedPassword(_ body: Span<UInt8>) -> Step {
        switch state {
        case .notStarted, .deriving, .verifying, .checking, .over: return reject(.unexpectedPassword)
        case .awaitingCleartext, .awaitingMD5: return receivedPasswordText(Array(copying: body))
        case .awaitingSASLInitialResponse: return receivedSASLInitialResponse(body)
        case .awaitingSASLResponse: return receivedSASLResponse(body)
        }
    }

    private mutating func receivedPasswordText(_ body: [UInt8]) -> Step {
        guard body.last == 0, body.firstIndex(of: 0) == body.count - 1 else { return reject(.malformedPassword) }
        let password = Array(body.dropLast())
        guard !password.isEmpty else { return reject(.emptyPassword) }
        guard password.count <= Self.maximumPasswordSize else { return reject(.passwordTooLong) }
        if method == .pam || method == .ldap {
            state = .checking
            return .check(password: password)
        }
        guard let secret else { return reject(.noSuchUser) }
        if case .awaitingMD5 = state {
            let isRight = MD5Password.verify(answer: password, user: nameOfClient, secret: secret, salt: randomness.md5Salt)
            return isRight ? accept() : reject(wrongPassword)
        }
        switch secret {
        case .none:
            return reject(wrongPassword)
        case .plain(let stored):
            return constantTimeEqual(password, Array(stored.utf8)) ? accept() : reject(wrongPassword)
        case .md5(let digest):
            let typed = MD5Password.secret(user: user, password: password)
            return constantTimeEqual(Array(typed.utf8), Array(digest.utf8)) ? accept() : reject(wrongPassword)
        case .scram(let stored):
            state = .verifying(stored)
            return .derive(KeyDerivation(password: password, salt: stored.salt, iterations: stored.iterations))
        }
    }

    /// Takes the outcome of the derivation that ``Step/derive(_:)`` asked for.
    public mutating func derived(_ salted: SaltedPassword) -> Step {
        switch state {
        case .verifying(let stored):
            guard stored.isMade(of: salted) else { return reject(wrongPassword) }
            return accept(keys: salted.keys)
        case .deriving(let clientFirst, let channel):
            derivedSecret = salted.secret
            hasDerived = true
            return answer(clientFirst.span, channel)
        default:
            return reject(.outOfOrder(.derivation))
        }
    }

    /// Takes the verdict that ``Step/check(password:)`` asked for: nil when the password is right, else the particulars for the log.
    public mutating func checked(_ failure: String?) -> Step {
        guard case .checking = state else { return reject(.outOfOrder(.verdict)) }
        return failure.map { reject(.judged($0)) } ?? accept()
    }

    /// Whether the derivation that is asked for serves nothing but the time it takes: it may be left out (``goOnWithoutDerivation()``)
    /// where others need the threads.
    public var isDerivationPretended: Bool {
        if case .deriving = state { isMock } else { false }
    }

    /// Goes on without a derivation that is only pretended.
    public mutating func goOnWithoutDerivation() -> Step {
        guard case .deriving(let clientFirst, let channel) = state, isMock else { return reject(.outOfOrder(.omission)) }
        return answer(clientFirst.span, channel)
    }

    /// SCRAM has nothing to compare a proof with.
    private var isMock: Bool {
        switch secret {
        case .scram, .plain: false
        case .none?, .md5, nil: true
        }
    }

    /// SASLInitialResponse: mechanism, NUL, length as Int32, that many bytes.
    private mutating func receivedSASLInitialResponse(_ body: Span<UInt8>) -> Step {
        guard let end = body.firstIndex(of: 0) else { return reject(.malformedInitialResponse) }
        guard let channel = channel(chosenBy: body.extracting(..<end)) else {
            return reject(.unknownMechanism)
        }
        let start = end + 1 + 4
        guard body.count >= start else { return reject(.malformedInitialResponse) }
        var length = UInt32(0)
        for index in end + 1..<start { length = length << 8 | UInt32(body[index]) }
        guard body.count - start == Int(length) else { return reject(.malformedInitialResponse) }
        let clientFirst = body.extracting(start...)
        if derivedSecret == nil, let password = passwordToDerive {
            state = .deriving(clientFirst: Array(copying: clientFirst), channel)
            let salt = SCRAMSecret.fixedSalt(user: user, key: randomness.processKey)
            return .derive(KeyDerivation(password: password, salt: salt, iterations: iterations))
        }
        return answer(clientFirst, channel)
    }

    private var passwordToDerive: [UInt8]? {
        if case .plain(let password) = secret { return Array(password.utf8) }
        return isMock && pretendsToDerive ? SCRAMSecret.mockPassword(user: user, key: randomness.processKey) : nil
    }

    private mutating func answer(_ clientFirst: Span<UInt8>, _ channel: SCRAMChannel) -> Step {
        var exchange = makeExchange(channel)
        do throws(SCRAMError) {
            let answer = try exchange.clientFirst(clientFirst)
            self.exchange = exchange
            state = .awaitingSASLResponse
            return .send(.saslContinue(answer))
        } catch {
            return reject(.scram(error))
        }
    }

    /// What the client's choice of a mechanism means; nil for one that was not offered.
    private func channel(chosenBy name: Span<UInt8>) -> SCRAMChannel? {
        if name.hasSameBytes(as: SCRAMMechanism.nameBytes) { return endPoint == nil ? .unbound : .offered }
        guard let endPoint, name.hasSameBytes(as: SCRAMMechanism.plusNameBytes) else { return nil }
        return .bound(endPoint)
    }

    private mutating func receivedSASLResponse(_ body: Span<UInt8>) -> Step {
        do throws(SCRAMError) {
            guard let success = try exchange?.clientFinal(body) else { return reject(.unexpectedPassword) }
            // Keys of a derived secret open no server: its salt is this process's own.
            guard case .scram = secret else { return accept(saslFinal: success.serverFinal) }
            return accept(saslFinal: success.serverFinal, keys: success.keys)
        } catch {
            return reject(error == .nothingToProve ? reasonAgainstSCRAM ?? .scram(error) : .scram(error))
        }
    }

    /// The exchange for the user's secret; a mock where there is none that SCRAM could use.
    private func makeExchange(_ channel: SCRAMChannel) -> SCRAMServerExchange {
        if case .scram(let stored) = secret {
            return SCRAMServerExchange(secret: stored, isMock: false, nonce: randomness.scramNonce, channel: channel)
        }
        let known = derivedSecret ?? SCRAMSecret.mock(user: user, key: randomness.processKey, iterations: iterations)
        return SCRAMServerExchange(secret: known, isMock: isMock || derivedSecret == nil, nonce: randomness.scramNonce, channel: channel)
    }

    private mutating func accept(saslFinal: [UInt8]? = nil, keys: SCRAMKeys? = nil) -> Step {
        state = .over
        return .accepted(saslFinal: saslFinal, keys: keys)
    }

    private mutating func reject(_ reason: LoginRejection.Reason) -> Step {
        state = .over
        return .rejected(LoginRejection(method: method, reason: reason))
    }

    private var wrongPassword: LoginRejection.Reason { secret == StoredSecret.none ? .noPassword : .wrongPassword }

    /// Why no proof could have been right, where that is so.
    private var reasonAgainstSCRAM: LoginRejection.Reason? {
        switch secret {
        case .md5: .unsupportedSecret
        case .none?: .noPassword
        case nil: .noSuchUser
        case .plain, .scram: nil
        }
    }
}
