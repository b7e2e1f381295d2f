import Testing

@testable import Configuration

@Suite struct IniTextTests {
    /// The file says what the URL said.
    @Test(arguments: [
        "postgres://u:p@h/d", "postgres://u:p@a:1,b:2/my%20db's?load_balance_hosts=random&sslmode=verify-full&sslrootcert=/ca",
        "postgres://u:p@h/d?sslmode=require&sslnegotiation=direct&channel_binding=require&connect_timeout=3",
        "postgres://u:p@h/d?client_encoding=LATIN1&application_name=a%20'b'&keepalives_idle=7",
        "postgres://u:p@%2Frun%2Fpg:7/d",
    ])
    func comesBack(text: String) throws {
        var configuration = try DatabaseURL(parsing: text).configuration()
        let loaded = try load(IniText(configuration, head: ["One", "Two"], notes: ["pool_mode": ["why"]]).text)
        configuration.settings.conffile = loaded.settings.conffile
        #expect(loaded.settings == configuration.settings)
        #expect(loaded.warnings == [])
        for name in configuration.databases.keys {
            var expected = try #require(configuration.databases[name])
            expected.explicitServerName = name
            if expected.hosts.count == 1 { expected.loadBalanceHosts = .roundRobin }
            #expect(loaded.databases[name] == expected)
        }
        #expect(loaded.databases.count == 1 && loaded.fallbackDatabase?.hosts == configuration.fallbackDatabase?.hosts)
    }

    @Test func whatHasNoKeyIsSetAfterTheLogin() throws {
        let configuration = try DatabaseURL(parsing: "postgres://u:p@h/d?statement_timeout=5s&search_path=a'b,c").configuration()
        let loaded = try load(IniText(configuration).text)
        #expect(
            loaded.databases["d"]?.connectQuery
                == "SELECT pg_catalog.set_config('statement_timeout', '5s', false); SELECT pg_catalog.set_config('search_path', 'a''b,c', false)"
        )
    }
}
