import PostgresWire
import Statistics

/// Why a server could not be connected to, or did not let the pooler in: what the log says, by what it is counted, and what those hear who
/// have waited for it.
public enum OpeningFailure: Sendable, Equatable {
    /// The host's name is not known; the resolver's words.
    case hostUnknown(host: String, String)
    case pathTooLong(String)
    /// Nobody answers; the system's words, where it has any.
    case connectFailed(String?)
    case connectTimeout
    /// The connection ended before the login was done.
    case crashed
    case connectionLost(String)
    case tlsFailed(String)

    case tlsSetupFailed(String)
    case tlsHandshakeFailed(String)
    /// It speaks no TLS, and the settings insist.
    case tlsRefused
    /// It answered the request for TLS as no PostgreSQL does.
    case tlsNotAnswered
    /// Bytes came between its answer and the handshake.
    case unencryptedData
    case directTLSRefused
    case directTLSWithoutALPN

    /// Its own words.
    case refused(ErrorFields)
    /// Its side of the login makes no sense, or is one that the pooler can't, or may not, do.
    case login(String)
    /// `password_file` or `password_command` (the key) has no password.
    case passwordNotAvailable(key: String, String)
    /// It refused the password, and is tried again with another one.
    case passwordRefused
    case shuttingDown

    /// The words of the log as the reason of the close.
    public var reason: String {
        switch self {
        case .connectFailed: "connect failed"
        case .tlsSetupFailed: "TLS setup failed"
        case .refused, .login, .passwordNotAvailable: "login failed"
        case .hostUnknown, .pathTooLong, .connectTimeout, .crashed, .connectionLost, .tlsFailed, .tlsHandshakeFailed, .tlsRefused,
            .tlsNotAnswered, .unencryptedData, .directTLSRefused, .directTLSWithoutALPN, .passwordRefused, .shuttingDown:
            message
        }
    }

    /// The message of the error for those who wait.
    public var message: String {
        switch self {
        case .hostUnknown(let host, let words): "server DNS lookup failed: \(host): \(words)"
        case .pathTooLong(let directory): "Unix socket path is too long: \(directory)"
        case .connectFailed: "connect failed"
        case .connectTimeout: "connect timeout"
        case .crashed: "server conn crashed?"
        case .connectionLost(let words): words
        case .tlsFailed(let words): "TLS error: \(words)"
        case .tlsSetupFailed: "TLS setup failed"
        case .tlsHandshakeFailed(let words): "TLS handshake failed: \(words)"
        case .tlsRefused: "server refused SSL"
        case .tlsNotAnswered: "server gave no answer to SSL request"
        case .unencryptedData: "server sent unencrypted data after SSL request"
        case .directTLSRefused:
            "direct TLS: the server hung up in the handshake: expected PostgreSQL 17 or later (sslnegotiation = direct)"
        case .directTLSWithoutALPN: "direct TLS: the server did not agree on the protocol \"postgresql\""
        case .refused(let fields): fields.message ?? "login failed"
        case .login(let words): "server login failed: \(words)"
        case .passwordNotAvailable(let key, let words): "server login failed: \(key): \(words)"
        case .passwordRefused: "password refused"
        case .shuttingDown: "server shutting down"
        }
    }

    /// What belongs to the message, and is told apart from it.
    public var detail: String? {
        switch self {
        case .connectFailed(let words): words
        case .tlsSetupFailed(let words): words
        case .hostUnknown, .pathTooLong, .connectTimeout, .crashed, .connectionLost, .tlsFailed, .tlsHandshakeFailed, .tlsRefused,
            .tlsNotAnswered, .unencryptedData, .directTLSRefused, .directTLSWithoutALPN, .refused, .login, .passwordNotAvailable,
            .passwordRefused, .shuttingDown:
            nil
        }
    }

    /// By what it is counted.
    public var cause: ServerCloseCause {
        switch self {
        case .hostUnknown: .hostUnknown
        case .pathTooLong: .pathTooLong
        case .connectFailed: .connectFailed
        case .connectTimeout: .connectTimeout
        case .crashed: .crashed
        case .connectionLost: .connectionLost
        case .tlsFailed: .tlsError
        case .tlsSetupFailed: .tlsSetupFailed
        case .tlsHandshakeFailed, .directTLSRefused, .directTLSWithoutALPN: .tlsHandshakeFailed
        case .tlsRefused: .tlsRefused
        case .tlsNotAnswered: .tlsNotAnswered
        case .unencryptedData: .unencryptedData
        case .refused, .login: .loginFailed
        case .passwordNotAvailable: .passwordNotAvailable
        case .passwordRefused: .passwordRefused
        case .shuttingDown: .shuttingDown
        }
    }

    /// Another try comes to the same end: those who wait are told at once. Where no server answers, they go on waiting.
    public var isFinal: Bool {
        switch self {
        case .tlsHandshakeFailed, .tlsRefused, .directTLSRefused, .directTLSWithoutALPN, .refused, .login, .passwordNotAvailable: true
        case .hostUnknown, .pathTooLong, .connectFailed, .connectTimeout, .crashed, .connectionLost, .tlsFailed, .tlsSetupFailed,
            .tlsNotAnswered, .unencryptedData, .passwordRefused, .shuttingDown:
            false
        }
    }

    /// The error for those who wait.
    public var fields: ErrorFields {
        if case .refused(let fields) = self { return fields }
        return ErrorFields(severity: "FATAL", code: SQLState.protocolViolation, message: message, detail: detail)
    }
}
