/// Whom a message of the log is about.
public enum LogSubject: Sendable, Equatable {
    /// A client. Database and user are nil as long as it has not named them.
    case client(id: UInt64, database: String?, user: String?, address: String)
    /// A server connection; `process` is the one of PostgreSQL, once it is known.
    case server(id: UInt64, database: String, user: String, address: String, process: UInt32? = nil)
    /// A pool, of which no connection in particular is meant.
    case pool(database: String, user: String)
    /// The connection of a cancel request to another process of the same port.
    case peer(id: UInt64, number: Int, host: String?)

    /// The beginning of a line, as PgBouncer has it: `C-0x1f: database/user@address:port`.
    var mark: String {
        switch self {
        case .client(let id, let database, let user, let address):
            "C-0x\(String(id, radix: 16)): \(database ?? "(nodb)")/\(user ?? "(nouser)")@\(address)"
        case .server(let id, let database, let user, let address, _): "S-0x\(String(id, radix: 16)): \(database)/\(user)@\(address)"
        case .pool(let database, let user): "C-0x0: \(database)/\(user)@pool"
        case .peer(let id, let number, let host): "S-0x\(String(id, radix: 16)): peer-\(number)@\(host ?? "?"):"
        }
    }
}
