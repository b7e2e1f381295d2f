import PostgresWire
import Statistics
import Testing

@testable import Authentication
@testable import PoolCore

/// Each reason with the words of the log, which scripts look for, and the cause by which it is counted.
@Suite struct ReasonsTests {
    static let clients: [(ClientCloseReason, String, ClientCloseCause)] = [
        (.terminated, "client close request", .closeRequest),
        (.endOfStream, "client unexpected eof", .endOfStream),
        (.connectionLost("Connection reset by peer"), "client connection reset by peer", .connectionLost),
        (.error(.queryTimeout), "query timeout", .queryTimeout),
        (.serverClosed(.idleTransactionTimeout), "idle transaction timeout", .idleTransactionTimeout),
        (.serverClosed(.crashed), "server conn crashed?", .serverLost),
        (.serverClosed(.said(ErrorFields(severity: "FATAL", code: "57P01", message: "m"))), "m", .serverSaid),
        (.cancelRefused(.wrongLength), "cancel request: it has the wrong length", .cancelMalformed),
        (.cancelRefused(.unknownKey), "cancel request: unknown key", .cancelUnknownKey),
        (.cancelRefused(.tooManyHops), "cancel request: too many hops between peers", .cancelTooManyHops),
        (.cancelRefused(.unknownPeer(7)), "cancel request: peer 7 is not in [peers]", .cancelUnknownPeer),
        (.cancelOver(.done), "cancel request done", .cancelDone),
        (.cancelOver(.connectFailed), "connect failed", .cancelConnectFailed),
        (.cancelOver(.notSent), "cancel request can't be sent", .cancelNotSent),
        (.cancelOver(.timedOut), "cancel_wait_timeout", .cancelTimedOut),
        (.cancelOver(.peerRemoved), "peer removed", .cancelPeerRemoved),
        (.tlsSetupFailed("x"), "TLS setup failed: x", .tlsSetupFailed),
        (.tlsHandshakeFailed("x"), "TLS handshake failed: x", .tlsHandshakeFailed),
        (.tlsFailed("x"), "TLS error: x", .tlsError),
        (
            .directTLSWithoutALPN, "direct TLS without ALPN: expected the client to offer the protocol \"postgresql\"",
            .directTLSWithoutALPN
        ),
        (.probeReturned, "the probe at the start has come back", .probeReturned),
    ]

