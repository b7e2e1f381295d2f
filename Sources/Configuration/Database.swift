import Bytes

/// A parameter for the startup packet of a server connection.
public struct ServerParameter: Sendable, Equatable {
    /// The name as PostgreSQL knows it, such as `client_encoding`.
    public let name: String
    /// The value as it is sent.
    public let value: String

    /// Makes a parameter.
    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// An entry of `[databases]`: what clients ask for, and where that is. Nil members fall back to the global settings;
/// `Configuration` has the rules.
public struct Database: Sendable, Equatable {
    /// The name that clients use; `*` for the template of unknown names.
    public var name: String
    /// `dbname` where it was given.
    public var explicitServerName: String?
    /// Names, addresses, `/directory` or `@abstract`; empty means the Unix socket in `unix_socket_dir`.
    public var hosts: [String] = []
    /// Port on every host, or on the first one where each has its own.
    public var port = 5432
    /// `port` as a list: one for each host. Empty where all have the same.
    public var ports: [Int] = []
    /// Server user for all clients; nil means that each client's own user logs in.
    public var forcedUser: String?
    /// Password of the forced user.
    public var password: String?
    /// `password_file`: holds the password of whoever logs in to the server.
    public var passwordFile: String?
    /// `password_command`: prints that password.
    public var passwordCommand: String?
    /// `password_lifetime`; 0 falls back.
    public var passwordLifetime: Microseconds?
    /// `pool_size`: server connections of a pool; 0 means no limit.
    public var poolSize: Int?
    /// `min_pool_size`.
    public var minPoolSize: Int?
    /// `reserve_pool_size`.
    public var reservePoolSize: Int?
    /// `max_db_connections`; 0 falls back.
    public var maxConnections: Int?
    /// `max_db_client_connections`; 0 falls back.
    public var maxClientConnections: Int?
    /// `server_lifetime`; 0 falls back.
    public var serverLifetime: Microseconds?
    /// `query_wait_timeout`; 0 falls back.
    public var queryWaitTimeout: Microseconds?
    /// `pool_mode`.
    public var poolMode: PoolMode?
    /// `load_balance_hosts`.
    public var loadBalanceHosts = LoadBalanceHosts.roundRobin
    /// `sslnegotiation`.
    public var sslNegotiation = SSLNegotiation.postgres
    /// `channel_binding`.
    public var channelBinding = ChannelBinding.prefer
    /// `min_protocol_version` and `max_protocol_version`.
    public var protocolLimits = ProtocolLimits()
    /// Query to run once on every new server connection.
    public var connectQuery: String?
    /// Parameters that every server connection starts with.
    public var serverParameters: [ServerParameter] = []
    /// `auth_user`.
    public var authUser: String?
    /// `auth_query`.
    public var authQuery: String?
    /// `auth_dbname`.
    public var authDatabase: String?

    /// A database of this name on the default port of the local server.
    public init(name: String) {
        self.name = name
    }

    /// Where its server may be: each host and the port there.
    ///
    /// - Parameter unixDirectory: the directory of the Unix socket that an empty list means.
    public func places(unixDirectory: String) -> [(host: String, port: Int)] {
        (hosts.isEmpty ? [unixDirectory] : hosts).indices.map { (hosts.isEmpty ? unixDirectory : hosts[$0], port(ofHost: $0)) }
    }

    /// The port on a host, by its place in the list.
    public func port(ofHost index: Int) -> Int { ports.indices.contains(index) ? ports[index] : port }

    /// What is wrong with the entry as a whole, and with which key; nil for nothing.
    var problem: (key: String, text: String)? {
        if !ports.isEmpty, ports.count != hosts.count {
            return ("port", "port has \(ports.count) entries and host \(hosts.count): expected one port, or one for each host")
        }
        if let problem = protocolLimits.problem { return ("min_protocol_version", problem) }
        if let source = passwordSource {
            if passwordFile != nil, passwordCommand != nil {
                return (source.key, "password_file and password_command are both given: expected one of them")
            }
            if password != nil { return (source.key, "password and \(source.key) are both given: expected one of them") }
        }
        return nil
    }

