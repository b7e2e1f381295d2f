import Configuration
import Testing

@Suite struct OverrideTests {
    /// Global values that differ from every default.
    private static let globals = """
        default_pool_size = 101
        min_pool_size = 102
        reserve_pool_size = 103
        max_db_connections = 104
        max_db_client_connections = 105
        max_user_connections = 106
        max_user_client_connections = 107
        server_lifetime = 108
        query_timeout = 109
        query_wait_timeout = 110
        idle_transaction_timeout = 111
        transaction_timeout = 112
        client_idle_timeout = 113
        password_lifetime = 114
        """

    /// Effective sizes and times in seconds, by name.
    private func effective(database: String, user: String) throws -> [String: Int] {
        let configuration = try load("[sluice]\n\(Self.globals)\n[databases]\nd = \(database)\n[users]\nu = \(user)\n")
        let database = try #require(configuration.databases["d"])
        return [
            "pool_size": configuration.poolSize(database: database, user: "u"),
            "min_pool_size": configuration.minPoolSize(database: database),
            "reserve_pool_size": configuration.reservePoolSize(database: database, user: "u"),
            "max_db_connections": configuration.maxDatabaseConnections(database: database),
            "max_db_client_connections": configuration.maxDatabaseClientConnections(database: database),
            "max_user_connections": configuration.maxUserConnections(user: "u"),
            "max_user_client_connections": configuration.maxUserClientConnections(user: "u"),
            "server_lifetime": Int(configuration.serverLifetime(database: database) / 1_000_000),
            "query_timeout": Int(configuration.queryTimeout(user: "u") / 1_000_000),
            "query_wait_timeout": Int(configuration.queryWaitTimeout(database: database, user: "u") / 1_000_000),
            "idle_transaction_timeout": Int(configuration.idleTransactionTimeout(user: "u") / 1_000_000),
            "transaction_timeout": Int(configuration.transactionTimeout(user: "u") / 1_000_000),
            "client_idle_timeout": Int(configuration.clientIdleTimeout(user: "u") / 1_000_000),
            "password_lifetime": Int(configuration.passwordLifetime(database: database, user: "u") / 1_000_000),
        ]
    }

    @Test(
        arguments: [
            // Sizes: what is given counts, also 0; -1 is not given.
            ("pool_size", 101, "pool_size=7", "", 7),
            ("pool_size", 101, "pool_size=7", "pool_size=8", 8),
            ("pool_size", 101, "", "pool_size=8", 8),
            ("pool_size", 101, "pool_size=0", "", 0),
            ("pool_size", 101, "pool_size=7", "pool_size=0", 0),
            ("pool_size", 101, "pool_size=-1", "pool_size=-1", 101),
            ("min_pool_size", 102, "min_pool_size=7", "", 7),
            ("min_pool_size", 102, "min_pool_size=0", "", 0),
            ("min_pool_size", 102, "min_pool_size=-1", "", 102),
            ("reserve_pool_size", 103, "reserve_pool_size=7", "", 7),
            ("reserve_pool_size", 103, "reserve_pool=7", "", 7),
            ("reserve_pool_size", 103, "reserve_pool=7", "reserve_pool_size=8", 8),
            ("reserve_pool_size", 103, "reserve_pool=7", "reserve_pool_size=0", 0),
            // Limits: 0 and below fall back.
            ("max_db_connections", 104, "max_db_connections=7", "", 7),
            ("max_db_connections", 104, "max_db_connections=0", "", 104),
            ("max_db_connections", 104, "max_db_connections=-1", "", 104),
            ("max_db_client_connections", 105, "max_db_client_connections=7", "", 7),
            ("max_db_client_connections", 105, "max_db_client_connections=0", "", 105),
            ("max_user_connections", 106, "", "max_user_connections=7", 7),
            ("max_user_connections", 106, "", "max_user_connections=0", 106),
            ("max_user_client_connections", 107, "", "max_user_client_connections=7", 7),
            ("max_user_client_connections", 107, "", "max_user_client_connections=-1", 107),
            // Times: 0 falls back.
            ("server_lifetime", 108, "server_lifetime=7", "", 7),
            ("server_lifetime", 108, "server_lifetime=0", "", 108),
            ("query_timeout", 109, "", "query_timeout=7", 7),
            ("query_timeout", 109, "", "query_timeout=0", 109),
            ("query_wait_timeout", 110, "query_wait_timeout=7", "", 7),
            ("query_wait_timeout", 110, "query_wait_timeout=7", "query_wait_timeout=8", 8),
            ("query_wait_timeout", 110, "query_wait_timeout=7", "query_wait_timeout=0", 7),
            ("query_wait_timeout", 110, "query_wait_timeout=0", "", 110),
            ("idle_transaction_timeout", 111, "", "idle_transaction_timeout=7", 7),
            ("idle_transaction_timeout", 111, "", "idle_transaction_timeout=0", 111),
            ("transaction_timeout", 112, "", "transaction_timeout=7", 7),
            ("transaction_timeout", 112, "", "transaction_timeout=0", 112),
            ("client_idle_timeout", 113, "", "client_idle_timeout=7", 7),
            ("client_idle_timeout", 113, "", "client_idle_timeout=0", 113),
            ("password_lifetime", 114, "password_lifetime=7", "", 7),
            ("password_lifetime", 114, "password_lifetime=7", "password_lifetime=8", 8),
            ("password_lifetime", 114, "password_lifetime=0", "password_lifetime=0", 114),
        ] as [(String, Int, String, String, Int)])
    func theNearestValueCounts(name: String, global: Int, database: String, user: String, expected: Int) throws {
        var all = try effective(database: "", user: "")
        #expect(all[name] == global)
        all[name] = expected
        // Nothing else moves.
        #expect(try effective(database: database, user: user) == all)
    }

