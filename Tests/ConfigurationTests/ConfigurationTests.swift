import Configuration
import Testing

@Suite struct ConfigurationTests {
    @Test func aWholeFile() throws {
        let configuration = try Files([
            "sluice.ini": """
            ; excerpt in the manner of a packaged file
            [databases]
            ;foodb =
            plain =
            bardb = host=localhost dbname=bazdb
            forced = host=10.0.0.1,10.0.0.2 port=300 user=baz password='a b''c' client_encoding=UNICODE datestyle=ISO connect_query='SELECT 1'
            'odd name' = pool_size=50 reserve_pool=10
            * = host=testserver

            [users]
            user1 = pool_mode=transaction max_user_connections=10

            [pgbouncer]
            logfile = /var/log/pooler.log
            listen_addr = localhost, ::1
            listen_port = 6543
            auth_type = md5
            auth_file = users.txt
            ignore_startup_parameters = extra_float_digits options
            server_reset_query = DISCARD ALL; -- data
            max_client_conn = 0x10
            unix_socket_mode = 0770
            query_timeout = 2.5
            track_extra_parameters =
            """,
            "users.txt": "\"user1\" \"secret\"\n",
        ]).load()
        #expect(configuration.warnings.isEmpty)
        #expect(configuration.sourceFile == "sluice.ini")
        let settings = configuration.settings
        #expect(settings.conffile == "sluice.ini")
        #expect(settings.logfile == "/var/log/pooler.log")
        #expect(settings.listenAddr == ["localhost", "::1"])
        #expect(settings.listenPort == 6543)
        #expect(settings.ignoreStartupParameters == ["extra_float_digits", "options"])
        #expect(settings.serverResetQuery == "DISCARD ALL; -- data")
        #expect(settings.maxClientConn == 16)
        #expect(settings.unixSocketMode == 0o770)
        #expect(settings.queryTimeout == 2_500_000)
        #expect(settings.trackExtraParameters == [])
        #expect(configuration.userList.secrets == ["user1": "secret"])
        #expect(configuration.users["user1"]?.poolMode == .transaction)
        #expect(configuration.users["user1"]?.maxUserConnections == 10)

        #expect(Set(configuration.databases.keys) == ["plain", "bardb", "forced", "odd name"])
        #expect(configuration.databases["plain"] == Database(name: "plain"))
        #expect(configuration.databases["bardb"]?.serverName == "bazdb")
        #expect(configuration.databases["odd name"]?.reservePoolSize == 10)
        let forced = try #require(configuration.databases["forced"])
        #expect(forced.hosts == ["10.0.0.1", "10.0.0.2"])
        #expect(forced.port == 300)
        #expect(forced.forcedUser == "baz")
        #expect(forced.password == "a b'c")
        #expect(forced.connectQuery == "SELECT 1")
        #expect(forced.serverParameters.map(\.name) == ["client_encoding", "datestyle"])
        #expect(configuration.database(named: "other")?.hosts == ["testserver"])
        #expect(configuration.database(named: "other")?.serverName == "other")
        #expect(configuration.database(named: "bardb")?.serverName == "bazdb")
    }

    @Test func sluiceAndPgbouncerSectionsAddUp() throws {
        let settings = try load("[pgbouncer]\nlisten_port=1\npool_mode=statement\n[sluice]\nworkers=3\nlisten_port=2\n").settings
        #expect(settings.listenPort == 2)
        #expect(settings.workers == 3)
        #expect(settings.poolMode == .statement)
        #expect(try load("[sluice]\n").settings.listenPort == 6432)
    }

    @Test func aSecondPgbouncerSectionReturnsToDefaults() throws {
        let configuration = try load("[pgbouncer]\npool_mode=statement\nuser=joe\nverbose=2\n[databases]\n[pgbouncer]\nlisten_port=5\n")
        #expect(configuration.settings.poolMode == .session)
        #expect(configuration.settings.listenPort == 5)
        // Settings without a default are left alone.
        #expect(configuration.settings.user == "joe")
        #expect(configuration.settings.verbose == 2)
        #expect(configuration.warnings.last == "sluice.ini:6: [pgbouncer] starts again, which puts pool_mode back to the default")
    }

