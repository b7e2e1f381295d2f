import PostgresWire
import Statistics

/// Why a server connection is closed: what the log says, by what it is counted, and what its client is told.
public enum ServerCloseReason: Sendable {
    // Nobody is using it
    case idleTimeout
    case poolIdleTimeout
    case lifetimeOver
    case tooManyServers
    case evicted(EvictingLimit)
    case otherStartupValues
    case paused
    case databaseRemoved
    case configurationChanged
    case obsolete
    case shuttingDown
    /// It was its client's alone.
    case clientDisconnected(isMidMessage: Bool)

    // It can't be used for anybody else
    case clientLeftMidMessage
    case canceledInOwnQuery
    /// A cancel request that was given up may still hit it.
    case strayCancel
    case tooManyParameters
    case statementsInDoubt
    /// A query of the pooler's own, or the end of what a client has left behind.
    case tookTooLong(ServerStage)
    /// A value that another server has taken.
    case settingFailed(sql: String, String)
    /// A value that it had taken before.
    case parameterRefused
    case queryFailed(ServerSession.Errand, String)
    case authQueryMalformed
    case authQueryInTransaction

    // The pooler ends it, and its client hears why
    case queryTimeout
    case transactionTimeout
    case idleTransactionTimeout
    case adminDisconnect
    /// The configuration of its database has changed, and it is in use.
    case configurationChangedInUse
    case outOfMemory

    // It ended by itself
    case crashed
    /// Its own last words.
    case said(ErrorFields)
    /// The socket failed; the system's words.
    case connectionLost(String)
    case tlsFailed(String)
    /// It sent what nobody asked for.
    case violation(ProtocolViolation)

    /// A connection that carried a cancel request, or was to.
    case cancelOver(CancelOutcome)

    /// It was never opened.
    case notOpened(OpeningFailure)

    /// The limit that made room necessary.
    public enum EvictingLimit: Sendable, Equatable, CaseIterable {
        case pool, database, user

        /// The setting.
        public var setting: String {
            switch self {
            case .pool: "pool_size"
            case .database: "max_db_connections"
            case .user: "max_user_connections"
            }
        }
    }

    /// How a server broke the protocol.
    public enum ProtocolViolation: Sendable, Equatable {
        case malformedMessage
        /// A message that nobody is owed.
        case unasked(type: UInt8)
        case unaskedRow
        case outOfOrder(type: UInt8)

        var text: String {
            switch self {
            case .malformedMessage: "malformed message"
            case .unasked(let type): "message '\(Character(Unicode.Scalar(type)))' that nobody asked for"
            case .unaskedRow: "row that nobody asked for"
            case .outOfOrder(let type): "message '\(Character(Unicode.Scalar(type)))' out of order"
            }
        }
    }
}

extension ServerCloseReason {
    /// The words of the log.
    public var text: String {
        switch self {
        case .idleTimeout: "server idle timeout"
        case .poolIdleTimeout: "pool idle timeout"
        case .lifetimeOver: "server lifetime over"
        case .tooManyServers: "too many servers in the pool"
        case .evicted(let limit): "evicted for \(limit.setting)"
        case .otherStartupValues: "its startup values are not those that are waited for"
        case .paused: "pause mode"
        case .databaseRemoved: "database removed"
        case .configurationChanged: "database configuration changed"
        case .obsolete: "obsolete connection"
        case .shuttingDown: "server shutting down"
        case .clientDisconnected: "client disconnected"
        case .clientLeftMidMessage: "client disconnected in the middle of a message"
        case .canceledInOwnQuery: "canceled in a query of the pooler's own"
        case .strayCancel: "cancel_wait_timeout"
        case .tooManyParameters: "it reports too many parameters"
        case .statementsInDoubt: "prepared statements in doubt"
        case .tookTooLong(let stage): "\(stage) took too long"
        case .settingFailed(let sql, let words): "\(sql) failed: \(words)"
        case .parameterRefused: "invalid server parameter"
        case .queryFailed(let errand, let words): "\(errand) failed: \(words)"
        case .authQueryMalformed: "auth_query: malformed or oversized message"
        case .authQueryInTransaction: "auth_query left the server in a transaction"
        case .queryTimeout, .transactionTimeout, .idleTransactionTimeout, .adminDisconnect, .configurationChangedInUse, .outOfMemory:
            clientError.message
        case .crashed: "server conn crashed?"
        case .said(let fields): fields.message ?? "server ended the connection without a reason"
        case .connectionLost(let words): words
        case .tlsFailed(let words): "TLS error: \(words)"
        case .violation(let violation): "protocol violation: \(violation.text)"
        case .cancelOver(let outcome): outcome.text
        case .notOpened(let failure): failure.reason
        }
    }

