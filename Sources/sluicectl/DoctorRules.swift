import Configuration

/// What a doctor has found.
struct Finding: Equatable {
    enum Level: String {
        /// It cannot work.
        case error
        /// It works until there is load.
        case warning
        /// Good to know.
        case note
    }

    var level: Level
    /// What it is about: a database, a user, a server.
    var subject: String
    var text: String
    /// What would fit; empty when nothing has to be done.
    var remedy = ""
}

/// Compares what a configuration allows with what the server behind it has.
struct DoctorRules {
    let configuration: Configuration
    /// Facts by `host:port`.
    let servers: [String: ServerFacts]
    private var findings: [Finding] = []

    init(configuration: Configuration, servers: [String: ServerFacts]) {
        self.configuration = configuration
        self.servers = servers
    }

    /// The pools that clients can bring into being, as far as users are known.
    struct Pool: Equatable {
        let entry: String
        let database: Database
        let user: String
        /// Server connections with the reserve; nil: no limit.
        let size: Int?
    }

    /// All findings, the worst first.
    static func findings(_ configuration: Configuration, _ servers: [String: ServerFacts]) -> [Finding] {
        var rules = DoctorRules(configuration: configuration, servers: servers)
        for place in servers.keys.sorted() { rules.check(place) }
        let order: [Finding.Level] = [.error, .warning, .note]
        return order.flatMap { level in rules.findings.filter { $0.level == level } }
    }

    /// `host:port` of each host of a database.
    static func places(of database: Database, _ settings: Settings) -> [String] {
        database.places(unixDirectory: settings.unixSocketDir).map { "\($0.host):\($0.port)" }
    }

    private mutating func add(_ level: Finding.Level, _ subject: String, _ text: String, _ remedy: String = "") {
        let finding = Finding(level: level, subject: subject, text: text, remedy: remedy)
        if !findings.contains(finding) { findings.append(finding) }
    }

    private func entries(on place: String) -> [(name: String, database: Database)] {
        configuration.databases.sorted { $0.key < $1.key }.map { (name: $0.key, database: $0.value) }
            .filter { Self.places(of: $0.database, configuration.settings).contains(place) }
    }

    /// The users whose pools are counted: who may log in and exists on the server.
    private func users(_ database: Database, _ facts: ServerFacts) -> [String] {
        if let user = database.forcedUser { return [user] }
        return configuration.userList.secrets.keys.filter { facts.roles[$0] != nil }.sorted()
    }

    private func pools(on place: String, _ facts: ServerFacts) -> [Pool] {
        entries(on: place).flatMap { name, database in
            users(database, facts).map { user in
                let size = configuration.poolSize(database: database, user: user)
                let reserve = configuration.reservePoolSize(database: database, user: user)
                return Pool(entry: name, database: database, user: user, size: size > 0 ? size + reserve : nil)
            }
        }
    }

    private mutating func check(_ place: String) {
        guard let facts = servers[place] else { return }
        let server = "server \(place)"
        let pools = pools(on: place, facts)
        add(
            .note, server,
            "PostgreSQL \(facts.version): \(facts.maxConnections) connections, \(facts.superuserReserved + facts.reserved) reserved, "
                + "\(facts.usableSlots) for ordinary roles, \(facts.connectionsInUse) in use now")
        for (name, database) in entries(on: place) { checkEntry(name, database, facts) }
        for pool in pools { checkPool(pool, facts) }
        checkDatabases(on: place, pools, facts)
        checkUsers(pools, facts)
        checkSum(server, pools, facts)
        checkEncryption(server, facts)
    }

    // MARK: One entry, one pool

    private mutating func checkEntry(_ name: String, _ database: Database, _ facts: ServerFacts) {
        let subject = "database \(name)"
        guard let catalogue = facts.databases[database.serverName] else {
            add(.error, subject, "there is no database \"\(database.serverName)\" on \(facts.place)", "CREATE DATABASE, or another dbname=")
            return
        }
        if !catalogue.allowsConnections {
            add(.error, subject, "\"\(database.serverName)\" allows no connections", "ALTER DATABASE ... ALLOW_CONNECTIONS true")
        }
        checkTimes(subject, database, facts)
    }

