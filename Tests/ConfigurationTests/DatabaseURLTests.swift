import Configuration
import Testing

@Suite struct DatabaseURLTests {
    @Test(arguments: [
        ("postgres://u:p@h:1/d", "u|p|h|1|d"),
        ("postgresql://u:p@h:1/d", "u|p|h|1|d"),
        ("PostgreSQL://u@h", "u|-|h|5432|u"),
        ("postgres://u@h/", "u|-|h|5432|u"),
        ("postgres://u:@h:/d", "u|-|h|5432|d"),
        ("postgres://u:p@/d", "u|p||5432|d"),
        ("postgres://u:p@:7/d", "u|p||7|d"),
        ("postgres://u:p@[::1]:7/d", "u|p|::1|7|d"),
        ("postgres://u@[fe80::1]/d", "u|-|fe80::1|5432|d"),
        ("postgres://u%40x:p%3A%2f%25@h/my%20db", "u@x|p:/%|h|5432|my db"),
        ("postgres://u:p%40ss@h/d", "u|p@ss|h|5432|d"), ("postgres://u:p%23s$s@h/d", "u|p#s$s|h|5432|d"),
        ("postgres://u:p:q@h/d", "u|p:q|h|5432|d"),
        ("postgres://u@%2Frun%2Fpg/d", "u|-|/run/pg|5432|d"),
        ("postgres://u@/d?host=/run/pg", "u|-|/run/pg|5432|d"),
        ("postgres://u@a,b:5432,[::2]/d", "u|-|a,b,::2|5432|d"),
        ("postgres://u@a:7,b:7/d", "u|-|a,b|7|d"),
        ("postgres://u@a:1,b:2,[::3]:3/d", "u|-|a,b,::3|1,2,3|d"),
        ("postgres://u@a:7,b/d", "u|-|a,b|7,5432|d"),
        ("postgres://u@/d?host=a,b&port=1,2", "u|-|a,b|1,2|d"),
        ("postgres://u@a:1,b:2/d?host=c,e", "u|-|c,e|1,2|d"),
        ("postgres://u@a:1,b:2/d?port=3", "u|-|a,b|3|d"),
        ("postgres://u@a:1,b:2/d?port=", "u|-|a,b|1,2|d"),
        ("postgres:///d?user=u&password=p&host=a,b&port=9", "u|p|a,b|9|d"),
        ("postgres://x:y@z:1/e?user=u&password=p&host=h&port=2&dbname=d", "u|p|h|2|d"),
        ("postgres://u@h?dbname=d", "u|-|h|5432|d"),
        ("postgres://u:p@h/d?pgbouncer=true&connection_limit=1&schema=x&&flag", "u|p|h|5432|d"),
        ("postgres://postgres.abc:p@h:6543/postgres?sslmode=require", "postgres.abc|p|h|6543|postgres"),
    ])
    func reads(text: String, parts: String) throws {
        let url = try DatabaseURL(parsing: text)
        let ports = url.ports.map(String.init).joined(separator: ",")
        #expect("\(url.user)|\(url.password ?? "-")|\(url.hosts.joined(separator: ","))|\(ports)|\(url.database)" == parts)
    }