    /// By what it is counted.
    public var cause: ServerCloseCause {
        switch self {
        case .idleTimeout: .idleTimeout
        case .poolIdleTimeout: .poolIdleTimeout
        case .lifetimeOver: .lifetimeOver
        case .tooManyServers: .surplus
        case .evicted(.pool): .evictedForPool
        case .evicted(.database): .evictedForDatabase
        case .evicted(.user): .evictedForUser
        case .otherStartupValues: .otherStartupValues
        case .paused: .paused
        case .databaseRemoved: .databaseRemoved
        case .configurationChanged, .configurationChangedInUse: .configurationChanged
        case .obsolete: .obsolete
        case .shuttingDown: .shuttingDown
        case .clientDisconnected: .clientDisconnected
        case .clientLeftMidMessage: .clientLeftMidMessage
        case .canceledInOwnQuery: .canceledInOwnQuery
        case .strayCancel: .strayCancel
        case .tooManyParameters: .tooManyParameters
        case .statementsInDoubt: .statementsInDoubt
        case .tookTooLong: .tookTooLong
        case .settingFailed: .settingFailed
        case .parameterRefused: .parameterRefused
        case .queryFailed: .ownQueryFailed
        case .authQueryMalformed: .authQueryMalformed
        case .authQueryInTransaction: .authQueryInTransaction
        case .queryTimeout: .queryTimeout
        case .transactionTimeout: .transactionTimeout
        case .idleTransactionTimeout: .idleTransactionTimeout
        case .adminDisconnect: .adminDisconnect
        case .outOfMemory: .outOfMemory
        case .crashed: .crashed
        case .said: .said
        case .connectionLost: .connectionLost
        case .tlsFailed: .tlsError
        case .violation: .violation
        case .cancelOver(.done): .cancelDone
        case .cancelOver(.connectFailed): .cancelConnectFailed
        case .cancelOver(.notSent): .cancelNotSent
        case .cancelOver(.timedOut): .strayCancel
        case .cancelOver(.peerRemoved): .cancelPeerRemoved
        case .notOpened(let failure): failure.cause
        }
    }

    /// What a client hears that has it.
    public var clientError: PoolerError {
        switch self {
        case .queryTimeout: .queryTimeout
        case .transactionTimeout: .transactionTimeout
        case .idleTransactionTimeout: .idleTransactionTimeout
        case .adminDisconnect: .adminDisconnect
        case .configurationChangedInUse: .configurationChanged
        case .outOfMemory: .outOfMemory
        case .said(let fields): .serverSaid(fields)
        case .violation: .replyViolation
        case .idleTimeout, .poolIdleTimeout, .lifetimeOver, .tooManyServers, .evicted, .otherStartupValues, .paused, .databaseRemoved,
            .configurationChanged, .obsolete, .shuttingDown, .clientDisconnected, .clientLeftMidMessage, .canceledInOwnQuery, .strayCancel,
            .tooManyParameters, .statementsInDoubt, .tookTooLong, .settingFailed, .parameterRefused, .queryFailed, .authQueryMalformed,
            .authQueryInTransaction, .crashed, .connectionLost, .tlsFailed, .cancelOver, .notOpened:
            .serverLost
        }
    }

    /// How its connection ends.
    public enum Ending: Sendable {
        /// With a Terminate: nobody is using it.
        case polite
        /// It is cut.
        case abrupt
        /// It ended by itself, for no fault of the pooler's.
        case lost
    }

    /// How its connection ends.
    public var ending: Ending {
        switch self {
        case .idleTimeout, .poolIdleTimeout, .lifetimeOver, .tooManyServers, .evicted, .otherStartupValues, .paused, .databaseRemoved,
            .configurationChanged, .obsolete, .shuttingDown, .clientDisconnected(isMidMessage: false), .strayCancel, .tooManyParameters,
            .statementsInDoubt:
            .polite
        case .clientDisconnected(isMidMessage: true), .clientLeftMidMessage, .canceledInOwnQuery, .tookTooLong, .settingFailed,
            .parameterRefused, .queryFailed, .authQueryMalformed, .authQueryInTransaction, .queryTimeout, .transactionTimeout,
            .idleTransactionTimeout, .adminDisconnect, .configurationChangedInUse, .outOfMemory, .violation, .cancelOver, .notOpened:
            .abrupt
        case .crashed, .said, .connectionLost, .tlsFailed: .lost
        }
    }
}
