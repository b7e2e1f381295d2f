import Authentication
import Configuration
import PoolCore
import PostgresWire

/// What a login carries from message to message; gone once the client is in.
final class ClientLoginState {
    var exchange: ClientLogin
    let database: String
    /// The pool's database; nil when there is no such database, which is told only after the password was right.
    let entry: Database?
    let secret: StoredSecret?
    /// Run-time parameters of the startup packet, those of `options` included, in order.
    let parameters: [Parameter]
    let plainPassword: String?
    /// The end of the authentication, held back until the pool's first server is there.
    var answer: [UInt8] = []

    init(
        exchange: ClientLogin, database: String, entry: Database?, secret: StoredSecret?, parameters: [Parameter]
    ) {
        self.exchange = exchange
        self.database = database
        self.entry = entry
        self.secret = secret
        self.parameters = parameters
        if case .plain(let password) = secret { plainPassword = password } else { plainPassword = nil }
    }
}
