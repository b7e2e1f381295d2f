import Authentication
import PostgresWire

/// What a login carries from message to message; gone once the client is in.
final class ClientLoginState {
    let template: LoginTemplate
    var exchange: ClientLogin
    /// What the password is judged by; nil for a user who does not exist.
    let credential: Credential?
    /// The end of the authentication, held back until the pool's first server is there.
    var answer: [UInt8] = []

    init(template: LoginTemplate, exchange: ClientLogin, credential: Credential?) {
        self.template = template
        self.exchange = exchange
        self.credential = credential
    }
}
