/// What the pooler knows of a user's password, recognised from its text as PostgreSQL does.
public enum StoredSecret: Sendable, Equatable {
    /// No password, or an empty one: nothing a client types fits.
    case none
    /// The password itself.
    case plain(String)
    /// `md5` and 32 lower-case hexadecimal digits: the digest of password and user name.
    case md5(String)
    /// `SCRAM-SHA-256$...`.
    case scram(SCRAMSecret)

    /// Recognises the form. A text that almost looks like a digest or a SCRAM secret is a plain password.
    public init(text: String?) {
        guard let text, !text.isEmpty else {
            self = .none
            return
        }
        if MD5Password.isSecret(text) {
            self = .md5(text)
        } else if let secret = SCRAMSecret(text: text) {
            self = .scram(secret)
        } else {
            self = .plain(text)
        }
    }

    /// The text it was made of, empty for ``none``. Secret: not for logs.
    public var text: String {
        switch self {
        case .none: ""
        case .plain(let password): password
        case .md5(let digest): digest
        case .scram(let secret): secret.text
        }
    }
}

extension StoredSecret: CustomStringConvertible, CustomDebugStringConvertible {
    /// Names the form and nothing secret.
    public var description: String {
        switch self {
        case .none: "no password"
        case .plain: "plain password"
        case .md5: "MD5 password"
        case .scram(let secret): secret.description
        }
    }
    public var debugDescription: String { description }
}
