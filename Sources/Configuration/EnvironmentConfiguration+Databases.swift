import Bytes

/// Where PostgreSQL is: one family of variables for each image.
extension EnvironmentConfiguration.Builder {
    mutating func databases() throws(ConfigurationError) {
        let families = [
            ("DATABASE_URL", variables.has("DATABASE_URL")), ("DATABASE_URLS", variables.has("DATABASE_URLS")),
            ("DB_HOST", variables.has("DB_HOST")), ("DATABASES_HOST", variables.has("DATABASES_HOST")),
            ("POSTGRESQL_HOST", hasPostgresql || variables.has("PGBOUNCER_DSN_0")),
        ].filter(\.1).map(\.0)
        guard let family = families.first else {
            throw EnvironmentVariables.fault(
                nil, "nothing to pool: expected DATABASE_URL, DB_HOST, DATABASES_HOST or POSTGRESQL_HOST, or a configuration file")
        }
        for other in families.dropFirst() { variables.warn("\(other) has no effect beside \(family)") }
        switch family {
        case "DATABASE_URL": try urls(try variables.value(of: family).map { [$0] } ?? [], family)
        case "DATABASE_URLS": try urls(Self.split(try variables.value(of: family) ?? ""), family)
        case "DB_HOST": try edoburu()
        case "DATABASES_HOST": try official()
        default: try bitnami()
        }
        try commonKeys()
    }

    private var hasPostgresql: Bool {
        ["HOST", "PASSWORD", "USERNAME", "DATABASE"].contains { variables.has("POSTGRESQL_\($0)") }
    }

    // MARK: URLs

