import Testing

@testable import PoolCore
@testable import PostgresWire

@Suite struct PoolerErrorTests {
    static let fields = ErrorFields(severity: "ERROR", code: "42704", message: "unrecognized")
    static let texts: [(PoolerError, String)] = [
        (.unsupportedProtocol, "old V2 protocol not supported"), (.malformedStartup("m"), "m"),
        (.unknownProtocol(major: 4, minor: 1), "unsupported frontend protocol 4.1: server supports 3.0 to 3.2"),
        (.invalidOptions(StartupOptions.Failure(code: "42601", message: "o", hint: nil)), "o"),
        (.invalidReplication("x"), "invalid value for parameter \"replication\": \"x\""),
        (.fixedParameter("x"), "parameter \"x\" cannot be changed"),
        (.foreignAuthorization("x"), "permission denied to set session authorization \"x\""),
        (.missingUser, "no PostgreSQL user name specified in startup packet"), (.nameTooLong(.user), "username too long"),
        (.nameTooLong(.portalOrStatement), "name of a portal or statement too long"),
        (.noSuchDatabase("x"), "no such database: x"), (.databaseDisabled("x"), "database \"x\" is disabled"),
        (.authenticationFailed(.noRule), "no authentication method is found"),
        (.tooManyClients, "no more connections allowed (max_client_conn)"),
        (.tooManyDatabaseClients, "client connections exceeded (max_db_client_connections)"),
        (.tooManyUserClients, "client connections exceeded (max_user_client_connections)"),
        (.shuttingDown, "pooler is shutting down"), (.loginTimeout(), "client_login_timeout"),
        (.loginTimeoutServerDown(), "client_login_timeout (server down)"),
        (.passwordBeforeStartup, "client password pkt before startup packet"), (.repeatedStartup, "client re-sent startup pkt"),
        (.unencryptedData(after: .tls), "received unencrypted data after SSL request"),
        (.unencryptedData(after: .gss), "received unencrypted data after GSSAPI encryption request"), (.tlsRequired, "SSL required"),
        (.tooManyLogins, "too many logins at the same time: try again later"), (.outOfMemory, "out of memory"),
        (.idleSessionTimeout, "terminating connection due to idle-session timeout"), (.consoleNotAllowed, "not allowed"),
        (.consoleRefused("c"), "c"), (.serverSaid(fields), "unrecognized"), (.serverSaid(ErrorFields()), "server conn crashed?"),
        (.unknownMessage, "unknown pkt"), (.badHeader("00"), "bad packet header: '00'"),
        (.surplusBytes(0x53), "invalid message format: bytes behind the end of message type 0x53"),
        (.lostSynchronization, "terminating connection because protocol synchronization was lost"),
        (.messageTooLarge(5), "message of 5 bytes is too large"),
        (.stalledMessage, "unfinished message: the rest did not arrive in time"), (.simpleQueryDisallowed, "PQexec disallowed"),
        (.transactionInStatementMode, "transaction blocks not allowed in statement pooling mode"),
        (.queryTimeoutWaiting, "query_timeout"), (.queryWaitTimeout(), "query_wait_timeout"), (.queryTimeout, "query timeout"),
        (.idleTransactionTimeout, "idle transaction timeout"), (.transactionTimeout, "transaction timeout"),
        (.clientIdleTimeout, "client_idle_timeout"), (.serverShuttingDown, "server shutting down"),
        (.databaseRemoved, "database removed"), (.configurationChanged, "database configuration changed"),
        (.adminDisconnect, "admin forced disconnect"), (.serverLost, "server conn crashed?"),
        (.serverLoginFailing("x"), "server login has been failing, cached error: x (server_login_retry)"),
        (.serverLoginFailed(fields), "unrecognized"), (.serverLoginFailed(ErrorFields()), "login failed"),
        (.invalidServerParameter(fields), "unrecognized"), (.invalidServerParameter(ErrorFields()), "invalid server parameter"),
        (.replyViolation, "server sent a reply that nobody asked for"),
    ]

    @Test("the client reads the texts that tools match, and a FATAL with a SQLSTATE")
    func texts() {
        for (error, text) in Self.texts {
            #expect(error.message == text)
            let fields = error.fields
            #expect(fields.severity == "FATAL" && fields.code?.utf8.count == 5, "\(error)")
            if case .serverLoginFailed = error { continue }
            if case .invalidServerParameter = error { continue }
            if case .serverSaid = error { continue }
            #expect(fields.message == text && fields.nonlocalizedSeverity == "FATAL" && fields.code == error.code)
        }
    }

    @Test("PgBouncer's 08P01, a server's own code, and 08006 for a lost server")
    func codes() {
        #expect(PoolerError.queryWaitTimeout().code == "08P01")
        #expect(PoolerError.serverLoginFailed(Self.fields).fields.code == "42704")
        #expect(PoolerError.serverLoginFailed(ErrorFields()).fields.code == "08P01")
        #expect(PoolerError.serverLost.code == "08006" && PoolerError.replyViolation.code == "08006")
    }
}
