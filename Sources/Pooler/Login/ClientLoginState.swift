import Authentication
import Bytes
import PostgresWire

/// What a login carries from message to message; gone once the client is in.
final class ClientLoginState {
    let template: LoginTemplate
    /// Who logs in: the name in the packet, or the one that `auth_query` has returned in its place.
    private(set) var user: String
    /// `auth_query` has answered, and what comes next then.
    var isLookedUp = false
    var afterLookup = Step.exchange
    enum Step {
        case rules, certificate, exchange
    }
    /// The exchange with the client; nil before it is known what the client is judged by.
    var exchange: ClientLogin?
    /// What the password is judged by; nil for a user who does not exist.
    var credential: Credential?
    /// The end of the authentication, held back until the pool's first server is there.
    var answer: [UInt8] = []
    /// Somebody else has the word: what the client sends meanwhile is kept for later.
    var isSuspended = false
    /// How the client is to be judged, once the user is known.
    var method = LoginMethod.md5
    /// The options of the HBA rule, or the global ones.
    var ldapOptions: String?

    init(template: LoginTemplate) {
        self.template = template
        user = template.user
    }

    /// What the template knows of the pool and the limits is not about this user.
    var isRenamed: Bool { !user.hasSameBytes(as: template.user) }

    func rename(_ name: String) { user = name }
}
