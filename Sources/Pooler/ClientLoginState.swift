import Authentication
import PostgresWire

/// What a login carries from message to message; gone once the client is in.
final class ClientLoginState {
    let template: LoginTemplate
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

    init(template: LoginTemplate) { self.template = template }
}
