import Authentication
import Bytes
import Locking

/// What is known of one user's password: its text taken apart once, and what logins have learnt about it since.
final class Credential: Sendable {
    /// The text it was made of.
    let text: String
    /// Somebody typed it, and PAM or a directory found it right: for servers it counts more than the user list.
    let isTyped: Bool
    let secret: StoredSecret
    private let learnt = Locked(Learnt())

    private struct Learnt {
        /// The SCRAM secret of a plain password: deriving it costs milliseconds.
        var derived: SCRAMSecret?
        /// Keys that a client left behind when it proved knowledge of the stored SCRAM secret (pass-through).
        var keys: SCRAMKeys?
    }

    init(text: String) {
        self.text = text
        isTyped = false
        secret = StoredSecret(text: text)
    }

    /// A password that somebody typed: whatever it looks like, it is no hash.
    init(plain: String) {
        text = plain
        isTyped = true
        secret = .plain(plain)
    }

    var isForSCRAM: Bool { if case .scram = secret { true } else { false } }
    var derivedSecret: SCRAMSecret? { learnt.withLock { $0.derived } }
    var keys: SCRAMKeys? { learnt.withLock { $0.keys } }

    func learn(derived: SCRAMSecret) { learnt.withLock { $0.derived = derived } }
    func learn(keys: SCRAMKeys) { learnt.withLock { $0.keys = keys } }
}

/// The credentials that were needed so far, by user. One whose text has changed is replaced, and what was learnt about it is forgotten.
final class CredentialStore: Sendable {
    private let credentials = Locked<NameTable<Credential>>([:])
    /// What was derived for users who do not exist, so that their second try costs as little as anybody's.
    private let pretended = Locked<NameTable<SCRAMSecret>>([:])
    /// Names come from clients; the lists must not grow for ever.
    private static let limit = 10_000

    /// What was derived for a user who can't log in.
    func pretendedSecret(of user: String) -> SCRAMSecret? { pretended.withLock { $0[user] } }

    /// Remembers what was derived for a user who can't log in.
    func learn(pretended secret: SCRAMSecret, of user: String) {
        pretended.withLock { secrets in
            if secrets.count >= Self.limit { secrets = [:] }
            secrets[user] = secret
        }
    }

    /// The credential of this user with this text, with all that was learnt about it.
    func credential(of user: String, text: String) -> Credential {
        credential(of: user, Credential(text: text))
    }

    /// The credential of this user with this password in plain text.
    func credential(of user: String, plain: String) -> Credential {
        credential(of: user, Credential(plain: plain))
    }

    private func credential(of user: String, _ fresh: Credential) -> Credential {
        credentials.withLock { credentials in
            if let known = credentials[user], known.isTyped == fresh.isTyped, known.text.hasSameBytes(as: fresh.text) { return known }
            if credentials.count >= Self.limit { credentials = [:] }
            credentials[user] = fresh
            return fresh
        }
    }
}
