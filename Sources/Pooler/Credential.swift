import Authentication
import Locking

/// What is known of one user's password: its text taken apart once, and what logins have learnt about it since.
final class Credential: Sendable {
    /// The text it was made of.
    let text: String
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
        secret = StoredSecret(text: text)
    }

    /// A password that somebody typed: whatever it looks like, it is no hash.
    init(plain: String) {
        text = plain
        secret = .plain(plain)
    }

    var derivedSecret: SCRAMSecret? { learnt.withLock { $0.derived } }
    var keys: SCRAMKeys? { learnt.withLock { $0.keys } }

    func learn(derived: SCRAMSecret) { learnt.withLock { $0.derived = derived } }
    func learn(keys: SCRAMKeys) { learnt.withLock { $0.keys = keys } }
}

/// The credentials that were needed so far, by user. One whose text has changed is replaced, and what was learnt about it is forgotten.
final class CredentialStore: Sendable {
    private let credentials = Locked<[String: Credential]>([:])
    /// Names from auth_query come from clients; the list must not grow for ever.
    private static let limit = 10_000

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
            if let known = credentials[user], known.secret == fresh.secret { return known }
            if credentials.count >= Self.limit { credentials = [:] }
            credentials[user] = fresh
            return fresh
        }
    }
}
