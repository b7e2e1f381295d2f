/// Why server connections are closed, or could not be made: `sluice_server_disconnects_total`, and the rows of kind `server` in SHOW ERRORS.
public enum ServerCloseCause: UInt8, CloseCause {
    // Not needed any more
    case idleTimeout, poolIdleTimeout, lifetimeOver, surplus, evictedForPool, evictedForDatabase, evictedForUser
    case otherStartupValues, clientDisconnected

    // Operators
    case paused, databaseRemoved, configurationChanged, obsolete, shuttingDown, adminDisconnect

    // Limits on what its client does
    case queryTimeout, transactionTimeout, idleTransactionTimeout

    // Not fit for another client
    case clientLeftMidMessage, canceledInOwnQuery, strayCancel, tooManyParameters, statementsInDoubt, tookTooLong
    case settingFailed, parameterRefused, ownQueryFailed, authQueryMalformed, authQueryInTransaction, outOfMemory

    // It went away, or should
    case crashed, said, connectionLost, tlsError, violation

    // Connections that carry a cancel request
    case cancelDone, cancelConnectFailed, cancelNotSent, cancelPeerRemoved

    // Never opened
    case connectFailed, connectTimeout, hostUnknown, pathTooLong, tlsSetupFailed, tlsHandshakeFailed, tlsRefused, tlsNotAnswered
    case unencryptedData, loginFailed, passwordRefused, passwordNotAvailable

    /// Most reasons to close a server are none to worry.
    public var isError: Bool { entry.closeClass == .fault }

    public var entry: CloseCauseEntry {
        switch self {
        case .idleTimeout: .init("server idle timeout", .policy, "It idled for `server_idle_timeout`.")
        case .poolIdleTimeout: .init("pool idle timeout", .policy, "Nobody used its pool for `pool_idle_timeout`.")
        case .lifetimeOver: .init("server lifetime over", .policy, "It is older than `server_lifetime`.")
        case .surplus: .init("too many servers in the pool", .policy, "`pool_size` was made smaller.")
        case .evictedForPool: .init("evicted for pool_size", .policy, "It idled, and another pool of the family had no room.")
        case .evictedForDatabase:
            .init("evicted for max_db_connections", .policy, "It idled, and another pool of the database had no room.")
        case .evictedForUser: .init("evicted for max_user_connections", .policy, "It idled, and another pool of the user had no room.")
        case .otherStartupValues:
            .init("startup values not wanted", .policy, "It idled, and clients wait for one with other startup values.")
        case .clientDisconnected: .init("client disconnected", .farewell, "It was its client's alone (replication).")

        case .paused: .init("pause mode", .policy, "PAUSE holds its database.")
        case .databaseRemoved: .init("database removed", .policy, "A reload took its database out of [databases].")
        case .configurationChanged: .init("database configuration changed", .policy, "A reload, or RECONNECT, wants new connections.")
        case .obsolete: .init("obsolete connection", .policy, "The same, found when a client was to get it.")
        case .shuttingDown: .init("server shutting down", .policy, "A shutdown closes servers that nobody uses.")
        case .adminDisconnect: .init("admin forced disconnect", .policy, "KILL of its database.")

        case .queryTimeout: .init("query timeout", .policy, "`query_timeout` was over.")
        case .transactionTimeout: .init("transaction timeout", .policy, "`transaction_timeout` was over.")
        case .idleTransactionTimeout: .init("idle transaction timeout", .policy, "`idle_transaction_timeout` was over.")

        case .clientLeftMidMessage: .init("client disconnected in the middle of a message", .policy, "Nothing can follow half a message.")
        case .canceledInOwnQuery:
            .init("canceled in a query of the pooler's own", .policy, "A cancel request could not wait for the pooler's own query.")
        case .strayCancel: .init("cancel_wait_timeout", .policy, "It carried a cancel request for too long, or one may still hit it.")
        case .tooManyParameters: .init("too many parameters reported", .policy, "It reports more parameters than are kept.")
        case .statementsInDoubt: .init("prepared statements in doubt", .policy, "What it holds of prepared statements is not known.")
        case .tookTooLong:
            .init("took too long", .policy, "A check, a reset or another query of the pooler's own took `server_connect_timeout`.")
        case .settingFailed: .init("set failed", .policy, "It refused a value that another server has taken.")
        case .parameterRefused: .init("invalid server parameter", .policy, "It refused a value that it had taken before.")
        case .ownQueryFailed:
            .init("query of the pooler failed", .policy, "`server_check_query`, `server_reset_query` or a ROLLBACK failed.")
        case .authQueryMalformed: .init("malformed answer to auth_query", .policy, "Its answer to `auth_query` can't be read.")
        case .authQueryInTransaction: .init("auth_query left a transaction open", .policy, "`auth_query` left a transaction open.")
        case .outOfMemory: .init("out of memory", .policy, "There is no memory for what it sent.")

        case .crashed: .init("server conn crashed?", .fault, "It closed the connection without a word.")
        case .said: .init("server ended the connection", .fault, "It ended the connection, and said why.")
        case .connectionLost: .init("server connection lost", .fault, "The connection broke: reset, or not answered in time.")
        case .tlsError: .init("tls error", .fault, "TLS failed after the handshake.")
        case .violation: .init("protocol violation", .fault, "It sent what nobody asked for.")

        case .cancelDone: .init("cancel request done", .farewell, "It carried a cancel request.")
        case .cancelConnectFailed:
            .init("cancel request not connected", .policy, "It was to carry a cancel request, and could not be made.")
        case .cancelNotSent: .init("cancel request not sent", .policy, "It was to carry a cancel request, which could not be sent.")
        case .cancelPeerRemoved: .init("peer removed", .policy, "It was to carry a cancel request to a peer that is gone from [peers].")

        case .connectFailed: .init("connect failed", .fault, "Nobody answers there.")
        case .connectTimeout: .init("connect timeout", .fault, "Connecting and logging in took `server_connect_timeout`.")
        case .hostUnknown: .init("server dns lookup failed", .fault, "The name of its host is not known.")
        case .pathTooLong: .init("unix socket path too long", .fault, "`host` is a folder whose name is too long.")
        case .tlsSetupFailed: .init("tls setup failed", .fault, "TLS could not be begun on this side.")
        case .tlsHandshakeFailed: .init("tls handshake failed", .fault, "The TLS handshake failed; its certificate, mostly.")
        case .tlsRefused: .init("server refused ssl", .fault, "It speaks no TLS, and `server_tls_sslmode` insists.")
        case .tlsNotAnswered: .init("no answer to ssl request", .fault, "It answered the request for TLS as no PostgreSQL does.")
        case .unencryptedData: .init("unencrypted data", .fault, "Bytes came between its yes to TLS and the handshake.")
        case .loginFailed: .init("login failed", .fault, "It refused the login, or its side of it makes no sense.")
        case .passwordRefused: .init("password refused", .policy, "It refused the password, and another one is tried.")
        case .passwordNotAvailable: .init("password not available", .fault, "`password_file` or `password_command` gave no password.")
        }
    }
}