    @Test(arguments: [
        ("", "database URL: expected postgres://user:password@host:port/database"),
        ("mysql://u@h/d", "database URL: expected postgres://user:password@host:port/database"),
        (
            "host=h user=u password=geheim",
            "database URL: expected postgres://user:password@host:port/database; key=value pairs stand in the section [databases] of a file"
        ),
        (
            "jdbc:postgresql://h/d?user=u&password=geheim",
            "database URL: expected postgres://user:password@host:port/database; leave out \"jdbc:\", and write user and password in front of the host"
        ),
        (
            "postgresql+asyncpg://u:geheim@h/d",
            "database URL: expected postgres://user:password@host:port/database; leave out \"+asyncpg\", which names a driver"
        ),
        ("\"postgres://u:geheim@h/d\"", "database URL: expected postgres://user:password@host:port/database; leave out the quotes"),
        (" postgres://u@h/d", "database URL: expected postgres://user:password@host:port/database; leave out the blanks in front of it"),
        (
            "DATABASE_URL='postgres://u:geheim@h/d'",
            "database URL: expected postgres://user:password@host:port/database; leave out the name of the variable and the \"=\""
        ),
        (
            "psql 'postgres://u:geheim@h/d'",
            "database URL: expected postgres://user:password@host:port/database; leave out the command, and the quotes"
        ),
        ("“postgres://u:geheim@h/d”", "database URL: expected postgres://user:password@host:port/database; leave out the quotes"),
        (
            "psql://u:geheim@h/d",
            "database URL: expected postgres://user:password@host:port/database; write \"postgres://\" in place of \"psql://\""
        ),
        (
            "postgis://u:geheim@h/d",
            "database URL: expected postgres://user:password@host:port/database; write \"postgres://\" in place of \"postgis://\""
        ),
        (
            "postgress://u:geheim@h/d",
            "database URL: expected postgres://user:password@host:port/database; write \"postgres://\" in place of \"postgress://\""
        ),
        ("postgres:/u:geheim@h/d", "database URL: expected postgres://user:password@host:port/database; two slashes follow the colon"),
        (
            "prisma+postgres://accelerate.prisma-data.net/?api_key=geheim",
            "database URL: expected postgres://user:password@host:port/database; that is the address of a service of Prisma's, and not of PostgreSQL"
        ),
        (
            "r2dbc:postgresql://u:geheim@h/d",
            "database URL: expected postgres://user:password@host:port/database; leave out \"r2dbc:\", and write user and password in front of the host"
        ),
        (
            "Host=h;Username=u;Password=geheim;Database=d",
            "database URL: expected postgres://user:password@host:port/database; a connection string of .NET has the same parts: Username, Password, Host, Port and Database"
        ),
        ("https://h/d", "database URL: expected postgres://user:password@host:port/database"),
        ("postgres://u:secret@h/d\n", "database URL: leave out the blanks and line breaks at its end"),
        ("postgres://u:secret@h/d\r", "database URL: leave out the blanks and line breaks at its end"),
        ("postgres://u:secret@h/d\"", "database URL: leave out the quote at its end; one that belongs to it is written %22 or %27"),
        ("postgres://u:sec\nret@h/d", "database URL: a control character stands in it: expected one line of text"),
        ("postgres://u:[YOUR-PASSWORD]@h/d", "database URL: password: a placeholder stands there: expected what it stands for"),
        ("postgres://u:secret@${DB_HOST}/d", "database URL: host: a placeholder stands there: expected what it stands for"),
        ("postgres://<user>:secret@h/d", "database URL: user: a placeholder stands there: expected what it stands for"),
        ("postgres://h/d", "database URL: user: the URL names no user"),
        ("postgres://:p@h/d", "database URL: user: the URL names no user"),
        ("postgres://u@h:x/d", "database URL: port: \"x\" is not a number: expected an integer from 1 to 65535"),
        ("postgres://u@h:70000/d", "database URL: port: \"70000\" is out of range: expected an integer from 1 to 65535"),
        ("postgres://u@a:1,b:2/d?host=c", "database URL: port: there are 2 ports and 1 hosts: expected one port, or one for each host"),
        ("postgres://u@a,b,c/d?port=1,2", "database URL: port: there are 2 ports and 3 hosts: expected one port, or one for each host"),
        ("postgres://u@a:1,:2/d", "database URL: port: there are 2 ports and 1 hosts: expected one port, or one for each host"),
        ("postgres://u@[::1/d", "database URL: host: the IPv6 address has no closing \"]\""),
        ("postgres://u@[::1]5/d", "database URL: host: expected \":\" and a port after \"]\""),
        ("postgres://u@[]/d", "database URL: host: the address in brackets is empty"),
        ("postgres://u:secret/x@h/d", "database URL: password: a \"/\" in it is written %2F, a \"?\" %3F"),
        ("postgres://u:secret?x@h/d", "database URL: password: a \"/\" in it is written %2F, a \"?\" %3F"),
        ("postgres://u:sec@ret@h/d", "database URL: password: an \"@\" in it is written %40"),
        ("postgres://u@tenant:secret@h/d", "database URL: user: an \"@\" in it is written %40"),
        ("postgres://u:sec#ret@h/d", "database URL: password: a \"#\" in it is written %23"),
        ("postgres://u#1:secret@h/d", "database URL: user: a \"#\" in it is written %23"),
        ("postgres://u:secret#/x@h/d", "database URL: a \"#\" in it is written %23"),
        ("postgres://u:secret@h/d#main", "database URL: a \"#\" in it is written %23"),
        ("postgres://u:secret@h/d?search_path=#x", "database URL: a \"#\" in it is written %23"),
        (
            "postgres://u:a@secret/x@h/d",
            "database URL: an \"@\" stands behind the host: in a password or a name \"@\" is written %40, \"/\" %2F and \"?\" %3F"
        ),
        (
            "postgres://u:a@secret?x@h/d?sslmode=require",
            "database URL: an \"@\" stands behind the host: in a password or a name \"@\" is written %40, \"/\" %2F and \"?\" %3F"
        ),
        (
            "postgres://u@h/d?target_session_attrs=master",
            "database URL: target_session_attrs: \"master\" is not known: "
                + "expected any, read-write, read-only, primary, standby or prefer-standby"
        ),
        ("postgres://u@h/d?load_balance_hosts=yes", "database URL: load_balance_hosts: \"yes\" is not known: expected disable or random"),
        (
            "postgres://u@h/d?connect_timeout=5s",
            "database URL: connect_timeout: \"5s\" is not a number: expected an integer from -2147483647 to 1000000000"
        ),
        ("postgres://u:secret%@h/d", "database URL: password: expected two hexadecimal digits after \"%\"; a percent sign is written %25"),
        ("postgres://u:secret%4@h/d", "database URL: password: expected two hexadecimal digits after \"%\"; a percent sign is written %25"),
        ("postgres://u:secret%de@h/d", "database URL: password: the value is not text in UTF-8; a percent sign is written %25"),
        ("postgres://u:p@h/%00", "database URL: dbname: the value is not text in UTF-8; a percent sign is written %25"),
        ("postgres://u:p@h/%ff", "database URL: dbname: the value is not text in UTF-8; a percent sign is written %25"),
        (
            "postgres://u@h/d?sslmode=on",
            "database URL: sslmode: \"on\" is not known: expected disable, allow, prefer, require, verify-ca or verify-full"
        ),
        ("postgres://u@h/pgbouncer", "database URL: database name \"pgbouncer\" is reserved for the console"),
    ])
    func refuses(text: String, message: String) {
        do throws(ConfigurationError) {
            _ = try DatabaseURL(parsing: text)
            Issue.record("read")
        } catch {
            #expect(error.description == message)
            #expect(!error.description.contains("secret") && !error.description.contains("geheim"))
        }
    }

