/// Why clients are closed: `sluice_client_disconnects_total`, and `sluice_login_failures_total` for those without a pool.
public enum ClientCloseCause: UInt8, CloseCause {
    // They leave
    case closeRequest, endOfStream, connectionLost
    case probeReturned

    // Cancel requests
    case cancelDone, cancelMalformed, cancelUnknownKey, cancelTooManyHops, cancelUnknownPeer
    case cancelConnectFailed, cancelNotSent, cancelTimedOut, cancelPeerRemoved

    // TLS
    case tlsSetupFailed, tlsHandshakeFailed, tlsError, directTLSWithoutALPN, tlsRequired, unencryptedData

    // Startup
    case unsupportedProtocol, unknownProtocol, malformedStartup, passwordBeforeStartup, repeatedStartup, missingUser, userTooLong
    case invalidOptions, invalidReplication, fixedParameter, foreignAuthorization, invalidServerParameter
    case noSuchDatabase, databaseDisabled

    // Logins that are refused
    case noSuchUser, wrongPassword, noPassword, emptyPassword, passwordTooLong, malformedPassword, unexpectedPassword
    case unsupportedSecret, unknownMechanism, scramFailed, rejectedByPAM, rejectedByLDAP
    case rejectedByRule, noRule, systemUserUnknown, systemUserDiffers, certificateMissing, certificateDiffers
    case authQueryFailed, authDatabaseDisabled, loginMisconfigured

    // Limits
    case tooManyClients, tooManyDatabaseClients, tooManyUserClients, tooManyLogins, loginTimeout, loginTimeoutServerDown, outOfMemory

    // Messages
    case unknownMessage, badHeader, surplusBytes, lostSynchronization, messageTooLarge, nameTooLong, stalledMessage
    case simpleQueryDisallowed, transactionInStatementMode
    case consoleNotAllowed, consoleRefused

    // Waiting and running
    case queryTimeoutWaiting, queryWaitTimeout, queryTimeout, transactionTimeout, idleTransactionTimeout
    case clientIdleTimeout, idleSessionTimeout

    // Operators
    case shuttingDown, serverShuttingDown, databaseRemoved, configurationChanged, adminDisconnect

    // Servers
    case serverLost, serverSaid, serverLoginFailing, serverLoginFailed, replyViolation

    /// Clients that leave by themselves are no errors.
    public var isError: Bool { entry.closeClass != .farewell }

