import Bytes
import Testing

@testable import Configuration

@Suite struct EnvironmentConfigurationTests {
    private static let files = Files([
        "/run/secrets/pw": "geheim\n", "/run/secrets/empty": "\n", "/run/secrets/url": "postgres://u:p@h/d\r\n",
    ])

    private func load(_ variables: [String: String]) throws(ConfigurationError) -> EnvironmentConfiguration {
        var table = NameTable<String>()
        for (name, value) in variables { table[name] = value }
        return try EnvironmentConfiguration(table, read: Self.files.read)
    }

    @Test func aURLIsEnough() throws {
        let environment = try load([
            "DATABASE_URL": "postgres://u:p@h:7/d?sslmode=require&statement_timeout=5s", "PATH": "/bin", "USER": "root",
        ])
        let configuration = environment.configuration
        #expect(configuration.warnings == [])
        #expect(configuration.settings.poolMode == .transaction)
        #expect(configuration.settings.listenAddr == ["*"])
        #expect(configuration.settings.listenPort == 6543)
        #expect(configuration.settings.authType == .scramSHA256)
        #expect(configuration.settings.serverTlsSslmode == .require)
        #expect(configuration.settings.user == Settings().user)
        #expect(configuration.settings.statsUsers == ["u"])
        #expect(configuration.userList.secrets == ["u": "p"])
        #expect(configuration.database(named: "d")?.hosts == ["h"])
        #expect(configuration.database(named: "other")?.serverParameters == [ServerParameter(name: "statement_timeout", value: "5s")])
        let login = try #require(environment.login)
        #expect(login == ("d", "u", true))
    }