    /// Whatever a URL says takes effect, or is named: a misspelt sslmode was swallowed, and so was a timeout.
    @Test(arguments: [
        ("", "", ""), ("pgbouncer=true", "", ""),
        ("options=-c%20statement_timeout%3D5s", "options=-c statement_timeout=5s", ""),
        ("statement_timeout=5s&TimeZone=Asia/Tokyo", "statement_timeout=5s,timezone=Asia/Tokyo", ""),
        ("client_encoding=LATIN1", "client_encoding=LATIN1", ""),
        ("lock_timeout=1&lock_timeout=2&search_path=a,b&app.tenant=7", "lock_timeout=2,search_path=a,b,app.tenant=7", ""),
        ("application_name=a&fallback_application_name=b", "application_name=a", ""),
        ("fallback_application_name=b", "application_name=b", ""),
        ("application_name=", "", ""), ("client_encoding=auto", "", "no effect here: client_encoding"),
        ("target_session_attrs=any", "", ""),
        (
            "target_session_attrs=read-write", "",
            "target_session_attrs: read-write has no effect: any server that answers is taken, so name none but the right ones"
        ),
        ("connection_limit=1&schema=x&&sslcrl=/x&schema=y", "", "no effect here: connection_limit, schema, sslcrl"),
        ("sslmod=require", "", "sslmod: not known, so it has no effect (did you mean \"sslmode\"?)"),
        ("statement_timout=1", "", "statement_timout: not known, so it has no effect (did you mean \"statement_timeout\"?)"),
        ("zzz=1", "", "zzz: not known, so it has no effect"), ("flag", "", "flag: not known, so it has no effect"),
        ("s%20ecret=x", "", "a parameter whose name is no name has no effect: expected letters, digits and underscores"),
        ("=x", "", "a parameter whose name is no name has no effect: expected letters, digits and underscores"),
    ])
    func parametersTakeEffectOrAreNamed(query: String, parameters: String, warning: String) throws {
        let configuration = try DatabaseURL(parsing: "postgres://u:p@h/d?\(query)").configuration()
        for name in ["d", "other"] {
            let database = try #require(configuration.database(named: name))
            #expect(database.serverParameters.map { "\($0.name)=\($0.value)" }.joined(separator: ",") == parameters)
        }
        #expect(configuration.warnings == (warning.isEmpty ? [] : ["database URL: \(warning)"]))
    }

