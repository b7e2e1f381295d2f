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
        let configuration = facts.configuration
        var rows = known(facts).map { database in (database.name, row(database, configuration, facts)) }
        let clients = facts.consoleClients.values.reduce(0, +)
        rows.append(
            (
                consoleDatabase,
                [
                    .text(consoleDatabase), .null, .number(configuration.settings.listenPort), .text(consoleDatabase),
                    .text(consoleDatabase), .number(2), .number(0), .number(0),
                    .integer(configuration.settings.serverLifetime / 1_000_000), .text("statement"), .null,
                    .number(configuration.settings.maxDbConnections), .number(0),
                    .number(configuration.settings.maxDbClientConnections), .number(clients), .flag(false), .flag(false),
                ]
            ))
        return rows.sorted { precedes($0.0, $1.0) }.map(\.1)
    }

    private static func row(_ database: Database, _ configuration: Configuration, _ facts: ConsoleFacts) -> [Cell] {
        let lifetime = configuration.serverLifetime(database: database)
        return [
            .text(database.name), .optional(host(database)), .number(database.port), .text(database.serverName),
            .optional(database.forcedUser), .number(database.poolSize ?? configuration.settings.defaultPoolSize),
            .number(configuration.minPoolSize(database: database)),
            .number(database.reservePoolSize ?? configuration.settings.reservePoolSize), .integer(lifetime / 1_000_000),
            .optional(database.poolMode?.rawValue), balance(database),
            .number(configuration.maxDatabaseConnections(database: database)),
            .number(facts.counts.serversOfDatabase[database.name] ?? 0),
            .number(configuration.maxDatabaseClientConnections(database: database)),
            .number(facts.counts.clientsOfDatabase[database.name] ?? 0), .flag(facts.holds.pausedDatabases.contains(database.name)),
            .flag(facts.holds.disabledDatabases.contains(database.name)),
        ]
    }

    private static func host(_ database: Database) -> String? {
        database.hosts.isEmpty ? nil : database.hosts.joined(separator: ",")
    }

    /// It means something only where there are several hosts.
    private static func balance(_ database: Database) -> Cell {
        database.hosts.count > 1 ? .text(database.loadBalanceHosts.rawValue) : .null
    }

    @Sendable static func pools(_ facts: ConsoleFacts) -> [[Cell]] {
        facts.statistics.pools.map { pool in
            let gauges = pool.gauges
            let database = facts.configuration.database(named: pool.database)
            return [
                .text(pool.database), .text(pool.user), .number(gauges.clientsLinked + gauges.clientsIdle), .number(gauges.clientsWaiting),
                .number(gauges.cancelRequests), .number(gauges.cancelRequestsWaiting), .number(gauges.serversActive),
                .number(gauges.serversCanceling),
                .number(gauges.serversBeingCanceled), .number(gauges.serversIdle), .number(gauges.serversUsed),
                .number(gauges.serversTested), .number(gauges.serversLogin), .integer(gauges.longestWait / 1_000_000),
                .integer(gauges.longestWait % 1_000_000), .text(pool.poolMode),
                pool.database == consoleDatabase ? .null : database.map(balance) ?? .null,
            ]
        }
    }

    @Sendable static func users(_ facts: ConsoleFacts) -> [[Cell]] {
        let configuration = facts.configuration
        var names = NameSet(configuration.userList.secrets.keys)
        names.formUnion(configuration.users.keys)
        names.formUnion(facts.counts.serversOfUser.keys)
        names.formUnion(facts.counts.clientsOfUser.keys)
        names.formUnion(facts.statistics.pools.map(\.user))
        names.insert(consoleDatabase)
        return names.sorted(by: precedes).map { name in
            let own = configuration.users[name]
            return [
                .text(name), .text(aligned(own?.poolSize)), .text(aligned(own?.reservePoolSize)),
                .optional(own?.poolMode?.rawValue), .number(configuration.maxUserConnections(user: name)),
                .number(facts.counts.serversOfUser[name] ?? 0), .number(configuration.maxUserClientConnections(user: name)),
                .number(facts.counts.clientsOfUser[name] ?? 0),
            ]
        }
    }

    /// PgBouncer's cells of type text for a number: nine characters, or none.
    private static func aligned(_ number: Int?) -> String {
        guard let text = number.map(String.init) else { return "" }
        return String(repeating: " ", count: max(0, 9 - text.utf8.count)) + text
    }

    @Sendable static func lists(_ facts: ConsoleFacts) -> [[Cell]] {
        let statistics = facts.statistics
        let counts: [(String, Int)] = [
            ("databases", known(facts).count + 1), ("users", users(facts).count), ("peers", facts.configuration.peers.count),
            ("pools", statistics.pools.count), ("peer_pools", facts.configuration.peers.count), ("free_clients", 0),
            ("used_clients", statistics.clients), ("login_clients", statistics.clientsLoggingIn),
            ("free_servers", 0), ("used_servers", statistics.servers), ("dns_names", facts.hosts.count),
            ("dns_zones", dnsZones(facts).count), ("dns_queries", statistics.lookups), ("dns_pending", 0),
        ]
        return counts.map { [.text($0.0), .number($0.1)] }
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
