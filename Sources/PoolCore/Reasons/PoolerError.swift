import PostgresWire
import Statistics

/// Every error that the pooler itself tells a client, with what a program can match on (SQLSTATE) and what the log says.
public enum PoolerError: Error, Sendable, Equatable {
    // Startup
    case unsupportedProtocol
    case unknownProtocol(major: UInt16, minor: UInt16)
    case malformedStartup(String)
    case passwordBeforeStartup
    case repeatedStartup
    /// Bytes came between a request for encryption and the answer: somebody in between may have put them there.
    case unencryptedData(after: EncryptionRequest)
    case invalidOptions(StartupOptions.Failure)
    case invalidReplication(String)
    /// A parameter that tells of the server, and that nobody can set.
    case fixedParameter(String)
    case foreignAuthorization(String)
    case missingUser
    case nameTooLong(BoundedName)
    case noSuchDatabase(String)
    case databaseDisabled(String)
    case authenticationFailed(LoginFailure)
    case tooManyClients
    case tooManyDatabaseClients
    case tooManyUserClients
    /// Hashing threads, PAM or the directory have more to do than they get done.
    case tooManyLogins
    case shuttingDown
    /// With what the client waited for, where it had shown who it is.
    case loginTimeout(detail: String? = nil, hint: String? = nil)
    /// The same, where no server answered.
    case loginTimeoutServerDown(detail: String? = nil, hint: String? = nil)
    case tlsRequired

    // Messages
    case unknownMessage
    case badHeader(String)
    /// A message of this type has bytes behind what belongs to it.
    case surplusBytes(UInt8)
    /// A message that no COPY takes came while one was reading.
    case lostSynchronization
    case messageTooLarge(Int)
    case stalledMessage
    case simpleQueryDisallowed
    case transactionInStatementMode

    // Waiting and running
    case queryTimeoutWaiting
    /// With what the client waited for, and what would help, where that is known.
    case queryWaitTimeout(detail: String? = nil, hint: String? = nil)
    case queryTimeout
    case idleTransactionTimeout
    case transactionTimeout
    case clientIdleTimeout
    /// The `idle_session_timeout` that the client brought.
    case idleSessionTimeout
    case serverShuttingDown
    case databaseRemoved
    case configurationChanged
    case adminDisconnect
    /// The console does not know this user.
    case consoleNotAllowed
    /// What came is no console's.
    case consoleRefused(String)

    // Servers
    case serverLost
    /// The server's own last words.
    case serverSaid(ErrorFields)
    case serverLoginFailing(String)
    case serverLoginFailed(ErrorFields)
    case invalidServerParameter(ErrorFields)
    case replyViolation

    /// There is no memory for what the client sent.
    case outOfMemory

    /// A request for encryption, ahead of the startup packet.
    public enum EncryptionRequest: String, Sendable, CaseIterable {
        case tls = "SSL"
        case gss = "GSSAPI encryption"
    }

    /// A name of which the length is bounded.
    public enum BoundedName: String, Sendable, CaseIterable {
        case user = "username"
        case portalOrStatement = "name of a portal or statement"
    }

    /// The client has sent what it may not send; what it sent before is none the worse for it.
    public var isAboutMessage: Bool {
        switch self {
        case .unknownMessage, .badHeader, .surplusBytes, .messageTooLarge, .outOfMemory, .simpleQueryDisallowed: true
        default: false
        }
    }

    /// SQLSTATE. PgBouncer answers 08P01 for nearly everything and tools match on it; the exceptions say more and hurt nobody. What is
    /// wrong with a startup packet, PostgreSQL's own code tells.
    public var code: String {
        switch self {
        case .serverLost, .replyViolation: SQLState.connectionFailure
        case .outOfMemory: SQLState.outOfMemory
        case .idleSessionTimeout: SQLState.idleSessionTimeout
        case .unknownProtocol: SQLState.featureNotSupported
        case .invalidOptions(let failure): failure.code
        case .invalidReplication: SQLState.invalidParameterValue
        case .fixedParameter: SQLState.cannotChangeParameterNow
        case .foreignAuthorization: SQLState.insufficientPrivilege
        case .missingUser: SQLState.invalidAuthorization
        case .serverLoginFailed(let fields), .invalidServerParameter(let fields), .serverSaid(let fields):
            fields.code ?? SQLState.protocolViolation
        default: SQLState.protocolViolation
        }
    }