    @Test func includes() throws {
        let files = Files([
            "sluice.ini": "[pgbouncer]\n%include dir/more.ini\nlisten_port = 7\n",
            "dir/more.ini": "pool_mode = transaction\n[databases]\na = host=b\n%include main.ini",
            "main.ini": "[sluice]\nworkers = 2\n",
        ])
        // An included file is named from the working directory, and the section that it ends in goes on after it.
        let configuration = try files.load()
        #expect(configuration.settings.poolMode == .transaction)
        #expect(configuration.settings.workers == 2)
        #expect(configuration.settings.listenPort == 7)
        #expect(configuration.databases["a"]?.hosts == ["b"])
        #expect(Files(["sluice.ini": "\n%include no.ini"]).error() == "sluice.ini:2: %include: no.ini: no such file")
        #expect(
            Files(["sluice.ini": "[sluice]\n%include b", "b": "\nworkers = x"]).error()
                == "b:2: workers: \"x\" is not a number: expected an integer from 0 to 1024")
    }

    @Test func includesNestTenLevels() throws {
        var texts = ["sluice.ini": "[sluice]\n%include 1"]
        for level in 1..<10 { texts["\(level)"] = "%include \(level + 1)" }
        texts["10"] = "workers = 9"
        #expect(try Files(texts).load().settings.workers == 9)
        texts["10"] = "%include 11"
        texts["11"] = ""
        #expect(Files(texts).error() == "10:1: %include: files are nested deeper than 10 levels")
        #expect(loadError("%include sluice.ini") == "sluice.ini:1: %include: files are nested deeper than 10 levels")
    }

    @Test(arguments: [
        ("", "sluice.ini: main section missing: expected [pgbouncer] or [sluice]"),
        ("[databases]\na=", "sluice.ini: main section missing: expected [pgbouncer] or [sluice]"),
        ("\na = 1", "sluice.ini:2: setting \"a\" stands before the first section"),
        ("[pgbounce]", "sluice.ini:1: unknown section [pgbounce]: expected [pgbouncer], [sluice], [databases], [users] or [peers]"),
        ("[PgBouncer]", "sluice.ini:1: unknown section [PgBouncer]: expected [pgbouncer], [sluice], [databases], [users] or [peers]"),
        ("[pgbouncer]\nfoo = 1", "sluice.ini:2: unknown setting \"foo\" in section [pgbouncer]"),
        (
            "[sluice]\r\n\r\npool_mod = 1",
            "sluice.ini:3: unknown setting \"pool_mod\" in section [sluice] (did you mean \"pool_mode\"?)"
        ),
        ("[sluice]\nPOOL_MODE = session", "sluice.ini:2: unknown setting \"POOL_MODE\" in section [sluice] (did you mean \"pool_mode\"?)"),
        (
            "[sluice]\nlisten_port = abc",
            "sluice.ini:2: listen_port: \"abc\" is not a number: expected an integer from 0 to 65535"
        ),
        ("[sluice]\nlisten_port =", "sluice.ini:2: listen_port: \"\" is not a number: expected an integer from 0 to 65535"),
        ("[sluice]\nlisten_port = 65536", "sluice.ini:2: listen_port: \"65536\" is out of range: expected an integer from 0 to 65535"),
        ("[sluice]\nlisten_port = 1;", "sluice.ini:2: listen_port: \"1;\" is not a number: expected an integer from 0 to 65535"),
        (
            "[sluice]\ndefault_pool_size = -1",
            "sluice.ini:2: default_pool_size: \"-1\" is out of range: expected an integer from 0 to 2147483647"
        ),
        (
            "[sluice]\nmin_pool_size = 99999999999999999999999",
            "sluice.ini:2: min_pool_size: \"99999999999999999999999\" is out of range: expected an integer from 0 to 2147483647"
        ),
        ("[sluice]\npeer_id = 16384", "sluice.ini:2: peer_id: \"16384\" is out of range: expected an integer from 0 to 16383"),
        ("[sluice]\nlog_stats = yes", "sluice.ini:2: log_stats: \"yes\" is not a switch: expected 0 or 1"),
        ("[sluice]\nlog_stats = 2", "sluice.ini:2: log_stats: \"2\" is not a switch: expected 0 or 1"),
        (
            "[sluice]\nquery_timeout = 5s",
            "sluice.ini:2: query_timeout: \"5s\" is not a time: expected seconds, such as 15 or 0.5, without a unit"
        ),
        ("[sluice]\nquery_timeout = -1", "sluice.ini:2: query_timeout: \"-1\" is out of range: expected seconds from 0 to 1000000000"),
        ("[sluice]\nquery_timeout = 1e99", "sluice.ini:2: query_timeout: \"1e99\" is out of range: expected seconds from 0 to 1000000000"),
        (
            "[sluice]\nquery_timeout = nan",
            "sluice.ini:2: query_timeout: \"nan\" is not a time: expected seconds, such as 15 or 0.5, without a unit"
        ),
        ("[sluice]\npool_mode = pool", "sluice.ini:2: pool_mode: \"pool\" is not known: expected session, transaction or statement"),
        ("[sluice]\nauth_dbname = pgbouncer", "sluice.ini:2: auth_dbname: database name \"pgbouncer\" is reserved for the console"),
        ("[databases]\npgbouncer = host=a", "sluice.ini:2: database name \"pgbouncer\" is reserved for the console"),
        ("[databases]\na = auth_dbname=pgbouncer", "sluice.ini:2: auth_dbname: database name \"pgbouncer\" is reserved for the console"),
        ("[databases]\n\(String(repeating: "d", count: 64)) = ", "sluice.ini:2: the database name is longer than 63 bytes"),
        ("[users]\n\(String(repeating: "u", count: 128)) = ", "sluice.ini:2: the user name is longer than 127 bytes"),
        ("[databases]\na = user=\(String(repeating: "u", count: 128))", "sluice.ini:2: the user name is longer than 127 bytes"),
        ("[databases]\na = hots=b", "sluice.ini:2: unknown setting \"hots\" in database \"a\" (did you mean \"host\"?)"),
        ("[databases]\na = host=", "sluice.ini:2: database \"a\": host has an empty value"),
        (
            "[databases]\na = host=b,,c",
            "sluice.ini:2: host: \"b,,c\" has an empty entry: expected names or addresses with commas"
        ),
        (
            "[databases]\na = host=x,y port=1,2,3",
            "sluice.ini:2: port: database \"a\": port has 3 entries and host 2: expected one port, or one for each host"
        ),
        (
            "[databases]\na = port=1,2",
            "sluice.ini:2: port: database \"a\": port has 2 entries and host 0: expected one port, or one for each host"
        ),
        ("[databases]\na = port=0", "sluice.ini:2: port: \"0\" is out of range: expected an integer from 1 to 65535"),
        ("[databases]\na = pool_size=-2", "sluice.ini:2: pool_size: \"-2\" is out of range: expected an integer from -1 to 2147483647"),
        (
            "[databases]\na = server_lifetime=1.5",
            "sluice.ini:2: server_lifetime: \"1.5\" is not a time: expected whole seconds, without a fraction or a unit"
        ),
        (
            "[users]\na = query_timeout=-1",
            "sluice.ini:2: query_timeout: \"-1\" is out of range: expected whole seconds from 0 to 1000000000"
        ),
        ("[databases]\na = load_balance_hosts=x", "sluice.ini:2: load_balance_hosts: \"x\" is not known: expected round-robin or disable"),
        ("[users]\na = min_pool_size=1", "sluice.ini:2: unknown setting \"min_pool_size\" in user \"a\""),
        ("[peers]\n0 = host=a", "sluice.ini:2: peer \"0\" is out of range: expected an integer from 1 to 65535"),
        ("[peers]\n1 = port=2", "sluice.ini:2: host: peer 1 has no host"),
    ])
    func errorsNameTheLine(text: String, message: String) {
        #expect(loadError(text) == message)
    }

    @Test(arguments: [
        ("010", 8), ("0x1F", 31), ("0XaB", 171), ("+7", 7), ("0", 0), ("00", 0), ("65535", 65535), ("-0", 0),
    ])
    func integersAreReadLikeC(text: String, value: Int) throws {
        #expect(try settings("listen_port = \(text)").listenPort == value)
    }

    @Test(arguments: ["08", "0x", "1.0", "1e3", "--1", "0x1g", "1 2", "ten", "-", "+"]) func badIntegers(text: String) {
        #expect(
            loadError("[sluice]\nlisten_port = \(text)")
                == "sluice.ini:2: listen_port: \"\(text)\" is not a number: expected an integer from 0 to 65535")
    }

    @Test(arguments: [("1", 1_000_000), ("0.5", 500_000), (".25", 250_000), ("0", 0), ("0.29", 290_000), ("1e3", 1_000_000_000)])
    func times(text: String, value: Microseconds) throws {
        #expect(try settings("server_lifetime = \(text)").serverLifetime == value)
    }

    @Test func lists() throws {
        #expect(try settings("listen_addr = a b, c,,  ,d").listenAddr == ["a b", "c", "d"])
        #expect(try settings("ignore_startup_parameters = a  b,\tc").ignoreStartupParameters == ["a", "b", "c"])
        #expect(try settings("track_extra_parameters = x,y").trackExtraParameters == ["x", "y"])
        #expect(try settings("admin_users =").adminUsers == [])
    }

    /// A comment behind a value is a part of it: a file of that name was looked for, and nobody saw why.
    @Test func commentsBehindValuesGetAHint() throws {
        let hint = "; a comment needs a line of its own"
        #expect(loadError("[sluice]\npool_mode = session ; or statement").hasSuffix("expected session, transaction or statement\(hint)"))
        #expect(loadError("[sluice]\nlisten_port = 1\t; mine").hasSuffix("from 0 to 65535\(hint)"))
        #expect(loadError("[sluice]\n[databases]\na = host=b ; c").hasSuffix("needs single quotes\(hint)"))
        let text = "[sluice]\nclient_tls_key_file = a ; b\nauth_query = select 1 ; select 2\nlogfile = a;b\nserver_reset_query = a ; b"
        #expect(
            try load(text).warnings == ["sluice.ini:2: client_tls_key_file: what follows the semicolon is part of the value\(hint)"])
    }

    /// The later one counts, as in PgBouncer; it is said, since the two may be pages apart.
    @Test func whatIsGivenTwiceIsSaid() throws {
        var files = Files([
            "sluice.ini": """
            [databases]
            a = host=x host=y
            a = host=z
            %include more.ini
            [users]
            u = pool_size=1
            u = pool_size=2
            [databases]
            b =
            [sluice]
            listen_port = 1
            listen_port = 2
            """,
            "more.ini": "[databases]\na = host=w\nb = host=v",
        ])
        let configuration = try files.load()
        #expect(
            configuration.warnings == [
                "sluice.ini:2: database \"a\": host is given twice, and the last one counts",
                "sluice.ini:3: database \"a\" is given in line 2 already, and this one counts",
                "more.ini:2: database \"a\" is given in sluice.ini:3 already, and this one counts",
                "sluice.ini:7: user \"u\" is given in line 6 already, and this one counts",
                "sluice.ini:8: section [databases] stands in line 1 already",
                "sluice.ini:9: database \"b\" is given in more.ini:3 already, and this one counts",
                "sluice.ini:12: setting \"listen_port\" is given in line 11 already, and this one counts",
            ])
        #expect(configuration.databases["a"]?.hosts == ["w"] && configuration.settings.listenPort == 2)
        // One for all pieces, in a file of its own, is no repetition.
        files = Files([
            "sluice.ini": "[databases]\na =\n%include b.ini\n%include c.ini\n[sluice]", "b.ini": "[databases]\nb =",
            "c.ini": "[databases]\nc =",
        ])
        #expect(try files.load().warnings == [])
    }

    @Test func methodsThatCannotWorkAreRefused() {
        let certificates = "\"cert\" needs client_tls_sslmode = verify-full and a client_tls_ca_file"
        #expect(loadError("[sluice]\nauth_type = cert") == "sluice.ini: auth_type: \(certificates)")
        #expect(loadError("[sluice]\nauth_type = cert\nclient_tls_sslmode = verify-full").hasSuffix(certificates))
        #expect(loadError("[sluice]\nauth_type = hba") == "sluice.ini: auth_hba_file: auth_type \"hba\" needs a file of rules")
        #expect(
            loadError("[sluice]\nauth_type = ldap\nauth_ldap_options = a=b") == "sluice.ini: auth_ldap_options: unknown LDAP option \"a\"")
    }

    @Test func filesOfRulesAreReadForHBAOnly() throws {
        var files = Files([
            "sluice.ini": "[sluice]\nauth_type = hba\nauth_hba_file = h\nauth_ident_file = i", "h": "local all all trust\nnonsense",
            "i": "m a",
        ])
        let configuration = try files.load()
        #expect(configuration.hostRules.rules.count == 1)
        #expect(configuration.warnings.map { $0.prefix(4) } == ["h:2:", "i:1:"])
        files.texts["h"] = nil
        #expect(files.error() == "h: no such file")
        files.texts["sluice.ini"] = "[sluice]\nauth_hba_file = h\nauth_ident_file = i"
        #expect(try files.load().warnings == [])
    }

    @Test(arguments: [
        (
            "[sluice]\nsuspend_timeout = 10",
            "sluice.ini:2: setting \"suspend_timeout\" is accepted but has no effect: PgBouncer 1.26 removed it"
        ),
        ("[sluice]\nauth_file = missing", "auth_file is not read: missing: no such file"),
    ])
    func whatHasNoEffectIsSaid(text: String, warning: String) throws {
        #expect(try load(text).warnings == [warning])
    }

    @Test(arguments: ["pkt_buf = 8192", "sbuf_loopcnt = 0", "so_reuseport = 1", "job_name = a", "service_name = b", "auth_file ="])
    func whatNeedsNoEffectIsTakenInSilence(line: String) throws {
        #expect(try load("[pgbouncer]\n\(line)").warnings == [])
    }

    @Test(arguments: SettingsTable.all.filter { !$0.isBuilt }.map(\.name)) func whatIsNotBuiltSaysSo(name: String) throws {
        let setting = try #require(SettingsTable.named(name))
        #expect(setting.warning?.contains("\"\(name)\" is accepted but has no effect") == true)
    }

    @Test func aCheckFindsAllFaults() {
        let text = """
            x = 1
            [databases]
            a = host=h prt=1 pool_size=x
            b = dbname
            [pgbouncer]
            listen_port = many
            %nonsense
            %include missing.ini
            'open = 1
            pool_mode = session
            pool_mod = session
            [nowhere]
            y = 2
            [users]
            joe = pool_mode=fast query_timeout=0.5
            """
        let (configuration, faults) = Files(["sluice.ini": text]).check()
        #expect(faults.map(\.line) == [1, 3, 3, 4, 6, 7, 8, 9, 11, 12, 15, 15])
        #expect(faults.allSatisfy { $0.file == "sluice.ini" })
        #expect(configuration.settings.poolMode == .session)
        #expect(faults.first?.description == "sluice.ini:1: setting \"x\" stands before the first section")
        #expect(faults[6].description == "sluice.ini:8: %include: missing.ini: no such file")
    }

    @Test func aCheckLooksIntoIncludedFiles() {
        let files = Files(["sluice.ini": "%include more\n[users]\nz = a=1", "more": "[pgbouncer]\nverbose = x\nfoo = 1"])
        #expect(files.check().faults.map { "\($0.file):\($0.line)" } == ["more:2", "more:3", "sluice.ini:3"])
        #expect(Files([:]).check().faults.map(\.description) == ["sluice.ini: no such file"])
        #expect(
            Files(["sluice.ini": "[users]"]).check().faults.map(\.message) == ["main section missing: expected [pgbouncer] or [sluice]"])
        #expect(Files(["sluice.ini": "[sluice]"]).check().faults.isEmpty)
    }

    @Test func aBrokenUserListIsAWarning() throws {
        let configuration = try Files(["sluice.ini": "[sluice]\nauth_file = u", "u": "\"a\" \"b\"\nc"]).load()
        #expect(configuration.userList.secrets == ["a": "b"])
        #expect(
            configuration.warnings == ["u:2: broken auth file: expected a user name in double quotes; the lines from here on are not read"])
    }

    @Test func anErrorOfTheReaderIsPassedOn() {
        #expect(Files([:]).error() == "sluice.ini: no such file")
    }
}
