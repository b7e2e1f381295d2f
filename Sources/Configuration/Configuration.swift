import Bytes

/// Reads a file in whole. Throws a `ConfigurationError` without a line when that fails.
public typealias FileReader = (_ path: String) throws(ConfigurationError) -> [UInt8]

/// The value of an environment variable; nil where it is not set.
public typealias VariableReader = (_ name: String) -> String?

/// All that the files say. A value: a reload makes a new one and compares.
public struct Configuration: Sendable, Equatable {
    /// The global settings.
    public var settings = Settings()
    /// The entries of `[databases]` by name, without `*`.
    public var databases: NameTable<Database> = [:]
    /// The entry `*`, which stands for every database that is not named.
    public var fallbackDatabase: Database?
    /// The entries of `[users]` by name.
    public var users: NameTable<UserOverrides> = [:]
    /// The entries of `[peers]` by number.
    public var peers: [Int: Peer] = [:]
    /// The users of `auth_file`.
    public var userList = UserList()
    /// Why the list is empty, or ends before its end; nil where all of it was read.
    public internal(set) var userListFault: ConfigurationError?
    /// The rules of `auth_hba_file`; empty unless `auth_type` is `hba`.
    public var hostRules = HostRules()
    /// The maps of `auth_ident_file`; empty unless `auth_type` is `hba`.
    public var identMaps = IdentMaps()
    /// What an operator should know, one line each, in the order of the file.
    public var warnings: [String] = []
    /// The file that was read; nil for a configuration made otherwise.
    public var sourceFile: String?

    /// All defaults: no database, no user, no listener but the Unix socket.
    public init() {}

    /// Reads the file at `path`, all that it includes, and the files of users and rules that it names. Stops at the first error. A
    /// missing or broken `auth_file` is a warning, because PgBouncer starts without it.
    ///
    /// - Parameter variable: what `${NAME}` stands for, where a file asks for that by `%expand_environment`.
    public static func load(
        path: String, read: @escaping FileReader, variable: @escaping VariableReader = { _ in nil }
    ) throws(ConfigurationError) -> Configuration {
        var loader = ConfigurationLoader(path: path, read: read, variable: variable)
        return try loader.load()
    }

    /// Reads as `load` does, but to the end: for somebody who wants to know all that is wrong. The configuration is not to be used if
    /// there is a fault.
    public static func check(
        path: String, read: @escaping FileReader, variable: @escaping VariableReader = { _ in nil }
    ) -> (configuration: Configuration, faults: [ConfigurationError]) {
        var loader = ConfigurationLoader(path: path, findsAll: true, read: read, variable: variable)
        do throws(ConfigurationError) {
            let configuration = try loader.load()
            return (configuration, loader.faults)
        } catch {
            return (Configuration(), loader.faults + [error])
        }
    }

    /// A rule may want a certificate of a client that has not been asked for one otherwise, and there is somebody to verify it by.
    public var asksForCertificates: Bool {
        settings.authType == .hba && !settings.clientTlsCaFile.isEmpty && hostRules.rules.contains { $0.method == .cert }
    }

    /// The database that a client means: an entry of its own, or an instance of `*`.
    public func database(named name: String) -> Database? {
        databases[name] ?? fallbackDatabase?.instance(named: name)
    }
}

// Which value applies: a user's beats a database's beats the global one.
extension Configuration {
    /// Server connections of a pool; 0 means no limit.
    public func poolSize(database: Database, user: String) -> Int {
        users[user]?.poolSize ?? database.poolSize ?? settings.defaultPoolSize
    }

    /// When a server connection goes back to its pool.
    public func poolMode(database: Database, user: String) -> PoolMode {
        users[user]?.poolMode ?? database.poolMode ?? settings.poolMode
    }

    /// Server connections that are kept open.
    public func minPoolSize(database: Database) -> Int {
        database.minPoolSize ?? settings.minPoolSize
    }

    /// More server connections for clients that wait too long.
    public func reservePoolSize(database: Database, user: String) -> Int {
        users[user]?.reservePoolSize ?? database.reservePoolSize ?? settings.reservePoolSize
    }

    /// Server connections of a database over all pools; 0 means no limit.
    public func maxDatabaseConnections(database: Database) -> Int {
        positive(database.maxConnections) ?? settings.maxDbConnections
    }

    /// Client connections of a database; 0 means no limit.
    public func maxDatabaseClientConnections(database: Database) -> Int {
        positive(database.maxClientConnections) ?? settings.maxDbClientConnections
    }

    /// Server connections of a user over all pools; 0 means no limit.
    public func maxUserConnections(user: String) -> Int {
        positive(users[user]?.maxUserConnections) ?? settings.maxUserConnections
    }

    /// Client connections of a login user; 0 means no limit.
    public func maxUserClientConnections(user: String) -> Int {
        positive(users[user]?.maxUserClientConnections) ?? settings.maxUserClientConnections
    }

    /// Age at which an idle server connection is closed.
    public func serverLifetime(database: Database) -> Microseconds {
        positive(database.serverLifetime) ?? settings.serverLifetime
    }

    /// Time a query may take; `user` is the pool's user; 0 means no limit.
    public func queryTimeout(user: String) -> Microseconds {
        positive(users[user]?.queryTimeout) ?? settings.queryTimeout
    }

    /// Time a query may wait for a server connection; 0 means no limit.
    public func queryWaitTimeout(database: Database, user: String) -> Microseconds {
        positive(users[user]?.queryWaitTimeout) ?? positive(database.queryWaitTimeout) ?? settings.queryWaitTimeout
    }

    /// Time a client may idle inside a transaction; `user` is the pool's user; 0 means no limit.
    public func idleTransactionTimeout(user: String) -> Microseconds {
        positive(users[user]?.idleTransactionTimeout) ?? settings.idleTransactionTimeout
    }

    /// Time a transaction may take; `user` is the pool's user; 0 means no limit.
    public func transactionTimeout(user: String) -> Microseconds {
        positive(users[user]?.transactionTimeout) ?? settings.transactionTimeout
    }

    /// Time a client may idle without a server connection; `user` is the login user; 0 means no limit.
    public func clientIdleTimeout(user: String) -> Microseconds {
        positive(users[user]?.clientIdleTimeout) ?? settings.clientIdleTimeout
    }

    /// Where the password of a pool's user comes from, if it is neither in the file nor in the user list. A database's own password, or
    /// where that comes from, beats the user's. `isForLookups`: the pool of `auth_query`, whose user is not the database's.
    public func passwordSource(database: Database, user: String, isForLookups: Bool) -> PasswordSource? {
        let isOfDatabase = database.forcedUser == nil || !isForLookups
        if isOfDatabase, let source = database.passwordSource { return source }
        if isOfDatabase, database.forcedUser != nil, database.password != nil { return nil }
        return users[user]?.passwordSource
    }

    /// How long such a password is used again.
    public func passwordLifetime(database: Database, user: String) -> Microseconds {
        positive(users[user]?.passwordLifetime) ?? positive(database.passwordLifetime) ?? settings.passwordLifetime
    }

    /// Limits and times below 1 mean that the entry does not say.
    private func positive<Number: BinaryInteger>(_ value: Number?) -> Number? {
        guard let value, value > 0 else { return nil }
        return value
    }
}
