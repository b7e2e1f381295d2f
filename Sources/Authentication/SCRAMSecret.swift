import TLS

/// What a server keeps of a password for SCRAM-SHA-256 (RFC 5802, section 3): enough to check a proof, too little to make one.
public struct SCRAMSecret: Sendable, Equatable {
    /// The iteration count PostgreSQL uses, and a derived secret without another wish.
    public static let defaultIterations = 4096
    /// Bytes of a salt PostgreSQL makes.
    public static let saltSize = 16

    /// One object: an exchange copies the secret several times.
    private let content: Content

    private final class Content: Sendable {
        let iterations: Int
        let salt: [UInt8]
        let storedKey: [UInt8]
        let serverKey: [UInt8]
        // What each login with this secret needs, made once.
        let challengeEnd: [UInt8]
        let storedHMAC: HMACSHA256Key
        let serverHMAC: HMACSHA256Key

        init(iterations: Int, salt: [UInt8], storedKey: [UInt8], serverKey: [UInt8]) {
            self.iterations = iterations
            self.salt = salt
            self.storedKey = storedKey
            self.serverKey = serverKey
            challengeEnd = ",s=".utf8 + Base64.encode(salt) + ",i=\(iterations)".utf8
            storedHMAC = HMACSHA256Key(storedKey)
            serverHMAC = HMACSHA256Key(serverKey)
        }
    }

    /// Rounds of PBKDF2, at least 1.
    public var iterations: Int { content.iterations }
    public var salt: [UInt8] { content.salt }
    /// `H(ClientKey)`, 32 bytes.
    public var storedKey: [UInt8] { content.storedKey }
    /// `ServerKey`, 32 bytes.
    public var serverKey: [UInt8] { content.serverKey }

    /// What a server-first-message says behind the nonce.
    var challengeEnd: [UInt8] { content.challengeEnd }

    /// HMAC with `storedKey`: what masks a client's proof.
    func clientSignature(_ authMessage: Span<UInt8>) -> SHA256Digest { content.storedHMAC.authenticationCode(of: authMessage) }

    /// HMAC with `serverKey`: the server's own proof.
    func serverSignature(_ authMessage: Span<UInt8>) -> SHA256Digest { content.serverHMAC.authenticationCode(of: authMessage) }

    public static func == (left: SCRAMSecret, right: SCRAMSecret) -> Bool {
        left.content === right.content
            || left.iterations == right.iterations && left.salt == right.salt && left.storedKey == right.storedKey
                && left.serverKey == right.serverKey
    }

    /// - Precondition: `iterations` is at least 1, and the keys have 32 bytes each.
    public init(iterations: Int, salt: [UInt8], storedKey: [UInt8], serverKey: [UInt8]) {
        precondition(iterations >= 1 && storedKey.count == SCRAMKeys.size && serverKey.count == SCRAMKeys.size)
        content = Content(iterations: iterations, salt: salt, storedKey: storedKey, serverKey: serverKey)
    }

    /// Reads PostgreSQL's form `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, with salt and keys in Base64.
    /// Nil when any part of it is malformed.
    public init?(text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: "$"), omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].elementsEqual(SCRAMMechanism.name.utf8) else { return nil }
        let parameters = parts[1].split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        let keys = parts[2].split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard parameters.count == 2, keys.count == 2,
            let iterations = SCRAMMechanism.positiveNumber(parameters[0]), iterations <= Int(Int32.max),
            let salt = Base64.decode(parameters[1]), !salt.isEmpty,
            let storedKey = Base64.decode(keys[0]), storedKey.count == SCRAMKeys.size,
            let serverKey = Base64.decode(keys[1]), serverKey.count == SCRAMKeys.size
        else { return nil }
        self.init(iterations: iterations, salt: salt, storedKey: storedKey, serverKey: serverKey)
    }

    /// PostgreSQL's form, as ``init(text:)`` reads it.
    public var text: String {
        let keys = "\(Base64.encodedString(storedKey)):\(Base64.encodedString(serverKey))"
        return "\(SCRAMMechanism.name)$\(iterations):\(Base64.encodedString(salt))$\(keys)"
    }

    /// The secret of a password: SASLprep, then PBKDF2, whose time is proportional to `iterations`.
    public static func derive(password: [UInt8], salt: [UInt8], iterations: Int = defaultIterations) -> SCRAMSecret {
        SaltedPassword.derive(password: password, salt: salt, iterations: iterations).secret
    }

    /// The secret of a password given as text.
    public static func derive(password: String, salt: [UInt8], iterations: Int = defaultIterations) -> SCRAMSecret {
        derive(password: Array(password.utf8), salt: salt, iterations: iterations)
    }

    /// A secret that no password fits, for a user who does not exist or has nothing to log in with.
    ///
    /// - Parameter key: unpredictable bytes that hold for the life of the process, so that a user's salt is the same at every login.
    public static func mock(user: String, key: [UInt8], iterations: Int = defaultIterations) -> SCRAMSecret {
        let hmac = HMACSHA256Key(key)
        func bytes(_ purpose: String) -> [UInt8] { hmac.authenticationCode(of: Array("\(purpose):\(user)".utf8)) }
        return SCRAMSecret(
            iterations: iterations, salt: Array(bytes("salt").prefix(saltSize)), storedKey: bytes("stored"), serverKey: bytes("server"))
    }

    /// What is hashed for a user whose secret is only pretended.
    static func mockPassword(user: String, key: [UInt8]) -> [UInt8] {
        Digest.hmacSHA256(key: key, message: Array("password:\(user)".utf8))
    }

    /// A user's salt for as long as the process lives: the same for mock secrets and for those derived from plain text, so that
    /// the salt does not tell who exists.
    static func fixedSalt(user: String, key: [UInt8]) -> [UInt8] {
        Array(Digest.hmacSHA256(key: key, message: Array("salt:\(user)".utf8)).prefix(saltSize))
    }

    /// Whether a password given in clear belongs to this secret; runs PBKDF2.
    ///
    /// - Returns: the keys of the password, or nil when it is wrong.
    public func verify(password: [UInt8]) -> SCRAMKeys? {
        let salted = SaltedPassword.derive(password: password, salt: salt, iterations: iterations)
        return isMade(of: salted) ? salted.keys : nil
    }

    /// Whether a password belongs to this secret, of which PBKDF2 made `salted` with this salt and count.
    func isMade(of salted: SaltedPassword) -> Bool { constantTimeEqual(salted.secret.storedKey, storedKey) }
}

extension SCRAMSecret: CustomStringConvertible, CustomDebugStringConvertible {
    /// Names the form and nothing secret.
    public var description: String { "SCRAM-SHA-256 secret, \(iterations) iterations" }
    public var debugDescription: String { description }
}
