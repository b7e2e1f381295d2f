import Bytes
import Configuration
import Statistics

/// DATABASES, POOLS, USERS and LISTS.
extension ShowTopic {
    /// The console's own database.
    public static let consoleDatabase = "pgbouncer"

    static let databaseColumns = """
        name:t host:t port:i database:t force_user:t pool_size:i min_pool_size:i reserve_pool_size:i server_lifetime:i pool_mode:t \
        load_balance_hosts:t max_connections:i current_connections:i max_client_connections:i current_client_connections:i paused:i \
        disabled:i
        """
    static let poolColumns = """
        database:t user:t cl_active:i cl_waiting:i cl_active_cancel_req:i cl_waiting_cancel_req:i sv_active:i sv_active_cancel:i \
        sv_being_canceled:i sv_idle:i sv_used:i sv_tested:i sv_login:i maxwait:i maxwait_us:i pool_mode:t load_balance_hosts:t
        """
    static let userColumns = """
        name:t pool_size:t reserve_pool_size:t pool_mode:t max_user_connections:i current_connections:i max_user_client_connections:i \
        current_client_connections:i
        """

    private static func precedes(_ left: String, _ right: String) -> Bool { left.utf8.lexicographicallyPrecedes(right.utf8) }

    /// The databases of the file and those that clients made, by name.
    private static func known(_ facts: ConsoleFacts) -> [Database] {
        let auto = facts.autoDatabases.filter { facts.configuration.databases[$0.name] == nil }
        return Array(facts.configuration.databases.values) + auto
    }

    @Sendable static func databases(_ facts: ConsoleFacts) -> [[Cell]] {
        databaseStatistics(facts).map { database in
            [
                .text(database.name), .optional(database.host), .number(database.port), .text(database.serverName),
                .optional(database.forcedUser), .number(database.poolSize), .number(database.minPoolSize), .number(database.reserveSize),
                .integer(database.serverLifetime / 1_000_000), .optional(database.poolMode), .optional(database.loadBalanceHosts),
                .number(database.maximumServers), .number(database.servers), .number(database.maximumClients), .number(database.clients),
                .flag(database.isPaused), .flag(database.isDisabled),
            ]
        }
    }

    /// The databases of the file, those that clients made, and the console, by name.
    public static func databaseStatistics(_ facts: ConsoleFacts) -> [DatabaseStatistics] {
        let settings = facts.configuration.settings
        var console = DatabaseStatistics(name: consoleDatabase)
        console.port = settings.listenPort
        console.serverName = consoleDatabase
        console.forcedUser = consoleDatabase
        console.poolSize = 2
        console.serverLifetime = settings.serverLifetime
        console.poolMode = PoolMode.statement.rawValue
        console.maximumServers = settings.maxDbConnections
        console.maximumClients = settings.maxDbClientConnections
        console.clients = facts.counts.clientsOfDatabase[consoleDatabase] ?? 0
        console.isConsole = true
        return (known(facts).map { statistics($0, facts) } + [console]).sorted { precedes($0.name, $1.name) }
    }

    private static func statistics(_ database: Database, _ facts: ConsoleFacts) -> DatabaseStatistics {
        let configuration = facts.configuration
        var result = DatabaseStatistics(name: database.name)
        result.host = host(database)
        result.port = database.port
        result.serverName = database.serverName
        result.forcedUser = database.forcedUser
        result.poolSize = database.poolSize ?? configuration.settings.defaultPoolSize
        result.minPoolSize = configuration.minPoolSize(database: database)
        result.reserveSize = database.reservePoolSize ?? configuration.settings.reservePoolSize
        result.serverLifetime = configuration.serverLifetime(database: database)
        result.poolMode = database.poolMode?.rawValue
        result.loadBalanceHosts = balance(database)
        result.maximumServers = configuration.maxDatabaseConnections(database: database)
        result.servers = facts.counts.serversOfDatabase[database.name] ?? 0
        result.maximumClients = configuration.maxDatabaseClientConnections(database: database)
        result.clients = facts.counts.clientsOfDatabase[database.name] ?? 0
        result.isPaused = facts.adminState.pausedDatabases.contains(database.name)
        result.isDisabled = facts.adminState.disabledDatabases.contains(database.name)
        return result
    }

    private static func host(_ database: Database) -> String? {
        database.hosts.isEmpty ? nil : database.hosts.joined(separator: ",")
    }

    /// It means something only where there are several hosts.
    private static func balance(_ database: Database) -> String? {
        database.hosts.count > 1 ? database.loadBalanceHosts.rawValue : nil
    }