    /// The text that the client sees, and that the log gives as the reason of the close.
    public var message: String {
        switch self {
        case .unsupportedProtocol: "old V2 protocol not supported"
        case .unknownProtocol(let major, let minor):
            "unsupported frontend protocol \(major).\(minor): server supports 3.0 to 3.\(ProtocolVersion.newestMinor)"
        case .malformedStartup(let text): text
        case .passwordBeforeStartup: "client password pkt before startup packet"
        case .repeatedStartup: "client re-sent startup pkt"
        case .unencryptedData(let request): "received unencrypted data after \(request.rawValue) request"
        case .invalidOptions(let failure): failure.message
        case .invalidReplication(let text): "invalid value for parameter \"replication\": \"\(text)\""
        case .fixedParameter(let name): "parameter \"\(name)\" cannot be changed"
        case .foreignAuthorization(let name): "permission denied to set session authorization \"\(name)\""
        case .missingUser: "no PostgreSQL user name specified in startup packet"
        case .nameTooLong(let name): "\(name.rawValue) too long"
        case .noSuchDatabase(let name): "no such database: \(name)"
        case .databaseDisabled(let name): "database \"\(name)\" is disabled"
        case .authenticationFailed(let failure): failure.clientText
        case .tooManyClients: "no more connections allowed (max_client_conn)"
        case .tooManyDatabaseClients: "client connections exceeded (max_db_client_connections)"
        case .tooManyUserClients: "client connections exceeded (max_user_client_connections)"
        case .tooManyLogins: "too many logins at the same time: try again later"
        case .shuttingDown: "pooler is shutting down"
        case .loginTimeout: "client_login_timeout"
        case .loginTimeoutServerDown: "client_login_timeout (server down)"
        case .tlsRequired: "SSL required"
        case .unknownMessage: "unknown pkt"
        case .badHeader(let hex): "bad packet header: '\(hex)'"
        case .surplusBytes(let type):
            "invalid message format: bytes behind the end of message type 0x\(String(type, radix: 16, uppercase: true))"
        case .lostSynchronization: "terminating connection because protocol synchronization was lost"
        case .messageTooLarge(let length): "message of \(length) bytes is too large"
        case .stalledMessage: "unfinished message: the rest did not arrive in time"
        case .simpleQueryDisallowed: "PQexec disallowed"
        case .transactionInStatementMode: "transaction blocks not allowed in statement pooling mode"
        case .queryTimeoutWaiting: "query_timeout"
        case .queryWaitTimeout: "query_wait_timeout"
        case .queryTimeout: "query timeout"
        case .idleTransactionTimeout: "idle transaction timeout"
        case .transactionTimeout: "transaction timeout"
        case .clientIdleTimeout: "client_idle_timeout"
        case .idleSessionTimeout: "terminating connection due to idle-session timeout"
        case .serverShuttingDown: "server shutting down"
        case .databaseRemoved: "database removed"
        case .configurationChanged: "database configuration changed"
        case .adminDisconnect: "admin forced disconnect"
        case .consoleNotAllowed: "not allowed"
        case .consoleRefused(let text): text
        case .serverLost: "server conn crashed?"
        case .serverLoginFailing(let text): "server login has been failing, cached error: \(text) (server_login_retry)"
        case .serverLoginFailed(let fields): fields.message ?? "login failed"
        case .serverSaid(let fields): fields.message ?? "server conn crashed?"
        case .invalidServerParameter(let fields): fields.message ?? "invalid server parameter"
        case .replyViolation: "server sent a reply that nobody asked for"
        case .outOfMemory: "out of memory"
        }
    }