    @Test func poolMode() throws {
        let configuration = try load(
            "[sluice]\npool_mode=statement\n[databases]\na=\nb=pool_mode=TRANSACTION\n[users]\nu=pool_mode=session\nv=pool_size=1\n")
        func mode(_ database: String, _ user: String) throws -> PoolMode {
            configuration.poolMode(database: try #require(configuration.databases[database]), user: user)
        }
        #expect(try mode("a", "nobody") == .statement)
        #expect(try mode("b", "nobody") == .transaction)
        #expect(try mode("b", "u") == .session)
        #expect(try mode("b", "v") == .transaction)
    }

    @Test(arguments: [
        ("dbname=x", true), ("host=x", true), ("port=1", true), ("user=x", true), ("connect_query=x", true), ("auth_dbname=x", true),
        ("auth_query=x", true), ("load_balance_hosts=disable", true), ("dbname=d", false), ("port=5432", false), ("password=x", false),
        ("pool_size=1", false), ("min_pool_size=1", false), ("reserve_pool=1", false), ("pool_mode=statement", false),
        ("client_encoding=x", false), ("datestyle=x", false), ("timezone=x", false), ("application_name=x", false),
        ("auth_user=x", false), ("max_db_connections=1", false), ("max_db_client_connections=1", false), ("server_lifetime=1", false),
        ("query_wait_timeout=1", false),
    ])
    func whatMakesServerConnectionsObsolete(text: String, differs: Bool) throws {
        let database = try #require(try load("[sluice]\n[databases]\nd = \(text)").databases["d"])
        #expect(database.serverIdentityDiffers(from: Database(name: "d")) == differs)
        #expect(Database(name: "d").serverIdentityDiffers(from: database) == differs)
    }

    @Test func theTemplateStandsForAnyName() throws {
        let configuration = try load("[sluice]\n[databases]\n* = host=/run/pg,@pg pool_size=3\n")
        let database = try #require(configuration.database(named: "shop"))
        #expect(database.name == "shop")
        #expect(database.serverName == "shop")
        #expect(database.hosts == ["/run/pg", "@pg"])
        #expect(database.poolSize == 3)
        #expect(try load("[sluice]\n[databases]\n* = dbname=one\n").database(named: "shop")?.serverName == "one")
        #expect(try load("[sluice]\n").database(named: "shop") == nil)
    }

    @Test func startupParametersKeepTheLastValue() throws {
        let database = try #require(try load("[sluice]\n[databases]\nd = timezone=a application_name=b timezone=c").databases["d"])
        #expect(
            database.serverParameters == [
                ServerParameter(name: "application_name", value: "b"), ServerParameter(name: "timezone", value: "c"),
            ])
    }

    @Test func everyDatabaseKeyIsKnown() {
        #expect(
            Set(SettingsTable.databaseKeys.map(\.name)) == [
                "dbname", "host", "port", "user", "password", "auth_user", "auth_query", "auth_dbname", "client_encoding", "datestyle",
                "timezone", "application_name", "pool_size", "min_pool_size", "reserve_pool_size", "reserve_pool", "max_db_connections",
                "max_db_client_connections", "server_lifetime", "pool_mode", "load_balance_hosts", "connect_query", "query_wait_timeout",
                "sslnegotiation", "channel_binding", "password_file", "password_command", "password_lifetime",
                "min_protocol_version", "max_protocol_version",
            ])
        #expect(SettingsTable.userKeys.count == 13)
    }
}
