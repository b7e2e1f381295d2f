import Testing

@testable import Configuration

@Suite struct HostRulesTests {
    static func rules(_ text: String, files: [String: String] = [:]) -> HostRules {
        HostRules(parsing: Array(text.utf8), file: "hba") { (path) throws(ConfigurationError) in
            guard let content = files[path] else { throw ConfigurationError(file: path, message: "cannot be read") }
            return Array(content.utf8)
        }
    }

    /// Where a connection comes from, in one word: `local`, an address, or an address with `s` behind it for TLS.
    static func request(_ database: String, _ user: String, _ origin: String, physical: Bool = false) -> HostRequest {
        let isEncrypted = origin.hasSuffix("s")
        let place: HostRequest.Origin =
            origin == "local"
            ? .unixSocket
            : .network(NetworkAddress(text: isEncrypted ? String(origin.dropLast()) : origin)!, isEncrypted: isEncrypted)
        return HostRequest(database: database, user: user, origin: place, isPhysicalReplication: physical)
    }

    @Test(
        arguments: [
            ("local all all trust", "db", "u", "local", true),
            ("local all all trust", "db", "u", "127.0.0.1", false),
            ("host all all 127.0.0.1/32 md5", "db", "u", "127.0.0.1", true),
            ("host all all 127.0.0.1/32 md5", "db", "u", "127.0.0.2", false),
            ("host all all 127.0.0.1/32 md5", "db", "u", "127.0.0.1s", true),
            ("host all all 127.0.0.1/32 md5", "db", "u", "::1", false),
            ("host all all 10.0.0.0/9 md5", "db", "u", "10.127.255.255", true),
            ("host all all 10.0.0.0/9 md5", "db", "u", "10.128.0.0", false),
            ("host all all 0.0.0.0/0 md5", "db", "u", "200.1.2.3", true),
            ("host all all 10.1.0.0 255.255.0.0 md5", "db", "u", "10.1.9.9", true),
            ("host all all 10.1.0.0 255.255.0.0 md5", "db", "u", "10.2.9.9", false),
            ("host all all all md5", "db", "u", "fe80::1", true),
            ("host all all ::/0 md5", "db", "u", "fe80::1", true),
            ("host all all ::1/128 md5", "db", "u", "::1", true),
            ("host all all ::1/128 md5", "db", "u", "::2", false),
            ("host all all 2001:db8::/33 md5", "db", "u", "2001:db8:7fff::1", true),
            ("host all all 2001:db8::/33 md5", "db", "u", "2001:db8:8000::1", false),
            ("hostssl all all all md5", "db", "u", "1.2.3.4", false),
            ("hostssl all all all md5", "db", "u", "1.2.3.4s", true),
            ("hostnossl all all all md5", "db", "u", "1.2.3.4", true),
            ("hostnossl all all all md5", "db", "u", "1.2.3.4s", false),
            ("local db1,db2 u1, u2 trust", "db2", "u2", "local", true),
            ("local db1 , db2 u1 trust", "db3", "u1", "local", false),
            ("local db1 u1 trust", "db1", "U1", "local", false),
            ("local sameuser all trust", "joe", "joe", "local", true),
            ("local sameuser all trust", "joe", "jim", "local", false),
            ("local \"sameuser\" all trust", "joe", "joe", "local", false),
            ("local \"all\" all trust", "db", "u", "local", false),
            ("local \"all\" all trust", "all", "u", "local", true),
            ("local all \"all\" trust", "db", "all", "local", true),
            ("local \"a \"\"b\" all trust", "a \"b", "u", "local", true),
            ("local \"a # b\" all trust # c", "a # b", "u", "local", true),
            ("local @names all trust", "n3", "u", "local", true),
            ("local @names all trust", "n9", "u", "local", false),
            ("local all @names trust", "db", "n1", "local", true),
            ("local all x,@names trust", "db", "x", "local", true),
            ("local all @nested trust", "db", "n2", "local", true),
        ] as [(String, String, String, String, Bool)])
    func matches(line: String, database: String, user: String, origin: String, isMatch: Bool) {
        let rules = Self.rules(line, files: ["names": "n1 n2\n# no\nn3, n4\n", "nested": "@names"])
        #expect(rules.warnings == [])
        #expect((rules.rule(for: Self.request(database, user, origin)) != nil) == isMatch)
    }