    @Test func clients() {
        for (reason, text, cause) in Self.clients {
            #expect(reason.text == text)
            #expect(reason.cause == cause, "\(text)")
            if case .error(let error) = reason { #expect(reason.error == error) } else { #expect(reason.error == nil) }
        }
        #expect(Self.clients.filter(\.0.isDisappearance).map(\.2) == [.endOfStream, .connectionLost])
    }

    private static let fields = ErrorFields(severity: "FATAL", code: "28P01", message: "wrong", detail: "d")

    static let servers: [(ServerCloseReason, String, ServerCloseCause, ServerCloseReason.Ending)] = [
        (.idleTimeout, "server idle timeout", .idleTimeout, .polite),
        (.poolIdleTimeout, "pool idle timeout", .poolIdleTimeout, .polite),
        (.lifetimeOver, "server lifetime over", .lifetimeOver, .polite),
        (.tooManyServers, "too many servers in the pool", .surplus, .polite),
        (.evicted(.pool), "evicted for pool_size", .evictedForPool, .polite),
        (.evicted(.database), "evicted for max_db_connections", .evictedForDatabase, .polite),
        (.evicted(.user), "evicted for max_user_connections", .evictedForUser, .polite),
        (.otherStartupValues, "its startup values are not those that are waited for", .otherStartupValues, .polite),
        (.paused, "pause mode", .paused, .polite),
        (.databaseRemoved, "database removed", .databaseRemoved, .polite),
        (.configurationChanged, "database configuration changed", .configurationChanged, .polite),
        (.configurationChangedInUse, "database configuration changed", .configurationChanged, .abrupt),
        (.obsolete, "obsolete connection", .obsolete, .polite),
        (.shuttingDown, "server shutting down", .shuttingDown, .polite),
        (.clientDisconnected(isMidMessage: false), "client disconnected", .clientDisconnected, .polite),
        (.clientDisconnected(isMidMessage: true), "client disconnected", .clientDisconnected, .abrupt),
        (.clientLeftMidMessage, "client disconnected in the middle of a message", .clientLeftMidMessage, .abrupt),
        (.canceledInOwnQuery, "canceled in a query of the pooler's own", .canceledInOwnQuery, .abrupt),
        (.strayCancel, "cancel_wait_timeout", .strayCancel, .polite),
        (.tooManyParameters, "it reports too many parameters", .tooManyParameters, .polite),
        (.statementsInDoubt, "prepared statements in doubt", .statementsInDoubt, .polite),
        (.tookTooLong(.lookingUp), "lookingUp took too long", .tookTooLong, .abrupt),
        (.settingFailed(sql: "SET x = 1", "no"), "SET x = 1 failed: no", .settingFailed, .abrupt),
        (.parameterRefused, "invalid server parameter", .parameterRefused, .abrupt),
        (.queryFailed(.checkQuery, "no"), "checkQuery failed: no", .ownQueryFailed, .abrupt),
        (.queryFailed(.resetQuery, "no"), "resetQuery failed: no", .ownQueryFailed, .abrupt),
        (.authQueryMalformed, "auth_query: malformed or oversized message", .authQueryMalformed, .abrupt),
        (.authQueryInTransaction, "auth_query left the server in a transaction", .authQueryInTransaction, .abrupt),
        (.queryTimeout, "query timeout", .queryTimeout, .abrupt),
        (.transactionTimeout, "transaction timeout", .transactionTimeout, .abrupt),
        (.idleTransactionTimeout, "idle transaction timeout", .idleTransactionTimeout, .abrupt),
        (.adminDisconnect, "admin forced disconnect", .adminDisconnect, .abrupt),
        (.outOfMemory, "out of memory", .outOfMemory, .abrupt),
        (.crashed, "server conn crashed?", .crashed, .lost),
        (.said(fields), "wrong", .said, .lost),
        (.said(ErrorFields()), "server ended the connection without a reason", .said, .lost),
        (.connectionLost("Connection reset by peer"), "Connection reset by peer", .connectionLost, .lost),
        (.tlsFailed("x"), "TLS error: x", .tlsError, .lost),
        (.violation(.malformedMessage), "protocol violation: malformed message", .violation, .abrupt),
        (.violation(.unasked(type: 0x44)), "protocol violation: message 'D' that nobody asked for", .violation, .abrupt),
        (.violation(.unaskedRow), "protocol violation: row that nobody asked for", .violation, .abrupt),
        (.violation(.outOfOrder(type: 0x5A)), "protocol violation: message 'Z' out of order", .violation, .abrupt),
        (.cancelOver(.done), "cancel request done", .cancelDone, .abrupt),
        (.cancelOver(.connectFailed), "connect failed", .cancelConnectFailed, .abrupt),
        (.cancelOver(.notSent), "cancel request can't be sent", .cancelNotSent, .abrupt),
        (.cancelOver(.timedOut), "cancel_wait_timeout", .strayCancel, .abrupt),
        (.cancelOver(.peerRemoved), "peer removed", .cancelPeerRemoved, .abrupt),
    ]

    @Test func servers() {
        for (reason, text, cause, ending) in Self.servers {
            #expect(reason.text == text)
            #expect(reason.cause == cause && reason.ending == ending, "\(text)")
        }
    }

    /// What the client of such a server hears. What a limit, an operator or the server itself has to say to it, it hears as such.
    @Test func clientsOfServers() {
        let told: [(ServerCloseReason, PoolerError)] = [
            (.queryTimeout, .queryTimeout), (.transactionTimeout, .transactionTimeout), (.idleTransactionTimeout, .idleTransactionTimeout),
            (.adminDisconnect, .adminDisconnect), (.configurationChangedInUse, .configurationChanged), (.outOfMemory, .outOfMemory),
            (.said(Self.fields), .serverSaid(Self.fields)), (.violation(.unaskedRow), .replyViolation), (.crashed, .serverLost),
            (.lifetimeOver, .serverLost), (.cancelOver(.done), .serverLost),
        ]
        for (reason, error) in told { #expect(reason.clientError == error) }
    }

    static let openings: [(failure: OpeningFailure, reason: String, message: String, cause: ServerCloseCause, isFinal: Bool)] = [
        (.hostUnknown(host: "h", "w"), "server DNS lookup failed: h: w", "server DNS lookup failed: h: w", .hostUnknown, false),
        (.pathTooLong("/d"), "Unix socket path is too long: /d", "Unix socket path is too long: /d", .pathTooLong, false),
        (.connectFailed("w"), "connect failed", "connect failed", .connectFailed, false),
        (.connectFailed(nil), "connect failed", "connect failed", .connectFailed, false),
        (.connectTimeout, "connect timeout", "connect timeout", .connectTimeout, false),
        (.crashed, "server conn crashed?", "server conn crashed?", .crashed, false),
        (.connectionLost("w"), "w", "w", .connectionLost, false),
        (.tlsFailed("w"), "TLS error: w", "TLS error: w", .tlsError, false),
        (.tlsSetupFailed("w"), "TLS setup failed", "TLS setup failed", .tlsSetupFailed, false),
        (.tlsHandshakeFailed("w"), "TLS handshake failed: w", "TLS handshake failed: w", .tlsHandshakeFailed, true),
        (.tlsRefused, "server refused SSL", "server refused SSL", .tlsRefused, true),
        (.tlsNotAnswered, "server gave no answer to SSL request", "server gave no answer to SSL request", .tlsNotAnswered, false),
        (
            .unencryptedData, "server sent unencrypted data after SSL request", "server sent unencrypted data after SSL request",
            .unencryptedData, false
        ),
        (
            .directTLSWithoutALPN, "direct TLS: the server did not agree on the protocol \"postgresql\"",
            "direct TLS: the server did not agree on the protocol \"postgresql\"", .tlsHandshakeFailed, true
        ),
        (
            .directTLSRefused, "direct TLS: the server hung up in the handshake: expected PostgreSQL 17 or later (sslnegotiation = direct)",
            "direct TLS: the server hung up in the handshake: expected PostgreSQL 17 or later (sslnegotiation = direct)",
            .tlsHandshakeFailed, true
        ),
        (.refused(fields), "login failed", "wrong", .loginFailed, true),
        (.refused(ErrorFields()), "login failed", "login failed", .loginFailed, true),
        (.login("w"), "login failed", "server login failed: w", .loginFailed, true),
        (
            .passwordNotAvailable(key: "password_file", "w"), "login failed", "server login failed: password_file: w",
            .passwordNotAvailable,
            true
        ),
        (.passwordRefused, "password refused", "password refused", .passwordRefused, false),
        (.shuttingDown, "server shutting down", "server shutting down", .shuttingDown, false),
    ]

    @Test func openings() {
        for (failure, reason, message, cause, isFinal) in Self.openings {
            #expect(failure.reason == reason && failure.message == message)
            #expect(failure.cause == cause && failure.isFinal == isFinal, "\(message)")
            let closed = ServerCloseReason.notOpened(failure)
            #expect(closed.text == reason && closed.cause == cause && closed.ending == .abrupt)
        }
        #expect(OpeningFailure.refused(Self.fields).fields == Self.fields)
        #expect(
            OpeningFailure.connectFailed("w").fields
                == ErrorFields(severity: "FATAL", code: "08P01", message: "connect failed", detail: "w"))
        #expect(OpeningFailure.login("w").fields.detail == nil && OpeningFailure.tlsSetupFailed("w").detail == "w")
    }

    @Test func lostConnections() {
        #expect(OpeningFailure(.neverConnected) == .connectFailed(nil) && OpeningFailure(.endOfStream) == .crashed)
        #expect(OpeningFailure(.failed("w")) == .connectionLost("w") && OpeningFailure(.tlsFailed("w")) == .tlsFailed("w"))
        let reasons = [ConnectionLoss.endOfStream, .neverConnected, .failed("w"), .tlsFailed("w")].map(ServerCloseReason.init)
        #expect(reasons.map(\.cause) == [.crashed, .crashed, .connectionLost, .tlsError] && reasons.allSatisfy { $0.ending == .lost })
    }

    private static func exchange(_ reason: LoginRejection.Reason, _ method: LoginMethod = .scramSHA256) -> LoginFailure {
        .exchange(LoginRejection(method: method, reason: reason))
    }

    static let logins: [(failure: LoginFailure, clientText: String, logText: String, cause: ClientCloseCause)] = [
        (exchange(.noSuchUser, .trust), "\"trust\" authentication failed", "no such user", .noSuchUser),
        (exchange(.noSuchUser, .any), "\"trust\" authentication failed", "no such user", .noSuchUser),
        (exchange(.wrongPassword, .plain), "password authentication failed", "password does not match", .wrongPassword),
        (exchange(.scram(.wrongProof)), "SASL authentication failed", "password does not match", .wrongPassword),
        (exchange(.scram(.nonceMismatch)), "SASL authentication failed", "SCRAM nonce does not match", .scramFailed),
        (exchange(.noPassword, .md5), "password authentication failed", "user has no password", .noPassword),
        (
            exchange(.unsupportedSecret), "SASL authentication failed",
            "the user has an MD5 secret, which SCRAM can't be checked against: expected a SCRAM secret or a plain password",
            .unsupportedSecret
        ),
        (exchange(.emptyPassword, .plain), "empty password returned by client", "empty password", .emptyPassword),
        (exchange(.passwordTooLong, .plain), "password too long", "password too long", .passwordTooLong),
        (exchange(.malformedPassword, .plain), "password authentication failed", "malformed password message", .malformedPassword),
        (exchange(.malformedInitialResponse), "SASL authentication failed", "malformed SASLInitialResponse", .malformedPassword),
        (exchange(.unexpectedPassword), "SASL authentication failed", "unexpected password message", .unexpectedPassword),
        (exchange(.outOfOrder(.start)), "SASL authentication failed", "login started twice", .unexpectedPassword),
        (
            exchange(.unknownMechanism), "client selected an invalid SASL authentication mechanism", "unknown SASL mechanism",
            .unknownMechanism
        ),
        (exchange(.judged("w"), .pam), "PAM authentication failed", "w", .rejectedByPAM),
        (exchange(.judged("w"), .ldap), "LDAP authentication failed", "w", .rejectedByLDAP),
        (.rejectedByRule(line: 3), "login rejected", "the HBA file rejects it in line 3", .rejectedByRule),
        (.noRule, "no authentication method is found", "no rule of the HBA file matches", .noRule),
        (.systemUserUnknown, "unix socket login rejected", "the other side is no user of this system", .systemUserUnknown),
        (
            .systemUserDiffers(systemUser: "a", user: "b"), "unix socket login rejected", "system user \"a\" is not \"b\"",
            .systemUserDiffers
        ),
        (.certificateMissing, "certificate authentication failed", "the client has shown no certificate", .certificateMissing),
        (
            .certificateDiffers(names: ["a", "b"]), "certificate authentication failed", "the certificate is for \"a\", \"b\"",
            .certificateDiffers
        ),
        (
            .noForcedUser(database: "d"), "bouncer config error",
            "auth_type any needs a forced user: expected user= in the entry of database \"d\"", .loginMisconfigured
        ),
        (.notBuilt(.pam, trait: "PAM"), "pam is not supported by this build", "built without the trait PAM", .loginMisconfigured),
        (.notBuilt(.ldap, trait: "LDAP"), "ldap is not supported by this build", "built without the trait LDAP", .loginMisconfigured),
        (.noLDAPOptions, "auth_ldap_options is null", "no LDAP options", .loginMisconfigured),
        (.invalidLDAPOptions("w"), "LDAP authentication failed", "w", .loginMisconfigured),
        (
            .reservedAuthDatabase, "bouncer config error", "cannot use the reserved \"pgbouncer\" database as an auth_dbname",
            .loginMisconfigured
        ),
        (
            .unknownAuthDatabase("d"), "bouncer config error", "authentication database \"d\" is not configured", .loginMisconfigured
        ),
        (
            .disabledAuthDatabase("d"), "authentication database \"d\" is disabled", "authentication database \"d\" is disabled",
            .authDatabaseDisabled
        ),
        (.authQueryFailed("w"), "bouncer config error", "w", .authQueryFailed),
    ]

    @Test func logins() {
        for (failure, clientText, logText, cause) in Self.logins {
            #expect(failure.clientText == clientText && failure.logText == logText && failure.cause == cause)
            #expect(
                PoolerError.authenticationFailed(failure).message == clientText && PoolerError.authenticationFailed(failure).cause == cause)
        }
    }

    /// A cause without a reason would stand in the documents and never occur; a reason that is missing here fails, too.
    @Test func everyCauseHasAReason() {
        let ofClients = Self.clients.map(\.2) + PoolerErrorTests.texts.map(\.0.cause) + Self.logins.map(\.cause)
        for cause in ClientCloseCause.allCases { #expect(ofClients.contains(cause), "\(cause)") }
        let ofServers = Self.servers.map(\.2) + Self.openings.map(\.cause)
        for cause in ServerCloseCause.allCases { #expect(ofServers.contains(cause), "\(cause)") }
    }
}
