import Bytes

/// A configuration made of environment variables: those of the images of PgBouncer that people come from, and Sluice's own.
///
/// A setting is `POOL_MODE` (edoburu/pgbouncer), `PGBOUNCER_POOL_MODE` (bitnami/pgbouncer, pgbouncer/pgbouncer) or `SLUICE_POOL_MODE`. The
/// databases are of one of these families: `DATABASE_URL` or `DATABASE_URLS`; `DB_HOST`; `DATABASES_HOST`; `POSTGRESQL_HOST` and
/// `PGBOUNCER_DSN_0`.
public struct EnvironmentConfiguration: Sendable {
    /// All that the variables say, the files that they name included.
    public private(set) var configuration = Configuration()
    /// The database and the user that a server can be asked for, where the variables name both.
    public private(set) var login: (database: String, user: String, hasPassword: Bool)?

    /// Reads the variables. Stops at the first error, which names the variable and never its value if that may be a secret.
    public init(_ variables: NameTable<String>, read: @escaping FileReader) throws(ConfigurationError) {
        var builder = Builder(EnvironmentVariables(variables, reserved: Self.reserved, read: read))
        try builder.build()
        login = builder.login
        var prepared = builder.configuration
        prepared.warnings += builder.variables.warnings
        var loader = ConfigurationLoader(path: EnvironmentVariables.file, prepared: prepared, read: read)
        configuration = try loader.complete()
        // Whoever stands in the file has the secret of the file.
        var secrets = builder.secrets
        for (user, secret) in configuration.userList.secrets { secrets[user] = secret }
        configuration.userList = UserList(secrets: secrets)
    }

    /// The variables that are read, `NAME_FILE` aside: for the reference and for advice.
    public static var names: [String] {
        SettingsTable.all.flatMap { variables(of: $0.name) } + databaseVariables
    }

    /// The variables of a setting, the one that counts first.
    static func variables(of setting: String) -> [String] {
        let name = setting.uppercased()
        var names = ["SLUICE_\(name)", name, "PGBOUNCER_\(name)"]
        // Every system has a USER that is not about this program.
        if setting == "user" { names = ["SLUICE_USER"] }
        if let alias = aliases[setting] { names.append(alias) }
        return names
    }

    /// Where bitnami's names are others than the settings'.
    private static let aliases = [
        "listen_port": "PGBOUNCER_PORT", "listen_addr": "PGBOUNCER_LISTEN_ADDRESS", "logfile": "PGBOUNCER_LOG_FILE",
        "unix_socket_dir": "PGBOUNCER_SOCKET_DIR", "unix_socket_mode": "PGBOUNCER_SOCKET_MODE",
        "unix_socket_group": "PGBOUNCER_SOCKET_GROUP",
    ]

    private static let databaseVariables =
        [
            "DATABASE_URL", "DATABASE_URLS", "DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD", "POOL_SIZE", "CLIENT_ENCODING",
            "TIMEZONE", "ADMIN_PASSWORD", "ADMIN_PASSWORDS", "STATS_PASSWORDS", "POSTGRESQL_HOST", "POSTGRESQL_PORT", "POSTGRESQL_USERNAME",
            "POSTGRESQL_PASSWORD", "POSTGRESQL_DATABASE", "PGBOUNCER_DATABASE", "PGBOUNCER_SET_DATABASE_USER",
            "PGBOUNCER_SET_DATABASE_PASSWORD", "PGBOUNCER_USERLIST", "PGBOUNCER_CONNECT_QUERY", "PGBOUNCER_DSN_0",
        ] + SettingsTable.databaseKeys.map { "DATABASES_\($0.name.uppercased())" }

    private static let reserved: Set<String> = Set(SettingsTable.all.flatMap { variables(of: $0.name) } + ["PGBOUNCER_LOG_FILE"])
}

extension EnvironmentConfiguration {
    /// The work of the initializer, step by step.
    struct Builder {
        var variables: EnvironmentVariables
        var configuration = Configuration()
        var secrets: NameTable<String> = [:]
        var login: (database: String, user: String, hasPassword: Bool)?

        init(_ variables: EnvironmentVariables) {
            self.variables = variables
            configuration.settings.poolMode = .transaction
            configuration.settings.listenAddr = ["*"]
            configuration.settings.listenPort = 6543
            configuration.settings.authType = .scramSHA256
            configuration.settings.unixSocketDir = "/tmp"
            configuration.settings.maxClientConn = 10_000
            configuration.settings.metricsListen = "127.0.0.1:9127"
        }

        mutating func build() throws(ConfigurationError) {
            try databases()
            try settings()
            try operators()
            variables.warnOfUnused(prefixes: ["SLUICE_", "PGBOUNCER_", "DATABASES_"], known: EnvironmentConfiguration.names)
        }

        private mutating func settings() throws(ConfigurationError) {
            for specification in SettingsTable.all where specification.name != "conffile" {
                guard let (name, text) = try variables.first(of: variables(of: specification.name)) else { continue }
                do throws(InvalidValue) { try specification.apply(text, to: &configuration.settings) } catch {
                    throw EnvironmentVariables.fault(name, error.message)
                }
                if let warning = specification.warning { variables.warn("\(name): \(warning)") }
            }
            for name in ["SLUICE_CONFIG", "SLUICE_CONFFILE", "PGBOUNCER_CONFFILE"] { variables.use(name) }
        }

        private func variables(of setting: String) -> [String] { EnvironmentConfiguration.variables(of: setting) }

        /// Operators and their passwords, in the same order.
        private mutating func operators() throws(ConfigurationError) {
            try passwords("ADMIN_PASSWORDS", of: "ADMIN_USERS", configuration.settings.adminUsers)
            try passwords("STATS_PASSWORDS", of: "STATS_USERS", configuration.settings.statsUsers)
            if let password = try variables.value(of: "ADMIN_PASSWORD") {
                guard configuration.settings.adminUsers.count == 1 else {
                    throw EnvironmentVariables.fault(
                        "ADMIN_PASSWORD",
                        "ADMIN_USERS names \(configuration.settings.adminUsers.count) users: expected one, or ADMIN_PASSWORDS")
                }
                add(configuration.settings.adminUsers[0], password)
            }
            guard let text = try variables.value(of: "PGBOUNCER_USERLIST") else { return }
            let list = UserList(parsing: Array(text.utf8), file: EnvironmentVariables.file)
            if let fault = list.fault { throw EnvironmentVariables.fault("PGBOUNCER_USERLIST", fault.message) }
            for (user, secret) in list.secrets { add(user, secret) }
        }

        private mutating func passwords(_ name: String, of usersName: String, _ users: [String]) throws(ConfigurationError) {
            guard let text = try variables.value(of: name) else { return }
            let passwords = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            guard passwords.count == users.count else {
                throw EnvironmentVariables.fault(
                    name,
                    "there are \(passwords.count) passwords and \(users.count) users in \(usersName): expected one for each, with commas")
            }
            for (user, password) in zip(users, passwords) where !password.isEmpty { add(user, password) }
        }

        /// The first one who names a user counts.
        mutating func add(_ user: String, _ secret: String) {
            if secrets[user] == nil { secrets[user] = secret }
        }
    }
}