    public var entry: CloseCauseEntry {
        switch self {
        case .closeRequest: .init("client close request", .farewell, "It said good-bye (Terminate).")
        case .endOfStream: .init("client unexpected eof", .farewell, "It closed its connection without a word.")
        case .connectionLost: .init("client connection lost", .fault, "Its connection broke: reset, or not answered in time.")
        case .probeReturned:
            .init("start probe came back", .fault, "The probe at the start met the pooler itself: the database URL leads here.")

        case .cancelDone:
            .init("cancel request done", .farewell, "It carried a cancel request, which was delivered or had nothing to cancel.")
        case .cancelMalformed: .init("cancel request with a wrong length", .fault, "It carried what begins like a cancel request.")
        case .cancelUnknownKey: .init("cancel request with an unknown key", .fault, "It carried a cancel request for no client.")
        case .cancelTooManyHops:
            .init("cancel request with too many hops", .fault, "It carried a cancel request that peers have passed around in a circle.")
        case .cancelUnknownPeer: .init("cancel request for an unknown peer", .fault, "The peer that has the client is not in [peers].")
        case .cancelConnectFailed:
            .init("cancel request not connected", .fault, "The server, or the peer, could not be connected to for its cancel request.")
        case .cancelNotSent: .init("cancel request not sent", .fault, "The server did not take its cancel request.")
        case .cancelTimedOut: .init("cancel_wait_timeout", .policy, "Its cancel request was not delivered in time.")
        case .cancelPeerRemoved: .init("peer removed", .policy, "The peer that had the client was taken out of [peers].")

        case .tlsSetupFailed: .init("tls setup failed", .fault, "TLS could not be begun on this side.")
        case .tlsHandshakeFailed: .init("tls handshake failed", .fault, "The TLS handshake failed.")
        case .tlsError: .init("tls error", .fault, "TLS failed after the handshake.")
        case .directTLSWithoutALPN:
            .init("direct tls without alpn", .fault, "It began with TLS and did not name the protocol `postgresql`.")
        case .tlsRequired: .init("ssl required", .fault, "`client_tls_sslmode` asks for TLS.")
        case .unencryptedData: .init("unencrypted data", .fault, "Bytes came between a request for encryption and the answer.")

        case .unsupportedProtocol: .init("old v2 protocol not supported", .fault, "It speaks protocol 2.")
        case .unknownProtocol: .init("unsupported frontend protocol", .fault, "It asks for a protocol that there is not.")
        case .malformedStartup: .init("malformed startup packet", .fault, "Its startup packet makes no sense.")
        case .passwordBeforeStartup: .init("password before startup packet", .fault, "It began with a password.")
        case .repeatedStartup: .init("repeated startup packet", .fault, "It sent a second startup packet.")
        case .missingUser: .init("no user name", .fault, "Its startup packet names no user.")
        case .userTooLong: .init("username too long", .fault, "The user's name is longer than 127 bytes.")
        case .invalidOptions: .init("invalid startup options", .fault, "`options` of its startup packet can't be read.")
        case .invalidReplication: .init("invalid replication", .fault, "`replication` of its startup packet can't be read.")
        case .fixedParameter: .init("parameter cannot be changed", .fault, "Its startup packet sets a parameter that nobody can set.")
        case .foreignAuthorization:
            .init("permission denied to set session authorization", .fault, "Its startup packet asks for the rights of another user.")
        case .invalidServerParameter: .init("invalid server parameter", .fault, "The server refuses a value of its startup packet.")
        case .noSuchDatabase: .init("no such database", .fault, "No entry of [databases] has the name.")
        case .databaseDisabled: .init("database is disabled", .policy, "DISABLE lets nobody in.")

        case .noSuchUser: .init("no such user", .fault, "Neither the user list nor `auth_query` knows the user.")
        case .wrongPassword: .init("password does not match", .fault, "The password is wrong.")
        case .noPassword: .init("user has no password", .fault, "No password is right for the user.")
        case .emptyPassword: .init("empty password", .fault, "The password is empty.")
        case .passwordTooLong: .init("password too long", .fault, "The password is longer than 65,535 bytes.")
        case .malformedPassword: .init("malformed password message", .fault, "A message with a password can't be read.")
        case .unexpectedPassword: .init("unexpected password message", .fault, "A message with a password was not due.")
        case .unsupportedSecret:
            .init("md5 secret where scram is asked for", .fault, "The user list has an MD5 secret, and `auth_type` asks for SCRAM.")
        case .unknownMechanism: .init("unknown sasl mechanism", .fault, "It chose a mechanism that was not offered.")
        case .scramFailed: .init("scram exchange failed", .fault, "A message of the SCRAM exchange is wrong, channel binding included.")
        case .rejectedByPAM: .init("rejected by pam", .fault, "PAM did not accept the password, or could not be asked.")
        case .rejectedByLDAP: .init("rejected by ldap", .fault, "The directory did not accept the password, or could not be asked.")
        case .rejectedByRule: .init("rejected by the hba file", .policy, "A `reject` line of the HBA file matches.")
        case .noRule: .init("no rule of the hba file matches", .policy, "No line of the HBA file lets it in.")
        case .systemUserUnknown: .init("no user of this system", .fault, "`peer` found no user at the other end of the socket.")
        case .systemUserDiffers: .init("another user of this system", .fault, "`peer` found another user, and no ident map allows it.")
        case .certificateMissing: .init("no client certificate", .fault, "`cert` wants a certificate, and it has shown none.")
        case .certificateDiffers:
            .init("certificate of another user", .fault, "The certificate is for somebody else, and no ident map allows it.")
        case .authQueryFailed: .init("auth_query failed", .fault, "`auth_query` failed, or its answer makes no sense.")
        case .authDatabaseDisabled: .init("authentication database is disabled", .policy, "DISABLE holds the database of `auth_query`.")
        case .loginMisconfigured:
            .init("bouncer config error", .fault, "The settings do not allow any login of this kind; the log says what is missing.")

        case .tooManyClients: .init("no more connections allowed (max_client_conn)", .policy, "`max_client_conn` is reached.")
        case .tooManyDatabaseClients:
            .init("client connections exceeded (max_db_client_connections)", .policy, "`max_db_client_connections` is reached.")
        case .tooManyUserClients:
            .init("client connections exceeded (max_user_client_connections)", .policy, "`max_user_client_connections` is reached.")
        case .tooManyLogins: .init("too many logins at the same time", .policy, "More logins wait for hashing, PAM or LDAP than get done.")
        case .loginTimeout: .init("client_login_timeout", .policy, "It did not log in in time, or waited too long for a server to do so.")
        case .loginTimeoutServerDown: .init("client_login_timeout (server down)", .policy, "No server answered while it was logging in.")
        case .outOfMemory: .init("out of memory", .fault, "There is no memory for what it sent.")

        case .unknownMessage: .init("unknown pkt", .fault, "It sent a message that there is not, or that is not due.")
        case .badHeader: .init("bad packet header", .fault, "The length of a message makes no sense.")
        case .surplusBytes: .init("bytes behind the end of a message", .fault, "A message has more bytes than belong to it.")
        case .lostSynchronization:
            .init("protocol synchronization was lost", .fault, "It sent a message in the middle of a COPY that no COPY takes.")
        case .messageTooLarge: .init("message too large", .fault, "A message is longer than `max_packet_size`.")
        case .nameTooLong: .init("name of a portal or statement too long", .fault, "The name fills a whole buffer.")
        case .stalledMessage: .init("unfinished message", .policy, "The rest of a message did not come within `client_message_timeout`.")
        case .simpleQueryDisallowed: .init("pqexec disallowed", .policy, "`disable_pqexec` forbids simple queries.")
        case .transactionInStatementMode:
            .init("transaction blocks not allowed in statement pooling mode", .policy, "It began a transaction in `pool_mode = statement`.")
        case .consoleNotAllowed: .init("not allowed", .policy, "The user may not use the console.")
        case .consoleRefused: .init("invalid console message", .fault, "The console can't read a message.")

        case .queryTimeoutWaiting: .init("query_timeout", .policy, "`query_timeout` was over before it got a server.")
        case .queryWaitTimeout: .init("query_wait_timeout", .policy, "It waited too long for a server.")
        case .queryTimeout: .init("query timeout", .policy, "`query_timeout` was over while its query ran.")
        case .transactionTimeout: .init("transaction timeout", .policy, "`transaction_timeout` was over.")
        case .idleTransactionTimeout: .init("idle transaction timeout", .policy, "`idle_transaction_timeout` was over.")
        case .clientIdleTimeout: .init("client_idle_timeout", .policy, "It asked for nothing for `client_idle_timeout`.")
        case .idleSessionTimeout:
            .init("idle-session timeout", .policy, "It asked for nothing for the `idle_session_timeout` that it brought.")

        case .shuttingDown: .init("pooler is shutting down", .policy, "It came after a shutdown had begun.")
        case .serverShuttingDown: .init("server shutting down", .policy, "It waited for a server when a shutdown closed them.")
        case .databaseRemoved: .init("database removed", .policy, "A reload took its database out of [databases].")
        case .configurationChanged:
            .init("database configuration changed", .policy, "Its server belonged to an entry that a reload has changed.")
        case .adminDisconnect: .init("admin forced disconnect", .policy, "KILL or KILL_CLIENT.")

        case .serverLost: .init("server conn crashed?", .fault, "Its server went away.")
        case .serverSaid: .init("server ended the connection", .fault, "Its server ended the connection, and said why.")
        case .serverLoginFailing: .init("server login has been failing", .fault, "No server can be had, and the next try is not due.")
        case .serverLoginFailed: .init("server login failed", .fault, "It waited for a server that was refused.")
        case .replyViolation: .init("server sent a reply that nobody asked for", .fault, "Its server broke the protocol.")
        }
    }
}
