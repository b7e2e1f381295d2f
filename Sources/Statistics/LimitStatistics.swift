/// A database: what clients find behind its name, its limits, and how many connections count against them, over all pools.
public struct DatabaseStatistics: Sendable, Equatable {
    /// The name that clients use.
    public var name: String
    /// Hosts with commas between them; nil for the Unix socket.
    public var host: String?
    /// The port.
    public var port = 0
    /// The name on the server.
    public var serverName = ""
    /// The user whom servers are logged in as, whoever the client is.
    public var forcedUser: String?
    /// Limit on servers of each of its pools; 0 means none.
    public var poolSize = 0
    /// Servers that each of its pools keeps.
    public var minPoolSize = 0
    /// Further servers of each of its pools for clients that wait too long.
    public var reserveSize = 0
    /// After so many microseconds a server is replaced.
    public var serverLifetime: Int64 = 0
    /// The pool mode, where the database has one of its own.
    public var poolMode: String?
    /// How its hosts are chosen from, where there are several.
    public var loadBalanceHosts: String?
    /// Limit on its servers (`max_db_connections`); 0 means none.
    public var maximumServers = 0
    /// Its servers.
    public var servers = 0
    /// Limit on its clients (`max_db_client_connections`); 0 means none.
    public var maximumClients = 0
    /// Its clients that are logged in.
    public var clients = 0
    /// An operator holds its clients back (PAUSE, KILL).
    public var isPaused = false
    /// An operator lets nobody in (DISABLE).
    public var isDisabled = false
    /// It is the console.
    public var isConsole = false

    /// A database without limits and connections.
    public init(name: String) { self.name = name }
}

/// A user: limits, and how many connections count against them, over all pools.
public struct UserStatistics: Sendable, Equatable {
    /// The name.
    public var name: String
    /// Limit on servers of each of the user's pools, where the user has one of its own.
    public var poolSize: Int?
    /// Further servers of each of the user's pools, where the user has a number of its own.
    public var reserveSize: Int?
    /// The pool mode, where the user has one of its own.
    public var poolMode: String?
    /// Limit on servers that are logged in as the user (`max_user_connections`); 0 means none.
    public var maximumServers = 0
    /// Servers that are logged in as the user.
    public var servers = 0
    /// Limit on clients of that name (`max_user_client_connections`); 0 means none.
    public var maximumClients = 0
    /// Clients of that name that are logged in.
    public var clients = 0

    /// A user without limits and connections.
    public init(name: String) { self.name = name }
}
