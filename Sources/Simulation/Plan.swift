#if DEBUG
    import Configuration

    /// What a seed makes of the world: the pooler's configuration, who comes, and what may go wrong.
    struct Plan {
        /// Kinds of trouble.
        struct Troubles: OptionSet {
            let rawValue: Int
            /// Connections are reset.
            static let resets = Troubles(rawValue: 1)
            /// Servers stop and start again.
            static let restarts = Troubles(rawValue: 2)
            /// Servers hang for a while.
            static let hangs = Troubles(rawValue: 4)
            /// Hosts can't reach each other for a while.
            static let partitions = Troubles(rawValue: 8)
            /// Servers take fewer connections than pools want.
            static let crowdedServer = Troubles(rawValue: 16)
            /// The pooler has few descriptors.
            static let fewDescriptors = Troubles(rawValue: 32)
            /// Short times in the settings.
            static let timeouts = Troubles(rawValue: 64)
            /// KILL, DISABLE, KILL_CLIENT: commands that clients feel.
            static let harshCommands = Troubles(rawValue: 128)
            /// Logins are refused now and then.
            static let refusedLogins = Troubles(rawValue: 256)
            static let all: [Troubles] = [
                .resets, .restarts, .hangs, .partitions, .crowdedServer, .fewDescriptors, .timeouts, .harshCommands, .refusedLogins,
            ]
        }

        var configuration = Configuration()
        var troubles: Troubles = []
        /// Operators pause, resume, reload and reconnect.
        var hasOperators = false
        var hasCancels = false
        var hasRudeClients = false
        var clients = 0
        /// How long clients keep coming (microseconds).
        var duration: Int64 = 0
        var steps = 0
        var texts = 4
        var serverMethod = PostgresHost.Method.trust
        var users = ["u0", "u1", "u2"]

        static let listenAddress = "10.5.0.1"
        static let serverAddresses = ["10.0.0.1", "10.0.0.2"]
        static let `operator` = "admin"

        static func password(of user: String) -> String { "secret of \(user)" }

        init(_ dice: inout Dice) {
            if !dice.chance(35) {
                for trouble in Troubles.all where dice.chance(25) { troubles.insert(trouble) }
            }
            hasOperators = dice.chance(50)
            hasCancels = dice.chance(40)
            hasRudeClients = dice.chance(40)
            clients = dice.between(1, dice.chance(20) ? 60 : 20)
            duration = Int64(dice.between(200_000, 6_000_000))
            steps = dice.between(5, 120)
            texts = dice.between(1, 12)
            serverMethod = dice.pick(PostgresHost.Method.allCases)
            settings(&dice)
            databases(&dice)
            var secrets: [(String, String)] = (users + [Self.operator]).map { ($0, Self.password(of: $0)) }
            secrets.sort { $0.0 < $1.0 }
            var list = ""
            for (user, secret) in secrets { list += "\"\(user)\" \"\(secret)\"\n" }
            configuration.userList = UserList(parsing: Array(list.utf8), file: "users")
        }

        private mutating func settings(_ dice: inout Dice) {
            var settings = Settings()
            settings.listenAddr = [Self.listenAddress]
            settings.unixSocketDir = ""
            settings.serverTlsSslmode = .disable
            settings.tcpDeferAccept = dice.pick([0, 1])
            settings.workers = dice.pick([1, 1, 2, 2, 3, 4])
            settings.authType = dice.pick([.trust, .trust, .plain, .md5, .scramSHA256])
            settings.scramIterations = 16
            settings.adminUsers = [Self.operator]
            settings.poolMode = dice.pick([.session, .transaction, .transaction, .transaction, .statement])
            settings.defaultPoolSize = dice.pick([1, 1, 2, 2, 3, 5])
            settings.maxClientConn = 1000
            if dice.chance(15) { settings.minPoolSize = dice.between(1, 2) }
            if dice.chance(15) {
                settings.reservePoolSize = dice.between(1, 2)
                settings.reservePoolTimeout = 500_000
            }
            if dice.chance(25) { settings.maxDbConnections = dice.between(1, 4) }
            if dice.chance(20) { settings.maxUserConnections = dice.between(1, 4) }
            settings.serverRoundRobin = dice.chance(30)
            settings.maxPreparedStatements = dice.pick([0, 1, 2, 5, 200, 200])
            settings.statementSharing = dice.pick([.auto, .auto, .off])
            settings.serverResetQueryAlways = dice.chance(15)
            settings.serverCheckDelay = dice.pick([0, 20_000, 30_000_000, 30_000_000])
            if dice.chance(10) { settings.serverCheckQuery = "" }
            settings.serverLifetime = dice.pick([0, 200_000, 3600_000_000, 3600_000_000, 3600_000_000])
            settings.serverIdleTimeout = dice.pick([300_000, 600_000_000])
            settings.serverLoginRetry = dice.pick([200_000, 1_000_000, 15_000_000])
            settings.cancelOnDisconnect = dice.chance(20)
            settings.serverFastClose = dice.chance(20)
            settings.queryWaitNotify = dice.pick([0, 1, 5])
            settings.statsPeriod = dice.pick([1, 60])
            if dice.chance(10) { settings.logMinDuration = 5_000 }
            if dice.chance(10) { settings.applicationNameAddHost = false }
            if dice.chance(15) { settings.statementMaxAge = 1_000_000 }
            if dice.chance(10) { settings.maxStatementMemory = 2_000 }
            if troubles.contains(.timeouts) {
                if dice.chance(40) { settings.queryTimeout = Int64(dice.between(50_000, 2_000_000)) }
                if dice.chance(40) { settings.queryWaitTimeout = Int64(dice.between(100_000, 3_000_000)) }
                if dice.chance(40) { settings.idleTransactionTimeout = Int64(dice.between(100_000, 2_000_000)) }
                if dice.chance(30) { settings.transactionTimeout = Int64(dice.between(100_000, 2_000_000)) }
                if dice.chance(30) { settings.clientIdleTimeout = Int64(dice.between(200_000, 2_000_000)) }
                if dice.chance(30) { settings.clientLoginTimeout = Int64(dice.between(300_000, 3_000_000)) }
                if dice.chance(30) { settings.clientMessageTimeout = Int64(dice.between(200_000, 2_000_000)) }
                if dice.chance(30) { settings.cancelWaitTimeout = Int64(dice.between(10_000, 1_000_000)) }
                if dice.chance(40) { settings.serverConnectTimeout = Int64(dice.between(300_000, 3_000_000)) }
                if dice.chance(30) { settings.poolIdleTimeout = Int64(dice.between(200_000, 2_000_000)) }
            } else {
                settings.clientMessageTimeout = 0
                // Long queues are no trouble.
                settings.queryWaitTimeout = 0
                settings.clientLoginTimeout = 0
            }
            if dice.chance(10) { settings.maxClientConn = dice.between(2, 20) }
            if dice.chance(10) { settings.maxDbClientConnections = dice.between(1, 6) }
            if dice.chance(10) { settings.maxUserClientConnections = dice.between(1, 6) }
            configuration.settings = settings
        }

        private mutating func databases(_ dice: inout Dice) {
            for index in 0..<dice.between(1, 3) {
                var database = Database(name: "d\(index)")
                // The second one is another server, with the same data.
                database.hosts = dice.chance(30) ? Self.serverAddresses : [dice.pick(Self.serverAddresses)]
                database.loadBalanceHosts = dice.pick([.roundRobin, .disable])
                if dice.chance(10) { database.connectQuery = "select connected" }
                if dice.chance(25) {
                    database.forcedUser = dice.pick(users)
                    database.password = Self.password(of: database.forcedUser ?? "")
                    if dice.chance(30) { database.minPoolSize = 1 }
                }
                if dice.chance(20) { database.poolSize = dice.between(1, 3) }
                if dice.chance(20) { database.poolMode = dice.pick(PoolMode.allCases) }
                configuration.databases[database.name] = database
            }
        }

        /// Another configuration for a reload, which differs in what may change while clients are there.
        func changed(_ now: Configuration, _ dice: inout Dice) -> Configuration {
            var fresh = now
            for _ in 0...dice.below(3) {
                switch dice.below(7) {
                case 0: fresh.settings.defaultPoolSize = dice.between(1, 4)
                case 1: fresh.settings.maxDbConnections = dice.pick([0, 0, 2, 3])
                case 2: fresh.settings.maxUserConnections = dice.pick([0, 0, 2, 3])
                case 3: fresh.settings.serverRoundRobin.toggle()
                case 4: fresh.settings.serverIdleTimeout = dice.pick([300_000, 600_000_000])
                case 5: fresh.settings.serverCheckDelay = dice.pick([0, 20_000, 30_000_000])
                default: fresh.settings.reservePoolSize = dice.between(0, 1)
                }
            }
            return fresh
        }

        /// In one line.
        var summary: String {
            let settings = configuration.settings
            return
                "workers \(settings.workers), \(settings.poolMode) pools of \(settings.defaultPoolSize), \(clients) clients, \(configuration.databases.count) databases, troubles \(troubles.rawValue), operators \(hasOperators), cancels \(hasCancels)"
        }
    }

#endif