    @Test func everyHostHasItsPort() throws {
        let own = try #require(try DatabaseURL(parsing: "postgres://u:p@a:1,b:2/d").configuration().database(named: "other"))
        #expect(own.hosts == ["a", "b"] && own.ports == [1, 2] && own.port == 1)
        let same = try #require(try DatabaseURL(parsing: "postgres://u:p@a:2,b:2/d").configuration().database(named: "other"))
        #expect(same.hosts == ["a", "b"] && same.ports == [] && same.port == 2)
    }

    @Test func settingsComeOfIt() throws {
        func settings(_ query: String) throws -> Settings {
            try DatabaseURL(parsing: "postgres://u:p@h/d?\(query)").configuration().settings
        }
        #expect(try settings("").serverConnectTimeout == Settings().serverConnectTimeout)
        #expect(try settings("connect_timeout=7").serverConnectTimeout == 7_000_000)
        #expect(try settings("connect_timeout=0").serverConnectTimeout == 0)
        #expect(try settings("connect_timeout=-1").serverConnectTimeout == 0)
        let sockets = try settings("keepalives=0&keepalives_idle=1&keepalives_interval=2&keepalives_count=3&tcp_user_timeout=4")
        #expect([sockets.tcpKeepidle, sockets.tcpKeepintvl, sockets.tcpKeepcnt, sockets.tcpUserTimeout] == [1, 2, 3, 4])
        #expect(!sockets.tcpKeepalive)
        for (query, mode) in [
            ("sslmode=no-verify", TLSMode.require), ("ssl=true", .require), ("ssl=true&sslmode=verify-full", .verifyFull),
            ("sslmode=verify-ca&ssl=1", .verifyCA), ("", .prefer),
        ] {
            #expect(try settings(query).serverTlsSslmode == mode)
        }
        #expect(try DatabaseURL(parsing: "postgres://u@h?ssl=maybe").warnings == ["no effect here: ssl"])
        // As with libpq, the first host that works, unless the URL says otherwise.
        #expect(try DatabaseURL(parsing: "postgres://u@a,b").configuration().database(named: "u")?.loadBalanceHosts == .disable)
        let balanced = try DatabaseURL(parsing: "postgres://u@a,b?load_balance_hosts=random").configuration()
        #expect(balanced.database(named: "u")?.loadBalanceHosts == .roundRobin)
    }

