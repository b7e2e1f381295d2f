/// What a message of the log tells. An event that programs look for has a case of its own, and so members of its own in JSON; all others
/// are words.
public enum LogEvent: Sendable, Equatable, ExpressibleByStringInterpolation {
    case words(String)
    /// A client has shown who it is, and is about to be let in.
    case login(database: String, user: String, tls: String?, replication: String?)
    /// A client has not shown who it is.
    case loginFailed(reason: String, cause: String)
    /// A client is told an error of the pooler's own.
    case poolerError(message: String, code: String)
    /// A connection is closed. The cause is one of a fixed set, the reason has the particulars; the age is in seconds.
    case close(reason: String, cause: String, age: Int)

    public init(stringLiteral text: String) { self = .words(text) }

    /// The text of a line, in PgBouncer's words where it has the event.
    var text: String {
        switch self {
        case .words(let text): text
        case .login(let database, let user, let tls, let replication):
            "login attempt: db=\(database) user=\(user) tls=\(tls ?? "no") replication=\(replication ?? "no")"
        case .loginFailed(let reason, _): "login failed: \(reason)"
        case .poolerError(let message, _): "pooler error: \(message)"
        case .close(let reason, _, let age): "closing because: \(reason) (age=\(age)s)"
        }
    }
}