    /// By what it is counted.
    public var cause: ClientCloseCause {
        switch self {
        case .unsupportedProtocol: .unsupportedProtocol
        case .unknownProtocol: .unknownProtocol
        case .malformedStartup: .malformedStartup
        case .passwordBeforeStartup: .passwordBeforeStartup
        case .repeatedStartup: .repeatedStartup
        case .unencryptedData: .unencryptedData
        case .invalidOptions: .invalidOptions
        case .invalidReplication: .invalidReplication
        case .fixedParameter: .fixedParameter
        case .foreignAuthorization: .foreignAuthorization
        case .missingUser: .missingUser
        case .nameTooLong(.user): .userTooLong
        case .nameTooLong(.portalOrStatement): .nameTooLong
        case .noSuchDatabase: .noSuchDatabase
        case .databaseDisabled: .databaseDisabled
        case .authenticationFailed(let failure): failure.cause
        case .tooManyClients: .tooManyClients
        case .tooManyDatabaseClients: .tooManyDatabaseClients
        case .tooManyUserClients: .tooManyUserClients
        case .tooManyLogins: .tooManyLogins
        case .shuttingDown: .shuttingDown
        case .loginTimeout: .loginTimeout
        case .loginTimeoutServerDown: .loginTimeoutServerDown
        case .tlsRequired: .tlsRequired
        case .unknownMessage: .unknownMessage
        case .badHeader: .badHeader
        case .surplusBytes: .surplusBytes
        case .lostSynchronization: .lostSynchronization
        case .messageTooLarge: .messageTooLarge
        case .stalledMessage: .stalledMessage
        case .simpleQueryDisallowed: .simpleQueryDisallowed
        case .transactionInStatementMode: .transactionInStatementMode
        case .queryTimeoutWaiting: .queryTimeoutWaiting
        case .queryWaitTimeout: .queryWaitTimeout
        case .queryTimeout: .queryTimeout
        case .idleTransactionTimeout: .idleTransactionTimeout
        case .transactionTimeout: .transactionTimeout
        case .clientIdleTimeout: .clientIdleTimeout
        case .idleSessionTimeout: .idleSessionTimeout
        case .serverShuttingDown: .serverShuttingDown
        case .databaseRemoved: .databaseRemoved
        case .configurationChanged: .configurationChanged
        case .adminDisconnect: .adminDisconnect
        case .consoleNotAllowed: .consoleNotAllowed
        case .consoleRefused: .consoleRefused
        case .serverLost: .serverLost
        case .serverSaid: .serverSaid
        case .serverLoginFailing: .serverLoginFailing
        case .serverLoginFailed: .serverLoginFailed
        case .invalidServerParameter: .invalidServerParameter
        case .replyViolation: .replyViolation
        case .outOfMemory: .outOfMemory
        }
    }

    /// The ErrorResponse for the client; FATAL, because the connection closes after it.
    public var fields: ErrorFields {
        switch self {
        case .serverLoginFailed(var fields), .invalidServerParameter(var fields), .serverSaid(var fields):
            fields.severity = "FATAL"
            if fields.nonlocalizedSeverity != nil { fields.nonlocalizedSeverity = "FATAL" }
            if fields.code == nil { fields.code = SQLState.protocolViolation }
            if fields.message == nil { fields.message = message }
            return fields
        case .queryWaitTimeout(let detail, let hint), .loginTimeout(let detail, let hint), .loginTimeoutServerDown(let detail, let hint):
            return ErrorFields(severity: "FATAL", code: code, message: message, detail: detail, hint: hint)
        case .invalidOptions(let failure):
            return ErrorFields(severity: "FATAL", code: code, message: message, hint: failure.hint)
        case .invalidReplication:
            return ErrorFields(
                severity: "FATAL", code: code, message: message,
                hint: "Valid values are: \"false\", 0, \"true\", 1, \"database\".")
        case .serverLost:
            return ErrorFields(
                severity: "FATAL", code: code, message: message,
                detail: "The connection to the PostgreSQL server ended while it was serving this client.")
        default:
            return ErrorFields(severity: "FATAL", code: code, message: message)
        }
    }
}
