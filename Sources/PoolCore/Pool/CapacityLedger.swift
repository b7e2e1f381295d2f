import Bytes

/// Counts connections against every limit, exactly and for the whole process. Workers consult it when a connection opens or
/// closes, never on the query path.
public struct CapacityLedger: Sendable {
    /// A pool: what all connections of one user to one database share, if their startup values are no obstacle.
    public struct PoolKey: Hashable, Sendable {
        public let database: String
        public let user: String
        /// The pool in which `user` runs `auth_query`. Clients that log in as the same user have another one, so that nothing they do
        /// is ever seen by the query.
        public let isForLookups: Bool
        /// What its servers bring from their logins.
        public let startup: StartupValues

        public init(database: String, user: String, isForLookups: Bool = false, startup: StartupValues = .none) {
            self.database = database
            self.user = user
            self.isForLookups = isForLookups
            self.startup = startup
        }

        /// The pool of the same database and user whose servers bring nothing special, for all that share its size.
        public var family: PoolKey { startup.isEmpty ? self : PoolKey(database: database, user: user, isForLookups: isForLookups) }

        /// By bytes, as PostgreSQL compares names. Swift's strings are equal when they look equal ("é" as one code point or as two),
        /// and two roles that look alike must not share a pool.
        public static func == (left: PoolKey, right: PoolKey) -> Bool {
            left.isForLookups == right.isForLookups && left.user.hasSameBytes(as: right.user)
                && left.database.hasSameBytes(as: right.database) && left.startup == right.startup
        }
    }

    /// Limits on server connections; 0 means none.
    public struct ServerLimits: Sendable, Equatable {
        public var pool: Int
        public var reserve: Int
        public var database: Int
        public var user: Int

        public init(pool: Int, reserve: Int = 0, database: Int = 0, user: Int = 0) {
            self.pool = pool
            self.reserve = reserve
            self.database = database
            self.user = user
        }
    }

    /// Limits on client connections; 0 means none.
    public struct ClientLimits: Sendable, Equatable {
        public var database: Int
        public var user: Int

        public init(database: Int = 0, user: Int = 0) {
            self.database = database
            self.user = user
        }
    }

    /// The limit that stands in the way of one more server connection.
    public enum ServerVerdict: Sendable, Equatable {
        case granted
        /// Granted beyond the pool's size, from its reserve.
        case grantedFromReserve
        case poolFull, databaseFull, userFull
    }

    /// By family.
    private var pools: [PoolKey: Int] = [:]
    private var databases: NameTable<Int> = [:]
    private var users: NameTable<Int> = [:]
    private var clientsOfDatabase: NameTable<Int> = [:]
    private var clientsOfUser: NameTable<Int> = [:]
    /// All client sockets, logged in or not.
    public private(set) var clients = 0

    public init() {}

    // MARK: Servers

    /// Servers of a pool, and of those that share its size.
    public func servers(of pool: PoolKey) -> Int { pools[pool.family, default: 0] }
    public var servers: Int { pools.values.reduce(0, +) }

    /// Counts one more server connection, if every limit has room. `mayUseReserve`: a client has waited long enough.
    public mutating func openServer(_ pool: PoolKey, limits: ServerLimits, mayUseReserve: Bool = false) -> ServerVerdict {
        let verdict = verdict(on: pool, limits: limits, mayUseReserve: mayUseReserve)
        guard verdict == .granted || verdict == .grantedFromReserve else { return verdict }
        pools[pool.family, default: 0] += 1
        databases[pool.database, default: 0] += 1
        users[pool.user, default: 0] += 1
        return verdict
    }

    /// What `openServer` would say.
    public func verdict(on pool: PoolKey, limits: ServerLimits, mayUseReserve: Bool = false) -> ServerVerdict {
        let count = servers(of: pool)
        var verdict = ServerVerdict.granted
        if limits.pool > 0, count >= limits.pool {
            guard mayUseReserve, count < limits.pool + limits.reserve else { return .poolFull }
            verdict = .grantedFromReserve
        }
        if limits.database > 0, databases[pool.database, default: 0] >= limits.database { return .databaseFull }
        if limits.user > 0, users[pool.user, default: 0] >= limits.user { return .userFull }
        return verdict
    }

    public mutating func closeServer(_ pool: PoolKey) {
        let family = pool.family
        if let count = pools[family] { pools[family] = count > 1 ? count - 1 : nil }
        Self.decrement(&databases, pool.database)
        Self.decrement(&users, pool.user)
    }

    /// Servers of a database over all pools.
    public func servers(ofDatabase database: String) -> Int { databases[database, default: 0] }
    /// Servers of a user over all pools.
    public func servers(ofUser user: String) -> Int { users[user, default: 0] }

    /// All counts by name: servers of databases and users, logged-in clients of databases and users.
    public var counts: (servers: NameTable<Int>, userServers: NameTable<Int>, clients: NameTable<Int>, userClients: NameTable<Int>) {
        (databases, users, clientsOfDatabase, clientsOfUser)
    }

    // MARK: Clients

    public mutating func accept() { clients += 1 }
    public mutating func leave() { clients -= 1 }

    /// Counts a client that has shown who it is; the error tells which limit refuses it.
    public mutating func admitClient(database: String, user: String, limits: ClientLimits) -> PoolerError? {
        if limits.database > 0, clientsOfDatabase[database, default: 0] >= limits.database { return .tooManyDatabaseClients }
        if limits.user > 0, clientsOfUser[user, default: 0] >= limits.user { return .tooManyUserClients }
        clientsOfDatabase[database, default: 0] += 1
        clientsOfUser[user, default: 0] += 1
        return nil
    }

    public mutating func dismissClient(database: String, user: String) {
        Self.decrement(&clientsOfDatabase, database)
        Self.decrement(&clientsOfUser, user)
    }

    private static func decrement(_ counts: inout NameTable<Int>, _ name: String) {
        let isLast = counts.update(name) { count in
            count -= 1
            return count <= 0
        }
        if isLast == true { counts[name] = nil }
    }
}