    private mutating func checkPool(_ pool: Pool, _ facts: ServerFacts) {
        let subject = "pool \(pool.entry)/\(pool.user)"
        guard let role = facts.roles[pool.user] else {
            add(.error, subject, "there is no role \"\(pool.user)\" on \(facts.place)", "CREATE ROLE, or another user=")
            return
        }
        if !role.canLogIn { add(.error, subject, "role \"\(pool.user)\" may not log in", "ALTER ROLE ... LOGIN") }
        let slots = slots(for: role, facts)
        guard let size = pool.size else {
            add(.warning, subject, "the pool has no limit; the server has \(slots) slots", "pool_size = \(max(1, slots / 2)) or less")
            return
        }
        if size > slots {
            add(
                .error, subject, "the pool may take \(size) connections with its reserve; the server has \(slots) for this role",
                "pool_size + reserve_pool_size of \(slots) at most, or max_connections of \(size + facts.maxConnections - slots)")
        }
    }

    private func slots(for role: ServerFacts.Role, _ facts: ServerFacts) -> Int {
        if role.isSuperuser { return facts.maxConnections }
        return role.usesReserved ? facts.maxConnections - facts.superuserReserved : facts.usableSlots
    }

    private mutating func checkTimes(_ subject: String, _ database: Database, _ facts: ServerFacts) {
        let settings = configuration.settings
        let idleSession = facts.time(
            "idle_session_timeout", facts.idleSessionTimeout, database: database.serverName, user: database.forcedUser)
        if idleSession > 0, settings.serverIdleTimeout == 0 || settings.serverIdleTimeout / 1000 >= idleSession {
            add(
                .warning, subject,
                "PostgreSQL ends idle connections after \(seconds(idleSession)) (idle_session_timeout), before server_idle_timeout "
                    + "(\(micro(settings.serverIdleTimeout))) does: clients meet dead servers",
                "server_idle_timeout = \(max(1, idleSession / 2000)), or idle_session_timeout = 0 for the pooler's roles")
        }
        let statement = facts.time("statement_timeout", facts.statementTimeout, database: database.serverName, user: database.forcedUser)
        let query = database.forcedUser.map { configuration.queryTimeout(user: $0) } ?? settings.queryTimeout
        if query > 0, statement > 0, statement >= query / 1000 {
            add(
                .warning, subject,
                "query_timeout (\(micro(query))) drops the client and its server before statement_timeout (\(seconds(statement))) can "
                    + "cancel just the statement",
                "query_timeout above statement_timeout")
        }
        let idle = facts.time(
            "idle_in_transaction_session_timeout", facts.idleInTransactionTimeout, database: database.serverName, user: database.forcedUser)
        if idle == 0, settings.idleTransactionTimeout == 0 {
            add(
                .note, subject, "nothing ends a transaction that its client left open: it keeps a server for ever",
                "idle_transaction_timeout here, or idle_in_transaction_session_timeout there")
        }
        if statement == 0, query == 0 {
            add(.note, subject, "nothing ends a statement that runs for ever", "statement_timeout there, or query_timeout here")
        }
    }

    // MARK: Sums

    /// CONNECTION LIMIT of a database against all pools that lead there.
    private mutating func checkDatabases(on place: String, _ pools: [Pool], _ facts: ServerFacts) {
        for (serverName, pools) in Dictionary(grouping: pools, by: \.database.serverName).sorted(by: { $0.key < $1.key }) {
            let limit = facts.databases[serverName]?.connectionLimit ?? -1
            let wanted = demand(pools)
            guard limit >= 0, wanted ?? .max > limit, !pools.allSatisfy({ facts.roles[$0.user]?.isSuperuser ?? false }) else { continue }
            let entries = Set(pools.map(\.entry)).sorted().joined(separator: ", ")
            add(
                .error, "database \(entries)",
                "\"\(serverName)\" has CONNECTION LIMIT \(limit), and its pools may take \(wanted.map(String.init) ?? "any number of")",
                "max_db_connections = \(max(1, limit)), or ALTER DATABASE ... CONNECTION LIMIT \(wanted ?? -1)")
        }
    }