    /// Before a name is looked up: whoever it turns out to be, some rules are about other places.
    @Test(
        arguments: [
            ("host db other all trust", "db", "10.1.1.1", true), ("host db other all reject", "db", "10.1.1.1", false),
            ("host db2 all all trust", "db", "10.1.1.1", false), ("host sameuser all all trust", "db", "10.1.1.1", true),
            ("host all all 10.2.0.0/16 trust", "db", "10.1.1.1", false), ("hostssl all all all trust", "db", "10.1.1.1", false),
            ("hostssl all all all trust", "db", "10.1.1.1s", true), ("local all all trust", "db", "10.1.1.1", false),
            ("", "db", "local", false),
            ("local all all reject\nlocal all x trust", "db", "local", true),
        ] as [(String, String, String, Bool)])
    func mayAdmitSomebody(text: String, database: String, origin: String, expected: Bool) {
        #expect(Self.rules(text).mayAdmitSomebody(Self.request(database, "stranger", origin)) == expected)
    }

    @Test func theFirstMatchWins() {
        let text = "host all bad all reject\nhost db all 10.0.0.0/8 trust\nhost all all all scram-sha-256\nlocal all all peer map=m\n"
        let rules = Self.rules(text)
        #expect(rules.rule(for: Self.request("db", "bad", "10.1.1.1"))?.method == .reject)
        #expect(rules.rule(for: Self.request("db", "good", "10.1.1.1"))?.method == .trust)
        #expect(rules.rule(for: Self.request("db", "good", "11.1.1.1"))?.method == .scramSHA256)
        #expect(rules.rule(for: Self.request("db", "good", "local"))?.map == "m")
        #expect(rules.rule(for: Self.request("db", "good", "local"))?.line == 4)
    }

    @Test func physicalReplicationMatchesItsKeywordOnly() {
        let rules = Self.rules("local all all trust\nlocal replication all md5")
        #expect(rules.rule(for: Self.request("db", "u", "local", physical: true))?.method == .md5)
        #expect(Self.rules("local db all trust").rule(for: Self.request("db", "u", "local", physical: true)) == nil)
        #expect(Self.rules("local replication all trust").rule(for: Self.request("replication", "u", "local")) == nil)
        #expect(Self.rules("local \"replication\" all trust").rule(for: Self.request("replication", "u", "local"))?.method == .trust)
    }

    @Test(arguments: [
        ("trust", HostMethod.trust), ("reject", .reject), ("md5", .md5), ("password", .password), ("cert", .cert), ("peer", .peer),
        ("scram-sha-256", .scramSHA256), ("ldap ldapserver=h ldapprefix=x", .ldap),
    ])
    func methods(word: String, method: HostMethod) {
        #expect(Self.rules("host all all all \(word)").rules.map(\.method) == [method])
    }

    @Test func ldapTakesTheRestOfTheLine() {
        let rules = Self.rules("host all all all ldap ldapserver=a ldapprefix=\"uid=\" ldapsuffix=\", dc=x\" # comment")
        #expect(rules.rules.first?.ldapOptions == "ldapserver=a ldapprefix=\"uid=\" ldapsuffix=\", dc=x\"")
    }