    /// edoburu/pgbouncer: its tests name every variable that it reads.
    @Test func everyVariableOfEdoburusImageIsKnown() throws {
        var variables = [
            "DB_HOST": "db.example.com", "DB_PORT": "6543", "DB_NAME": "appdb", "DB_USER": "appuser", "DB_PASSWORD": "s3cret",
            "CLIENT_ENCODING": "UTF8", "LISTEN_ADDR": "*", "LISTEN_PORT": "6432", "UNIX_SOCKET_DIR": "/var/run/pgbouncer",
            "AUTH_TYPE": "md5", "AUTH_USER": "authuser", "AUTH_QUERY": "SELECT usename, passwd FROM pg_shadow WHERE usename=$1",
            "AUTH_DBNAME": "authdb", "POOL_MODE": "session", "MAX_CLIENT_CONN": "2000", "POOL_SIZE": "30", "DEFAULT_POOL_SIZE": "64",
            "MIN_POOL_SIZE": "5", "RESERVE_POOL_SIZE": "10", "RESERVE_POOL_TIMEOUT": "3", "MAX_DB_CONNECTIONS": "90",
            "MAX_USER_CONNECTIONS": "80", "SERVER_ROUND_ROBIN": "1", "IGNORE_STARTUP_PARAMETERS": "extra_float_digits,search_path",
            "DISABLE_PQEXEC": "0", "APPLICATION_NAME_ADD_HOST": "1", "TIMEZONE": "UTC", "MAX_PREPARED_STATEMENTS": "200",
            "LOG_CONNECTIONS": "0", "LOG_DISCONNECTIONS": "1", "LOG_POOLER_ERRORS": "1", "LOG_STATS": "1", "STATS_PERIOD": "60",
            "VERBOSE": "1", "ADMIN_USERS": "postgres,adminuser", "STATS_USERS": "statsuser", "LOGFILE": "/var/log/pgbouncer/pgbouncer.log",
            "SERVER_RESET_QUERY": "DISCARD ALL", "SERVER_RESET_QUERY_ALWAYS": "0", "SERVER_CHECK_DELAY": "30",
            "SERVER_CHECK_QUERY": "select 1", "SERVER_LIFETIME": "3600", "SERVER_IDLE_TIMEOUT": "600", "SERVER_CONNECT_TIMEOUT": "15",
            "SERVER_LOGIN_RETRY": "15", "CLIENT_LOGIN_TIMEOUT": "60", "AUTODB_IDLE_TIMEOUT": "3600", "DNS_MAX_TTL": "15",
            "DNS_NXDOMAIN_TTL": "15", "CLIENT_TLS_SSLMODE": "require", "CLIENT_TLS_KEY_FILE": "/tls/client.key",
            "CLIENT_TLS_CERT_FILE": "/tls/client.crt", "CLIENT_TLS_CA_FILE": "/tls/client-ca.crt", "CLIENT_TLS_PROTOCOLS": "secure",
            "CLIENT_TLS_CIPHERS": "HIGH:!aNULL", "CLIENT_TLS_ECDHCURVE": "prime256v1", "CLIENT_TLS_DHEPARAMS": "auto",
            "SERVER_TLS_SSLMODE": "verify-full", "SERVER_TLS_CA_FILE": "/tls/server-ca.crt", "SERVER_TLS_KEY_FILE": "/tls/server.key",
            "SERVER_TLS_CERT_FILE": "/tls/server.crt", "SERVER_TLS_PROTOCOLS": "secure", "SERVER_TLS_CIPHERS": "HIGH:!aNULL",
            "QUERY_TIMEOUT": "120", "QUERY_WAIT_TIMEOUT": "110", "CLIENT_IDLE_TIMEOUT": "0", "IDLE_TRANSACTION_TIMEOUT": "0",
            "PKT_BUF": "4096", "MAX_PACKET_SIZE": "2147483647", "LISTEN_BACKLOG": "128", "SBUF_LOOPCNT": "5", "SUSPEND_TIMEOUT": "10",
            "TCP_DEFER_ACCEPT": "1", "TCP_KEEPALIVE": "1", "TCP_KEEPCNT": "9", "TCP_KEEPIDLE": "7200", "TCP_KEEPINTVL": "75",
            "TCP_USER_TIMEOUT": "0", "ADMIN_PASSWORDS": "a1,a2", "STATS_PASSWORDS": "s1",
        ]
        let configuration = try load(variables).configuration
        let settings = configuration.settings
        let entry = try #require(configuration.databases["appdb"])
        #expect(entry.hosts == ["db.example.com"] && entry.port == 6543 && entry.authUser == "appuser" && entry.poolSize == 30)
        let parameters = entry.serverParameters.map { "\($0.name)=\($0.value)" }
        #expect(parameters == ["client_encoding=UTF8", "timezone=UTC"])
        #expect(configuration.fallbackDatabase == nil)
        #expect(configuration.userList.secrets == ["appuser": "s3cret", "postgres": "a1", "adminuser": "a2", "statsuser": "s1"])
        #expect(
            settings.poolMode == .session && settings.listenPort == 6432 && settings.authType == .md5
                && settings.logfile.hasSuffix("pgbouncer.log"))
        // Each setting has the value of its variable.
        for specification in SettingsTable.all {
            guard let value = variables[specification.name.uppercased()], specification.isBuilt, specification.support == .built else {
                continue
            }
            var expected = Settings()
            try specification.apply(value, to: &expected)
            #expect(specification.text(in: settings) == specification.text(in: expected), "\(specification.name)")
        }
        #expect(
            !configuration.warnings.contains { $0.contains("not known") || $0.contains("no effect beside") }, "\(configuration.warnings)")
        // Without a name it is every database of the server.
        variables["DB_NAME"] = nil
        #expect(try load(variables).configuration.database(named: "any")?.port == 6543)
        #expect(try load(variables).login == nil)
    }

    /// bitnami/pgbouncer.
    @Test func everyVariableOfBitnamisImageIsKnown() throws {
        let variables = [
            "POSTGRESQL_HOST": "db", "POSTGRESQL_PORT": "5433", "POSTGRESQL_USERNAME": "boss",
            "POSTGRESQL_PASSWORD_FILE": "/run/secrets/pw",
            "POSTGRESQL_DATABASE": "real", "PGBOUNCER_DATABASE": "shown", "PGBOUNCER_PORT": "6000", "PGBOUNCER_LISTEN_ADDRESS": "0.0.0.0",
            "PGBOUNCER_LOG_FILE": "/log/x", "PGBOUNCER_SOCKET_DIR": "/sock", "PGBOUNCER_SOCKET_MODE": "0700",
            "PGBOUNCER_POOL_MODE": "statement", "PGBOUNCER_AUTH_TYPE": "plain", "PGBOUNCER_AUTH_USER": "asker",
            "PGBOUNCER_SET_DATABASE_USER": "yes", "PGBOUNCER_SET_DATABASE_PASSWORD": "yes", "PGBOUNCER_CONNECT_QUERY": "SELECT 1",
            "PGBOUNCER_USERLIST": "\"more\" \"secret\"\n\"boss\" \"other\"", "PGBOUNCER_STATS_USERS": "looker",
            "PGBOUNCER_DSN_0": "one=host=h1 port=1 dbname=x", "PGBOUNCER_DSN_1": "two=host=h2", "PGBOUNCER_INIT_SLEEP_TIME": "1",
            "PGBOUNCER_EXTRA_FLAGS": "-q", "PGBOUNCER_DAEMON_USER": "x", "PGBOUNCER_MAX_CLIENT_CONN": "7",
            "PGBOUNCER_SERVER_FAST_CLOSE": "1",
            "PGBOUNCER_SERVICE_HOST": "10.0.0.1", "PGBOUNCER_PORT_6432_TCP": "tcp://10.0.0.1:6432",
        ]
        let configuration = try load(variables).configuration
        let settings = configuration.settings
        let entry = try #require(configuration.databases["shown"])
        #expect(entry.hosts == ["db"] && entry.port == 5433 && entry.serverName == "real" && entry.forcedUser == "boss")
        #expect(entry.password == "geheim" && entry.authUser == "asker" && entry.connectQuery == "SELECT 1")
        #expect(configuration.databases["one"]?.serverName == "x" && configuration.databases["two"]?.hosts == ["h2"])
        #expect(configuration.userList.secrets == ["boss": "geheim", "more": "secret"])
        #expect(settings.listenPort == 6000 && settings.listenAddr == ["0.0.0.0"] && settings.logfile == "/log/x")
        #expect(settings.unixSocketDir == "/sock" && settings.unixSocketMode == 0o700 && settings.poolMode == .statement)
        #expect(settings.adminUsers == ["boss"] && settings.statsUsers == ["looker"] && settings.maxClientConn == 7)
        #expect(
            configuration.warnings == [
                "environment: no effect here: PGBOUNCER_INIT_SLEEP_TIME, PGBOUNCER_DAEMON_USER, PGBOUNCER_EXTRA_FLAGS"
            ])
    }

    /// In Kubernetes a service called pgbouncer puts its address into every container.
    @Test func theAddressOfAServiceIsNoPort() throws {
        let configuration = try load(["DATABASE_URL": "postgres://u:p@h/d", "PGBOUNCER_PORT": "tcp://10.0.0.1:6432"]).configuration
        #expect(configuration.settings.listenPort == 6543 && configuration.warnings == [])
    }

    /// pgbouncer/pgbouncer.
    @Test func everyKeyOfADatabaseHasAVariable() throws {
        let configuration = try load([
            "DATABASES_HOST": "h", "DATABASES_PORT": "5439", "DATABASES_USER": "awsuser", "DATABASES_PASSWORD": "secret",
            "DATABASES_DBNAME": "mydatabase", "DATABASES_POOL_SIZE": "9", "PGBOUNCER_LISTEN_PORT": "5439",
        ]).configuration
        let entry = try #require(configuration.database(named: "anything"))
        #expect(entry.hosts == ["h"] && entry.port == 5439 && entry.forcedUser == "awsuser" && entry.password == "secret")
        #expect(entry.serverName == "mydatabase" && entry.poolSize == 9 && configuration.settings.listenPort == 5439)
        #expect(configuration.userList.secrets == ["awsuser": "secret"])
    }

    @Test func severalURLs() throws {
        let configuration = try load([
            "DATABASE_URLS": "postgres://a:1@h1,h2:7/x, postgres://b:2@h3/y,postgres://a:1@h4/z", "SLUICE_POOL_MODE": "session",
            "POOL_MODE": "statement",
        ]).configuration
        #expect(configuration.databases.keys.sorted() == ["x", "y", "z"] && configuration.fallbackDatabase == nil)
        #expect(configuration.databases["x"]?.hosts == ["h1", "h2"] && configuration.userList.secrets == ["a": "1", "b": "2"])
        #expect(configuration.settings.poolMode == .session)
        #expect(configuration.warnings == ["environment: POOL_MODE has no effect beside SLUICE_POOL_MODE"])
    }

    @Test func filesHoldSecrets() throws {
        #expect(try load(["DATABASE_URL_FILE": "/run/secrets/url"]).configuration.userList.secrets == ["u": "p"])
        let other = try load(["DB_HOST": "h", "DB_USER": "u", "DB_PASSWORD_FILE": "/run/secrets/pw", "DB_PASSWORD": ""])
        #expect(other.configuration.userList.secrets == ["u": "geheim"])
        #expect(other.configuration.warnings == ["environment: DB_PASSWORD is empty, so it counts as not set"])
    }

    @Test(arguments: [
        ([:], "environment: nothing to pool: expected DATABASE_URL, DB_HOST, DATABASES_HOST or POSTGRESQL_HOST, or a configuration file"),
        (["DATABASE_URL": "mysql://u:geheim@h/d"], "environment: DATABASE_URL: expected postgres://user:password@host:port/database"),
        (
            ["DATABASE_URLS": "postgres://u:geheim@h/d,postgres://u:anders@h/e"],
            "environment: DATABASE_URLS: URL 2: user \"u\" has two passwords"
        ),
        (
            ["DATABASE_URLS": "postgres://u:geheim@h/d,postgres://v:geheim@i/d"],
            "environment: DATABASE_URLS: URL 2: database \"d\" is named twice"
        ),
        (
            ["DATABASE_URLS": "postgres://u:geheim@h/d?sslmode=require,postgres://v:geheim@i/e"],
            "environment: DATABASE_URLS: URL 2 differs in its ssl parameters, which hold for all"
        ),
        (["DB_HOST": "h", "DB_PORT": "x"], "environment: DB_PORT: \"x\" is not a number: expected an integer from 1 to 65535"),
        (
            ["DB_HOST": "h", "POOL_MODE": "fast"],
            "environment: POOL_MODE: \"fast\" is not known: expected session, transaction or statement"
        ),
        (
            ["DB_HOST": "h", "DB_PASSWORD": "geheim", "DB_PASSWORD_FILE": "/run/secrets/pw", "DB_USER": "u"],
            "environment: DB_PASSWORD: DB_PASSWORD_FILE is set, too: expected one of them"
        ),
        (
            ["DB_HOST": "h", "DB_PASSWORD_FILE": "/none", "DB_USER": "u"],
            "environment: DB_PASSWORD_FILE: /none: no such file: expected a file that this user may read, with the value in it"
        ),
        (
            ["DB_HOST": "h", "DB_PASSWORD_FILE": "/run/secrets/empty", "DB_USER": "u"],
            "environment: DB_PASSWORD_FILE: /run/secrets/empty is empty: expected the value in it"
        ),
        (
            ["DB_HOST": "h", "ADMIN_USERS": "a,b", "ADMIN_PASSWORDS": "geheim"],
            "environment: ADMIN_PASSWORDS: there are 1 passwords and 2 users in ADMIN_USERS: expected one for each, with commas"
        ),
        (
            ["DB_HOST": "h", "ADMIN_USERS": "a,b", "ADMIN_PASSWORD": "geheim"],
            "environment: ADMIN_PASSWORD: ADMIN_USERS names 2 users: expected one, or ADMIN_PASSWORDS"
        ),
        (
            ["POSTGRESQL_HOST": "h", "PGBOUNCER_SET_DATABASE_USER": "ja"],
            "environment: PGBOUNCER_SET_DATABASE_USER: \"ja\" is not known: expected yes or no"
        ),
        (
            ["PGBOUNCER_DSN_0": "one=hots=h1"], "environment: PGBOUNCER_DSN_0: unknown setting \"hots\" (did you mean \"host\"?)"
        ),
        (["PGBOUNCER_DSN_0": "one"], "environment: PGBOUNCER_DSN_0: expected a line of [databases], such as name=host=db1 port=5432"),
        (
            ["DB_HOST": "h", "DB_NAME": "pgbouncer"],
            "environment: database \"pgbouncer\": database name \"pgbouncer\" is reserved for the console"
        ),
    ])
    func refuses(variables: [String: String], message: String) {
        do throws(ConfigurationError) {
            _ = try load(variables)
            Issue.record("read")
        } catch {
            #expect(error.description == message)
            #expect(!error.description.contains("geheim") && !error.description.contains("anders"))
        }
    }

    @Test func whatIsMisspeltIsNamed() throws {
        let warnings = try load([
            "DATABASE_URL": "postgres://u:p@h/d", "SLUICE_POOL_MOD": "session", "PGBOUNCER_MAX_CLIENT_CON": "1", "POOL_SIZE_X": "1",
        ])
        .configuration.warnings
        #expect(
            warnings == [
                "environment: PGBOUNCER_MAX_CLIENT_CON: not known, so it has no effect (did you mean PGBOUNCER_MAX_CLIENT_CONN?)",
                "environment: SLUICE_POOL_MOD: not known, so it has no effect (did you mean SLUICE_POOL_MODE?)",
            ])
    }

    @Test func theUserListIsReadToo() throws {
        let files = Files(["/users": "\"u\" \"of the file\"\n\"v\" \"w\"\n"])
        let configuration = try EnvironmentConfiguration(
            ["DATABASE_URL": "postgres://u:p@h/d", "AUTH_FILE": "/users"], read: files.read
        ).configuration
        #expect(configuration.userList.secrets == ["u": "of the file", "v": "w"])
    }
}