    /// CONNECTION LIMIT of a role against all its pools.
    private mutating func checkUsers(_ pools: [Pool], _ facts: ServerFacts) {
        for (user, pools) in Dictionary(grouping: pools, by: \.user).sorted(by: { $0.key < $1.key }) {
            guard let role = facts.roles[user], role.connectionLimit >= 0, !role.isSuperuser else { continue }
            let wanted = demand(pools)
            guard wanted ?? .max > role.connectionLimit else { continue }
            add(
                .error, "user \(user)",
                "role \"\(user)\" has CONNECTION LIMIT \(role.connectionLimit), and its pools may take "
                    + (wanted.map(String.init) ?? "any number of"),
                "max_user_connections = \(max(1, role.connectionLimit)) in [users], or ALTER ROLE ... CONNECTION LIMIT \(wanted ?? -1)")
        }
    }

    /// All pools together against the slots of the server.
    private mutating func checkSum(_ server: String, _ pools: [Pool], _ facts: ServerFacts) {
        guard !pools.isEmpty, let wanted = demand(pools) else { return }
        let usable = facts.usableSlots
        if wanted > usable {
            let each = max(1, usable / pools.count)
            add(
                .warning, server,
                "\(pools.count) pools may take \(wanted) connections together; \(usable) are there: under load logins fail with "
                    + "\"sorry, too many clients already\"",
                "default_pool_size = \(each), or max_connections = \(wanted + facts.maxConnections - usable)")
        } else {
            add(.note, server, "\(pools.count) pool\(pools.count == 1 ? "" : "s") may take \(wanted) of \(usable) connections: they fit")
        }
        if configuration.settings.authUser != nil || configuration.fallbackDatabase != nil {
            add(
                .note, server, "auth_query or the database * let pools come into being that are not counted here",
                "max_db_connections and max_user_connections bound them")
        }
    }

    /// Connections that these pools may take at once under the limits of databases and users; nil: any number.
    private func demand(_ pools: [Pool]) -> Int? {
        var byUser: [String: Int?] = [:]
        for pool in pools {
            let known: Int? = byUser[pool.user] ?? 0
            byUser[pool.user] = .some(sum(known, pool.size))
        }
        var userTotal: Int? = 0
        for (user, wanted) in byUser { userTotal = sum(userTotal, limited(wanted, configuration.maxUserConnections(user: user))) }
        var databaseTotal: Int? = 0
        for (_, pools) in Dictionary(grouping: pools, by: \.entry) {
            let wanted: Int? = pools.reduce(.some(0)) { sum($0, $1.size) }
            databaseTotal = sum(databaseTotal, limited(wanted, configuration.maxDatabaseConnections(database: pools[0].database)))
        }
        switch (userTotal, databaseTotal) {
        case (let left?, let right?): return min(left, right)
        case (let left, let right): return left ?? right
        }
    }

    private func sum(_ left: Int?, _ right: Int?) -> Int? {
        guard let left, let right else { return nil }
        return left + right
    }

    /// A limit of 0 is none.
    private func limited(_ wanted: Int?, _ limit: Int) -> Int? {
        guard limit > 0 else { return wanted }
        return min(wanted ?? limit, limit)
    }

    private mutating func checkEncryption(_ server: String, _ facts: ServerFacts) {
        let mode = configuration.settings.serverTlsSslmode
        let isSocket = facts.place.hasPrefix("/") || facts.place.hasPrefix("@")
        if !facts.speaksTLS, !isSocket, [.require, .verifyCA, .verifyFull].contains(mode) {
            add(.error, server, "server_tls_sslmode is \(mode.rawValue), and the server has ssl off", "ssl = on there")
        }
    }

    private func seconds(_ milliseconds: Int) -> String {
        milliseconds % 1000 == 0 ? "\(milliseconds / 1000) s" : "\(milliseconds) ms"
    }

    private func micro(_ microseconds: Microseconds) -> String { microseconds == 0 ? "never" : seconds(Int(microseconds / 1000)) }
}