    @Sendable static func pools(_ facts: ConsoleFacts) -> [[Cell]] {
        facts.statistics.pools.map { pool in
            let gauges = pool.gauges
            let database = facts.configuration.database(named: pool.database)
            return [
                .text(pool.database), .text(pool.user), .number(gauges.activeClients), .number(gauges.clientsWaiting),
                .number(gauges.cancelRequests), .number(gauges.cancelRequestsWaiting), .number(gauges.serversActive),
                .number(gauges.serversCanceling),
                .number(gauges.serversBeingCanceled), .number(gauges.serversIdle), .number(gauges.serversUsed),
                .number(gauges.serversTested), .number(gauges.serversLogin), .integer(gauges.longestWait / 1_000_000),
                .integer(gauges.longestWait % 1_000_000), .text(pool.poolMode),
                .optional(pool.database == consoleDatabase ? nil : database.flatMap(balance)),
            ]
        }
    }

    @Sendable static func users(_ facts: ConsoleFacts) -> [[Cell]] {
        userStatistics(facts).map { user in
            [
                .text(user.name), .text(aligned(user.poolSize)), .text(aligned(user.reserveSize)), .optional(user.poolMode),
                .number(user.maximumServers), .number(user.servers), .number(user.maximumClients), .number(user.clients),
            ]
        }
    }

    /// The users of the files, and those that have or had a pool, by name.
    public static func userStatistics(_ facts: ConsoleFacts) -> [UserStatistics] {
        let configuration = facts.configuration
        var names = NameSet(configuration.userList.secrets.keys)
        names.formUnion(configuration.users.keys)
        names.formUnion(facts.counts.serversOfUser.keys)
        names.formUnion(facts.counts.clientsOfUser.keys)
        names.formUnion(facts.statistics.pools.map(\.user))
        names.insert(consoleDatabase)
        return names.sorted(by: precedes).map { name in
            let own = configuration.users[name]
            var result = UserStatistics(name: name)
            result.poolSize = own?.poolSize
            result.reserveSize = own?.reservePoolSize
            result.poolMode = own?.poolMode?.rawValue
            result.maximumServers = configuration.maxUserConnections(user: name)
            result.servers = facts.counts.serversOfUser[name] ?? 0
            result.maximumClients = configuration.maxUserClientConnections(user: name)
            result.clients = facts.counts.clientsOfUser[name] ?? 0
            return result
        }
    }

    /// PgBouncer's cells of type text for a number: nine characters, or none.
    private static func aligned(_ number: Int?) -> String {
        guard let text = number.map(String.init) else { return "" }
        return String(repeating: " ", count: max(0, 9 - text.utf8.count)) + text
    }

    @Sendable static func lists(_ facts: ConsoleFacts) -> [[Cell]] { listCounts(facts).map { [.text($0.name), .number($0.count)] } }

    /// What there is how many of.
    public static func listCounts(_ facts: ConsoleFacts) -> [(name: String, count: Int)] {
        let statistics = facts.statistics
        return [
            ("databases", known(facts).count + 1), ("users", userStatistics(facts).count), ("peers", facts.configuration.peers.count),
            ("pools", statistics.pools.count), ("peer_pools", facts.configuration.peers.count), ("free_clients", 0),
            ("used_clients", statistics.clients), ("login_clients", statistics.clientsLoggingIn),
            ("free_servers", 0), ("used_servers", statistics.servers), ("dns_names", facts.hosts.count),
            ("dns_zones", dnsZones(facts).count), ("dns_queries", statistics.lookups), ("dns_pending", 0),
        ]
    }

    @Sendable static func peers(_ facts: ConsoleFacts) -> [[Cell]] {
        facts.configuration.peers.sorted { $0.key < $1.key }.map { number, peer in
            [
                .number(number), .optional(peer.host), .number(peer.port),
                .number(peer.poolSize ?? facts.configuration.settings.defaultPoolSize),
            ]
        }
    }

    @Sendable static func peerPools(_ facts: ConsoleFacts) -> [[Cell]] {
        facts.configuration.peers.keys.sorted().map { peer in
            let requests = facts.statistics.peerRequests[peer] ?? PeerRequests()
            return [.number(peer), .number(requests.active), .number(requests.waiting), .number(requests.active), .number(0)]
        }
    }

    @Sendable static func dnsHosts(_ facts: ConsoleFacts) -> [[Cell]] {
        facts.hosts.sorted { precedes($0.name, $1.name) }.map {
            [.text($0.name), .number($0.timeToLive), .text($0.addresses.joined(separator: ","))]
        }
    }

    /// The domains that the names lie in. Their serial numbers are not asked for: names are looked up again when their time is over.
    @Sendable static func dnsZones(_ facts: ConsoleFacts) -> [[Cell]] {
        let zones = facts.hosts.compactMap { host in
            host.name.firstIndex(of: ".").map { String(host.name[$0...].dropFirst()) }.flatMap { $0.isEmpty ? nil : $0 }
        }
        let counts = Dictionary(zones.map { ($0, 1) }, uniquingKeysWith: +)
        return counts.sorted { precedes($0.key, $1.key) }.map { [.text($0.key), .number(0), .number($0.value)] }
    }
}
