import TLS

/// `SaltedPassword` of RFC 5802, section 3: what PBKDF2 makes of a password, together with the inputs it belongs to.
public struct SaltedPassword: Sendable, Equatable {
    public let salt: [UInt8]
    public let iterations: Int
    /// 32 bytes.
    public let bytes: [UInt8]

    /// Runs SASLprep and PBKDF2 over a password; the time is proportional to `iterations`.
    public static func derive(password: [UInt8], salt: [UInt8], iterations: Int) -> SaltedPassword {
        let bytes = Digest.pbkdf2SHA256(password: SASLprep.prepare(password), salt: salt, iterations: iterations)
        return SaltedPassword(salt: salt, iterations: iterations, bytes: bytes)
    }

    /// `ClientKey` and `ServerKey`.
    public var keys: SCRAMKeys {
        SCRAMKeys(
            clientKey: Digest.hmacSHA256(key: bytes, message: Array("Client Key".utf8)),
            serverKey: Digest.hmacSHA256(key: bytes, message: Array("Server Key".utf8)))
    }

    /// What a server would store of it.
    public var secret: SCRAMSecret {
        let keys = keys
        return SCRAMSecret(iterations: iterations, salt: salt, storedKey: Digest.sha256(keys.clientKey), serverKey: keys.serverKey)
    }
}

extension SaltedPassword: CustomStringConvertible, CustomDebugStringConvertible {
    /// Names the kind and nothing secret.
    public var description: String { "salted password, \(iterations) iterations" }
    public var debugDescription: String { description }
}
