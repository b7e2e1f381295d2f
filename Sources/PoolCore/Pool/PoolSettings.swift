import Configuration

/// The settings that apply to one pool, looked up once: user beats database beats global. Times are microseconds; where 0 means that there is
/// no limit, it is 0 here, too.
public struct PoolSettings: Sendable {
    public var policy: PoolPolicy
    public var rules: ServerSession.Rules
    public var limits: CapacityLedger.ServerLimits
    public var minPoolSize: Int
    public var isRoundRobin: Bool
    public var serverLifetime: Int64
    public var serverIdleTimeout: Int64
    /// The limit on a login, and on each exchange in which the server alone is awaited.
    public var serverConnectTimeout: Int64
    /// The pause after a server could not be had.
    public var serverLoginRetry: Int64
    /// A server that has rested for so long is tested before it is used; `Int64.max`: none ever is.
    public var serverCheckDelay: Int64
    public var serverFastClose: Bool
    /// A client that has waited for so long may have a server of the reserve; 0: no client may.
    public var reservePoolTimeout: Int64
    public var queryTimeout: Int64
    public var queryWaitTimeout: Int64
    public var idleTransactionTimeout: Int64
    public var transactionTimeout: Int64
    /// After so long without a client a pool closes its servers and goes.
    public var poolIdleTimeout: Int64
    /// The same for a pool without servers, of a database that a `*` entry made; 0: it stays, or the database has an entry of its own.
    public var autodbIdleTimeout: Int64

    /// Looks the settings of a pool up.
    public init(_ configuration: Configuration, database: Database, user: String) {
        let settings = configuration.settings
        policy = PoolPolicy(configuration.poolMode(database: database, user: user))
        rules = ServerSession.Rules(
            mapsStatements: policy.mapsStatements && settings.maxPreparedStatements > 0, statementLimit: settings.maxPreparedStatements,
            refusesSimpleQuery: settings.disablePqexec, sharesStatements: settings.statementSharing == .auto)
        limits = CapacityLedger.ServerLimits(
            pool: configuration.poolSize(database: database, user: user),
            reserve: configuration.reservePoolSize(database: database, user: user),
            database: configuration.maxDatabaseConnections(database: database), user: configuration.maxUserConnections(user: user))
        minPoolSize = configuration.minPoolSize(database: database)
        isRoundRobin = settings.serverRoundRobin
        serverLifetime = configuration.serverLifetime(database: database)
        serverIdleTimeout = settings.serverIdleTimeout
        serverConnectTimeout = settings.serverConnectTimeout
        serverLoginRetry = settings.serverLoginRetry
        serverCheckDelay = settings.serverCheckQuery.isEmpty ? .max : settings.serverCheckDelay
        serverFastClose = settings.serverFastClose
        reservePoolTimeout = settings.reservePoolTimeout
        queryTimeout = configuration.queryTimeout(user: user)
        queryWaitTimeout = configuration.queryWaitTimeout(database: database, user: user)
        idleTransactionTimeout = configuration.idleTransactionTimeout(user: user)
        transactionTimeout = configuration.transactionTimeout(user: user)
        poolIdleTimeout = settings.poolIdleTimeout
        autodbIdleTimeout = configuration.databases[database.name] == nil ? settings.autodbIdleTimeout : 0
    }
}