    @Test(arguments: [
        ("postgres://u:secret@h/d", "postgres://u:***@h/d"),
        ("--database-url=postgres://u:secret@h/d", "--database-url=postgres://u:***@h/d"),
        ("postgres://u:s@ec:ret@h:1,i:2/d", "postgres://u:***@h:1,i:2/d"), ("postgres://u:s@h", "postgres://u:*@h"),
        ("postgres://h/d?user=u&password=secret&sslmode=require", "postgres://h/d?user=u&password=***&sslmode=require"),
        ("postgres://u:secret@h/d?sslpassword=secret", "postgres://u:***@h/d?sslpassword=***"),
        ("postgres://h/d?pass%77ord=secret", "postgres://h/d?pass%77ord=***"),
        ("postgres://u:sec/ret@h/d", "postgres://u:***@h/d"),
        ("postgres://u:sec?ret@h/d?password=secret", "postgres://u:***@h/d?password=***"),
        ("x://:secret@", "x://:***@"),
    ])
    func passwordsAreLeftOut(text: String, shown: String) {
        #expect(DatabaseURL.withoutPasswords(text) == shown)
        #expect(shown.utf8.count <= text.utf8.count)
    }

    @Test func whatHoldsNoPasswordStays() {
        for text in [
            "", "-d", "sluice.ini", "://", "postgres://h", "postgres://u@h/d", "postgres://u:@h/d", "postgres://h:5432/d?sslmode=require",
            "postgres://u@[::1]:5432/d", "postgres://h/d?password=", "?password=secret",
        ] {
            #expect(DatabaseURL.withoutPasswords(text) == nil, "\(text)")
        }
    }

    @Test func aConfigurationComesOfIt() throws {
        let configuration = try DatabaseURL(parsing: "postgres://u:p@h:7/d?application_name=app&sslmode=disable").configuration()
        #expect(configuration.settings.poolMode == .transaction)
        #expect(configuration.settings.listenAddr == ["127.0.0.1"])
        #expect(configuration.settings.listenPort == 6543)
        #expect(configuration.settings.authType == .scramSHA256)
        #expect(configuration.settings.serverTlsSslmode == .disable)
        #expect(configuration.userList.secrets == ["u": "p"])
        #expect(configuration.sourceFile == nil)
        for name in ["d", "other"] {
            let database = try #require(configuration.database(named: name))
            #expect(database.serverName == name)
            #expect(database.hosts == ["h"])
            #expect(database.port == 7)
            #expect(database.forcedUser == nil)
            #expect(database.serverParameters == [ServerParameter(name: "application_name", value: "app")])
        }
        #expect(configuration.warnings == [])
        let direct = try DatabaseURL(
            parsing: "postgres://u:p@h?sslmode=verify-full&sslnegotiation=direct&sslrootcert=/ca&sslcert=/c&sslkey=/k"
        ).configuration()
        #expect(direct.settings.serverTlsSslmode == .verifyFull)
        #expect(direct.settings.serverTlsCaFile == "/ca")
        #expect(direct.settings.serverTlsCertFile == "/c")
        #expect(direct.settings.serverTlsKeyFile == "/k")
        #expect(direct.database(named: "other")?.sslNegotiation == .direct)
        #expect(direct.database(named: "other")?.channelBinding == .prefer)
        let bound = try DatabaseURL(parsing: "postgres://u:p@h/d?sslmode=require&channel_binding=require").configuration()
        #expect(bound.database(named: "d")?.channelBinding == .require)
        #expect(bound.database(named: "other")?.channelBinding == .require)
        #expect(try DatabaseURL(parsing: "postgres://u:p@h/d?channel_binding=disable").channelBinding == .disable)
        #expect(try DatabaseURL(parsing: "postgres://u@h?sslmode=verify-ca&sslrootcert=system").authorityFile == "")
        let open = try DatabaseURL(parsing: "postgres://u@h").configuration(listenAddress: "*", listenPort: 1)
        #expect(open.settings.listenAddr == ["*"])
        #expect(open.settings.listenPort == 1)
        #expect(open.warnings == ["database URL: password: the URL has none, so nobody can log in with scram-sha-256"])
    }
}