    /// A list of hosts has commas, too, so a comma counts where a URL follows.
    static func split(_ text: String) -> [String] {
        var urls: [String] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let trimmed = part.drop { $0.isWhitespace }
            if urls.isEmpty || trimmed.contains("://") { urls.append(String(trimmed)) } else { urls[urls.count - 1] += "," + part }
        }
        return urls.map { url in String(url.reversed().drop { $0.isWhitespace }.reversed()) }
    }

    private mutating func urls(_ texts: [String], _ variable: String) throws(ConfigurationError) {
        var first: DatabaseURL?
        for (index, text) in texts.enumerated() {
            let url: DatabaseURL
            do throws(ConfigurationError) { url = try DatabaseURL(parsing: text) } catch {
                let number = texts.count > 1 ? "URL \(index + 1): " : ""
                throw EnvironmentVariables.fault(variable, number + (error.key.map { "\($0): " } ?? "") + error.message)
            }
            let made = url.configuration()
            if let first {
                guard first.sslMode == url.sslMode, first.authorityFile == url.authorityFile, first.certificateFile == url.certificateFile,
                    first.keyFile == url.keyFile
                else { throw EnvironmentVariables.fault(variable, "URL \(index + 1) differs in its ssl parameters, which hold for all") }
                guard configuration.databases[url.database] == nil else {
                    throw EnvironmentVariables.fault(variable, "URL \(index + 1): database \"\(url.database)\" is named twice")
                }
                if let known = secrets[url.user], let password = url.password, !known.hasSameBytes(as: password) {
                    throw EnvironmentVariables.fault(variable, "URL \(index + 1): user \"\(url.user)\" has two passwords")
                }
                configuration.fallbackDatabase = nil
            } else {
                let own = configuration.settings
                configuration.settings = made.settings
                configuration.settings.listenAddr = own.listenAddr
                configuration.settings.unixSocketDir = own.unixSocketDir
                configuration.settings.maxClientConn = own.maxClientConn
                configuration.settings.metricsListen = own.metricsListen
                configuration.settings.statsUsers = [url.user]
                configuration.fallbackDatabase = made.fallbackDatabase
                login = (url.database, url.user, url.password != nil)
                first = url
            }
            configuration.databases[url.database] = made.databases[url.database]
            configuration.warnings += made.warnings
            if let password = url.password { add(url.user, password) }
        }
    }

    // MARK: Images

    /// edoburu/pgbouncer: one database, or all of a server. Users that are not known are looked up as DB_USER.
    private mutating func edoburu() throws(ConfigurationError) {
        let name = try variables.value(of: "DB_NAME") ?? "*"
        let user = try variables.value(of: "DB_USER")
        var entry = Database(name: name)
        try set("host", from: ["DB_HOST"], in: &entry)
        try set("port", from: ["DB_PORT"], in: &entry)
        entry.authUser = user ?? "postgres"
        try keep(entry)
        configuration.settings.adminUsers = ["postgres"]
        try note(user: user, password: try variables.value(of: "DB_PASSWORD"), database: name == "*" ? nil : name)
        if let user, user != "postgres" { configuration.settings.statsUsers = [user] }
    }

    /// pgbouncer/pgbouncer: every key of a database entry has a variable.
    private mutating func official() throws(ConfigurationError) {
        var entry = Database(name: "*")
        for key in SettingsTable.databaseKeys { try set(key.name, from: ["DATABASES_\(key.name.uppercased())"], in: &entry) }
        try keep(entry)
        configuration.settings.adminUsers = ["postgres"]
        try note(user: entry.forcedUser, password: entry.password, database: entry.explicitServerName)
    }

    /// bitnami/pgbouncer: a database of the name PGBOUNCER_DATABASE, and one for each PGBOUNCER_DSN_n.
    private mutating func bitnami() throws(ConfigurationError) {
        let name = try variables.value(of: "PGBOUNCER_DATABASE") ?? "postgres"
        let user = try variables.value(of: "POSTGRESQL_USERNAME") ?? "postgres"
        let password = try variables.value(of: "POSTGRESQL_PASSWORD")
        let serverName = try variables.value(of: "POSTGRESQL_DATABASE")
        if hasPostgresql {
            var entry = Database(name: name)
            entry.hosts = ["postgresql"]
            try set("host", from: ["POSTGRESQL_HOST"], in: &entry)
            try set("port", from: ["POSTGRESQL_PORT"], in: &entry)
            if name != "*" { entry.explicitServerName = serverName ?? name }
            if try isYes("PGBOUNCER_SET_DATABASE_USER") { entry.forcedUser = user }
            if try isYes("PGBOUNCER_SET_DATABASE_PASSWORD") { entry.password = password }
            entry.authUser = try variables.value(of: "PGBOUNCER_AUTH_USER")
            entry.connectQuery = try variables.value(of: "PGBOUNCER_CONNECT_QUERY")
            try keep(entry)
            try note(user: user, password: password, database: name == "*" ? serverName : name)
        }
        configuration.settings.adminUsers = [user]
        var number = 0
        while let text = try variables.value(of: "PGBOUNCER_DSN_\(number)") {
            try dsn(text, "PGBOUNCER_DSN_\(number)")
            number += 1
        }
        var idle: [String] = []
        for name in [
            "INIT_SLEEP_TIME", "INIT_MAX_RETRIES", "FORCE_INITSCRIPTS", "DAEMON_USER", "DAEMON_GROUP", "EXTRA_FLAGS",
            "FAIL_ON_INVALID_DSN_FILE",
        ] {
            if try variables.value(of: "PGBOUNCER_\(name)") != nil { idle.append("PGBOUNCER_\(name)") }
        }
        if !idle.isEmpty { variables.warn("no effect here: \(idle.joined(separator: ", "))") }
    }

    private mutating func isYes(_ name: String) throws(ConfigurationError) -> Bool {
        guard let text = try variables.value(of: name) else { return false }
        switch text.lowercased() {
        case "1", "yes", "true": return true
        case "0", "no", "false": return false
        default: throw EnvironmentVariables.fault(name, "\"\(text)\" is not known: expected yes or no")
        }
    }

    /// A line of `[databases]`: `name=host=... port=...`.
    private mutating func dsn(_ text: String, _ variable: String) throws(ConfigurationError) {
        guard let equals = text.firstIndex(of: "=") else {
            throw EnvironmentVariables.fault(variable, "expected a line of [databases], such as name=host=db1 port=5432")
        }
        var entry = Database(name: String(text[..<equals].reversed().drop { $0 == " " }.reversed()))
        do throws(InvalidValue) {
            for pair in try ConnectString.pairs(in: String(text[equals...].dropFirst())) {
                guard let key = SettingsTable.databaseKeys.first(where: { $0.name == pair.key }) else {
                    let hint =
                        Names.nearest(to: pair.key, among: SettingsTable.databaseKeys.map(\.name)).map { " (did you mean \"\($0)\"?)" }
                        ?? ""
                    throw InvalidValue("unknown setting \"\(pair.key)\"\(hint)")
                }
                try key.apply(pair.value, to: &entry)
            }
        } catch {
            throw EnvironmentVariables.fault(variable, error.message)
        }
        try keep(entry)
    }

    // MARK: Entries

    private mutating func set(_ key: String, from names: [String], in entry: inout Database) throws(ConfigurationError) {
        guard let (name, text) = try variables.first(of: names), let key = SettingsTable.databaseKeys.first(where: { $0.name == key })
        else { return }
        do throws(InvalidValue) { try key.apply(text, to: &entry) } catch { throw EnvironmentVariables.fault(name, error.message) }
    }

    private mutating func keep(_ entry: Database) throws(ConfigurationError) {
        do throws(InvalidValue) {
            try Names.checkDatabase(entry.name)
            if let problem = entry.problem { throw InvalidValue(problem.text) }
        } catch {
            throw EnvironmentVariables.fault(nil, "database \"\(entry.name)\": \(error.message)")
        }
        if entry.name == "*" { configuration.fallbackDatabase = entry } else { configuration.databases[entry.name] = entry }
    }

    private mutating func note(user: String?, password: String?, database: String?) throws(ConfigurationError) {
        guard let user else { return }
        do throws(InvalidValue) { try Names.checkUser(user) } catch { throw EnvironmentVariables.fault(nil, error.message) }
        if let password { add(user, password) }
        if let database { login = (database, user, password != nil) }
    }

    /// Variables of edoburu's that PgBouncer itself has in a database entry only.
    private mutating func commonKeys() throws(ConfigurationError) {
        for (variable, key) in [("POOL_SIZE", "pool_size"), ("CLIENT_ENCODING", "client_encoding"), ("TIMEZONE", "timezone")] {
            guard variables.has(variable) else { continue }
            for name in configuration.databases.keys.sorted() {
                guard var entry = configuration.databases[name] else { continue }
                try set(key, from: [variable], in: &entry)
                configuration.databases[name] = entry
            }
            guard var entry = configuration.fallbackDatabase else { continue }
            try set(key, from: [variable], in: &entry)
            configuration.fallbackDatabase = entry
        }
    }
}