    /// Where the password comes from, if it is not in the entry itself.
    public var passwordSource: PasswordSource? { PasswordSource(file: passwordFile, command: passwordCommand) }

    /// The database's name on the server.
    public var serverName: String { explicitServerName ?? name }

    /// What the template `*` means for a database that a client asked for.
    public func instance(named name: String) -> Database {
        var instance = self
        instance.name = name
        return instance
    }

    /// Whether server connections made for `other` must not serve this database any more, so that a reload marks them dirty.
    /// Sizes, passwords and startup parameters do not count.
    public func serverIdentityDiffers(from other: Database) -> Bool {
        let names = [serverName, forcedUser, connectQuery, authDatabase, authQuery].map { $0.map { Name($0) } }
        let others = [other.serverName, other.forcedUser, other.connectQuery, other.authDatabase, other.authQuery].map {
            $0.map { Name($0) }
        }
        return names != others || hosts != other.hosts || port != other.port || ports != other.ports
            || loadBalanceHosts != other.loadBalanceHosts
            || sslNegotiation != other.sslNegotiation || channelBinding != other.channelBinding
            || protocolLimits != other.protocolLimits
    }

    fileprivate subscript(parameter name: String) -> String? {
        get { serverParameters.first { $0.name == name }?.value }
        set {
            serverParameters.removeAll { $0.name == name }
            if let newValue { serverParameters.append(ServerParameter(name: name, value: newValue)) }
        }
    }
}

extension SettingsTable {
    /// What an entry of `[databases]` may hold.
    public static let databaseKeys: [ConnectStringKey<Database>] = [
        .string("dbname", \.explicitServerName, "the entry's name", "Name of the database on the server."),
        .custom(
            "host", .list, "Unix socket in `unix_socket_dir`",
            "Name, IPv4 or IPv6 address, `/directory` or `@abstract` of the server; several with commas."
        ) { text, database throws(InvalidValue) in
            let hosts = text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map { String($0) ?? "" }
            guard !hosts.contains("") else { throw InvalidValue("\"\(text)\" has an empty entry: expected names or addresses with commas") }
            database.hosts = hosts
        },
        .custom("port", .list, "5432", "Port of the server; several with commas, one for each host.") {
            text, database throws(InvalidValue) in
            let entries = text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map { String($0) ?? "" }
            let ports = try entries.map { (entry) throws(InvalidValue) -> Int in try ValueSyntax.integer(entry, in: 1...65535) }
            database.port = ports[0]
            database.ports = ports.count > 1 ? ports : []
        },
        .string("user", \.forcedUser, "the client's user", "Server user for all clients of this database, in one pool."),
        .string("password", \.password, "secret of that user in `auth_file`", "Password of `user`."),
        .string(
            "password_file", \.passwordFile, "none",
            "File with the password of whoever logs in to this server, in one line; beats that of the user's entry in `[users]`."),
        .string(
            "password_command", \.passwordCommand, "none",
            "Command of the shell that prints this password as one line. It is told PGHOST, PGPORT and PGUSER in its environment."),
        .wholeSeconds(
            "password_lifetime", \.passwordLifetime, "`password_lifetime`",
            "Time for which a password of `password_file` or `password_command` is used again; 0 means the global value."),
        .string("auth_user", \.authUser, "`auth_user`", "User that runs `auth_query`."),
        .string("auth_query", \.authQuery, "`auth_query`", "Query that looks up a user's name and secret."),
        .custom("auth_dbname", .string, "`auth_dbname`", "Database that `auth_query` runs in.") {
            text, database throws(InvalidValue) in
            try Names.checkNotReserved(text)
            database.authDatabase = text
        },
        .parameter("client_encoding", "Character set, for clients that do not choose one."),
        .parameter("datestyle", "Date format, for clients that do not choose one."),
        .parameter("timezone", "Time zone, for clients that do not choose one."),
        .parameter("application_name", "Name in PostgreSQL's views, for clients that do not choose one."),
        .size("pool_size", \.poolSize, "`default_pool_size`", "Server connections of a pool; 0 means no limit, -1 not set."),
        .size("min_pool_size", \.minPoolSize, "`min_pool_size`", "Server connections to keep open in a pool; -1 means not set."),
        .size(
            "reserve_pool_size", \.reservePoolSize, "`reserve_pool_size`",
            "More server connections for clients that wait; -1 means not set."),
        .size("reserve_pool", \.reservePoolSize, "`reserve_pool_size`", "Older word for `reserve_pool_size`."),
        .size(
            "max_db_connections", \.maxConnections, "`max_db_connections`", "Server connections over all pools; 0 means the global value."),
        .size(
            "max_db_client_connections", \.maxClientConnections, "`max_db_client_connections`",
            "Client connections; 0 means the global value."),
        .wholeSeconds(
            "server_lifetime", \.serverLifetime, "`server_lifetime`",
            "Age at which an idle server connection is closed; 0 means the global value."),
        .wholeSeconds(
            "query_wait_timeout", \.queryWaitTimeout, "`query_wait_timeout`",
            "Time a query may wait for a server connection; 0 means the global value."),
        .poolMode(\.poolMode, "`pool_mode`"),
        .custom(
            "load_balance_hosts", .enumeration(LoadBalanceHosts.allCases.map(\.rawValue)), LoadBalanceHosts.roundRobin.rawValue,
            "How several hosts are used; `disable` stays on one until a connect to it fails."
        ) { text, database throws(InvalidValue) in
            database.loadBalanceHosts = try ValueSyntax.choice(text, of: LoadBalanceHosts.self)
        },
        .custom(
            "sslnegotiation", .enumeration(SSLNegotiation.allCases.map(\.rawValue)), SSLNegotiation.postgres.rawValue,
            "How TLS begins: by asking the server for it, or `direct` (PostgreSQL 17), which needs a `server_tls_sslmode` from `require` on."
        ) { text, database throws(InvalidValue) in
            database.sslNegotiation = try ValueSyntax.choice(text, of: SSLNegotiation.self)
        },
        .custom(
            "channel_binding", .enumeration(ChannelBinding.allCases.map(\.rawValue)), ChannelBinding.prefer.rawValue,
            "Whether logins to the server are bound to its TLS (SCRAM-SHA-256-PLUS): where it offers that, or `require`, which any other login fails."
        ) { text, database throws(InvalidValue) in
            database.channelBinding = try ValueSyntax.choice(text, of: ChannelBinding.self)
        },
        .custom(
            "min_protocol_version", .enumeration(ProtocolLimit.allCases.map(\.rawValue)), ProtocolLimit.oldest.rawValue,
            "Oldest version of the protocol that a server may speak; an older one is turned away."
        ) { text, database throws(InvalidValue) in
            database.protocolLimits.oldest = try ValueSyntax.choice(text, of: ProtocolLimit.self)
        },
        .custom(
            "max_protocol_version", .enumeration(ProtocolLimit.allCases.map(\.rawValue)),
            "3.0, or `latest` with a newer `min_protocol_version`",
            "Version of the protocol that servers are asked for. 3.2 has cancel keys that cannot be guessed; some poolers do not negotiate it."
        ) { text, database throws(InvalidValue) in
            database.protocolLimits.newest = try ValueSyntax.choice(text, of: ProtocolLimit.self)
        },
        .string("connect_query", \.connectQuery, "none", "Query to run once on every new server connection; its errors are logged only."),
    ]
}

extension ConnectStringKey<Database> {
    fileprivate static func parameter(_ name: String, _ doc: String) -> Self {
        .custom(name, .string, "the server's own", doc) { $1[parameter: name] = $0 }
    }
}