    @Test(
        arguments: [
            ("nonsense all all trust", "unknown connection type \"nonsense\""),
            ("\"local\" all all trust", "unknown connection type \"local\""),
            ("local,host all all trust", "expected one connection type, found a list"),
            ("local", "the database is missing"),
            ("local all", "the user is missing"),
            ("local all all", "the method is missing"),
            ("host all all", "the address is missing"),
            ("host all all 1.2.3.4", "the mask after \"1.2.3.4\" is missing"),
            ("host all all 1.2.3.4 trust", "\"trust\" is not a mask for 1.2.3.4"),
            ("host all all 1.2.3.4 ffff:: trust", "\"ffff::\" is not a mask for 1.2.3.4"),
            ("host all all 1.2.3.4/33 trust", "wrong mask: expected a number of bits from 0 to 32"),
            ("host all all 1.2.3.4/ trust", "wrong mask"),
            ("host all all 1.2.3.4/-1 trust", "wrong mask"),
            ("host all all ::1/129 trust", "from 0 to 128"),
            ("host all all 1.2.3/8 trust", "is not an address"),
            ("host all all 1.2.3.256/8 trust", "is not an address"),
            ("host all all example.com trust", "is not an address"),
            ("host all all :::/8 trust", "is not an address"),
            ("host all all samehost trust", "address \"samehost\" is not supported"),
            ("host all all samenet trust", "address \"samenet\" is not supported"),
            ("local +group all trust", "\"+group\" is not supported"),
            ("local all +group trust", "\"+group\" is not supported"),
            ("local samerole all trust", "\"samerole\" is not supported"),
            ("local samegroup all trust", "\"samegroup\" is not supported"),
            ("local all all pam", "unknown method \"pam\""),
            ("local all all any", "unknown method \"any\""),
            ("local all all \"trust\"", "unknown method \"trust\""),
            ("local all all trust map=x", "unknown option \"map=x\" of method trust"),
            ("local all all peer foo=x", "unknown option \"foo=x\" of method peer"),
            ("local all all peer map=", "map= has no name"),
            ("local all all peer map", "unknown option \"map\""),
            ("local \"all all trust", "a quote is not closed"),
            ("local a, all trust", "the method is missing"),
            ("local a,,b all trust", "a name is missing before the comma"),
            ("local a,", "a name is missing after the comma"),
            ("local \"\" all trust", "the database name is empty"),
            ("local @none all trust", "none: cannot be read"),
            ("local @ all trust", "a file name is missing after @"),
            ("local @self all trust", "nested deeper than 10 levels"),
            ("local \(String(repeating: "x", count: 64)) all trust", "longer than 63 bytes"),
            ("local all \(String(repeating: "x", count: 128)) trust", "longer than 127 bytes"),
            ("host all all all ldap", "ldapserver is missing"),
            ("host all all all ldap ldapserver=x nonsense=1", "unknown LDAP option \"nonsense\""),
            ("local all a\u{0} trust", "the line is not valid UTF-8"),
        ] as [(String, String)])
    func aBrokenLineIsSkippedWithAWarning(line: String, reason: String) {
        let rules = Self.rules("local first all trust\n\n\(line)\nlocal last all md5\n", files: ["self": "@self"])
        #expect(rules.rules.map(\.line) == [1, 4])
        #expect(rules.warnings.count == 1)
        let warning = rules.warnings.first ?? ""
        #expect(warning.hasPrefix("hba:3: hba: ") && warning.hasSuffix("; the line is skipped") && warning.contains(reason), "\(warning)")
    }

    @Test func nothingMatchesWithoutRules() {
        #expect(Self.rules("# nothing\n\n   \n").rules.isEmpty)
        #expect(HostRules().rule(for: Self.request("db", "u", "local")) == nil)
    }
}

@Suite struct NetworkAddressTests {
    @Test(
        arguments: [
            ("1.2.3.4", [1, 2, 3, 4]), ("0.0.0.0", [0, 0, 0, 0]), ("::", [UInt8](repeating: 0, count: 16)),
            ("1:2:3:4:5:6:7:8", [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8]),
            ("ff::1.2.3.4", [0, 0xff] + [UInt8](repeating: 0, count: 10) + [1, 2, 3, 4]),
            ("1::", [0, 1] + [UInt8](repeating: 0, count: 14)),
        ] as [(String, [UInt8])])
    func reads(text: String, bytes: [UInt8]) {
        #expect(NetworkAddress(text: text)?.bytes == bytes)
    }

    @Test(arguments: [
        "", "1", "1.2.3", "1.2.3.4.5", "1.2.3.04", "+1.2.3.4", "1:2", "1::2::3", ":1", "g::", "12345::", "1:2:3:4:5:6:7:8:9", "::1.2.3",
        "1.2.3.4::",
    ])
    func refuses(text: String) {
        #expect(NetworkAddress(text: text) == nil)
    }

    @Test func fourInSixIsFour() {
        #expect(NetworkAddress(bytes: [UInt8](repeating: 0, count: 10) + [0xff, 0xff, 1, 2, 3, 4])?.bytes == [1, 2, 3, 4])
        #expect(NetworkAddress(bytes: [1, 2, 3]) == nil)
    }
}
