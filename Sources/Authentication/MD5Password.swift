import Bytes
import TLS

/// PostgreSQL's `md5` password method: `"md5" + hex(md5(hex(md5(password + user)) + salt))`.
public enum MD5Password {
    private static let prefix = "md5"
    /// Bytes of the salt in AuthenticationMD5Password.
    public static let saltSize = 4

    /// Whether a text is a stored digest: `md5` and 32 lower-case hexadecimal digits.
    public static func isSecret(_ text: String) -> Bool {
        text.utf8.count == 35 && text.hasPrefix(prefix)
            && text.utf8.dropFirst(3).allSatisfy { Hexadecimal.value(of: $0) != nil && !(0x41...0x46).contains($0) }
    }

    /// What PostgreSQL stores for a user: `md5` and the digest of password and user name.
    public static func secret(user: String, password: [UInt8]) -> String {
        text(digestOf: password + Array(user.utf8))
    }

    /// What PostgreSQL stores for a user whose password is given as text.
    public static func secret(user: String, password: String) -> String {
        secret(user: user, password: Array(password.utf8))
    }

    /// The answer to AuthenticationMD5Password.
    ///
    /// - Parameters:
    ///   - secret: a stored digest, as ``secret(user:password:)-(String,String)`` makes it.
    ///   - salt: the four bytes of the request.
    public static func response(secret: String, salt: [UInt8]) -> String {
        text(digestOf: Array(secret.utf8.dropFirst(prefix.utf8.count)) + salt)
    }

    /// Whether a client's answer fits the secret; the comparison takes the same time wherever they differ.
    ///
    /// - Returns: false also for secrets that this method cannot check (none, SCRAM).
    public static func verify(answer: [UInt8], user: String, secret: StoredSecret, salt: [UInt8]) -> Bool {
        switch secret {
        case .none, .scram: false
        case .plain(let password):
            constantTimeEqual(answer, Array(response(secret: self.secret(user: user, password: password), salt: salt).utf8))
        case .md5(let digest): constantTimeEqual(answer, Array(response(secret: digest, salt: salt).utf8))
        }
    }

    private static func text(digestOf message: [UInt8]) -> String {
        prefix + Hexadecimal.text(Digest.md5(message))
    }
}
