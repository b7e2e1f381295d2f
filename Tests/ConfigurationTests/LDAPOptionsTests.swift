import Testing

@testable import Configuration

@Suite struct LDAPOptionsTests {
    @Test func simpleBind() throws {
        let options = try LDAPOptions(parsing: #"ldapserver=127.0.0.1 ldapport=1389 ldapprefix="uid=" ldapsuffix=",dc=example,dc=net""#)
        #expect(options.uris == "ldap://127.0.0.1:1389")
        #expect(options.bindName(user: "joe") == "uid=joe,dc=example,dc=net")
        #expect(options.baseDN == nil && !options.startsTLS)
    }

    @Test func searchAndBind() throws {
        let options = try LDAPOptions(
            parsing:
                #"ldapserver="a b" ldapscheme=ldaps ldapbasedn="dc=x, dc=y" ldapbinddn=cn=s ldapbindpasswd="p ""q" ldapsearchattribute=mail ldaptls=1"#
        )
        #expect(options.uris == "ldaps://a:636 ldaps://b:636")
        #expect(options.baseDN == "dc=x, dc=y" && options.bindDN == "cn=s" && options.bindPassword == "p \"q" && options.startsTLS)
        #expect(options.filter(user: "joe") == "(mail=joe)")
    }

    /// PostgreSQL takes commas between options, and most values have some of their own.
    @Test(arguments: [
        #"ldapserver=h,ldapprefix="uid=",ldapsuffix=",dc=x, dc=y""#, #"ldapserver=h , ldapprefix=uid=, "ldapsuffix=,dc=x, dc=y""#,
        #"ldapserver=h ldapprefix=uid=,ldapsuffix=",dc=x, dc=y""#,
    ])
    func commasBetweenOptions(_ text: String) throws {
        let options = try LDAPOptions(parsing: text)
        #expect(options.servers == ["h"] && options.bindName(user: "joe") == "uid=joe,dc=x, dc=y")
    }

    @Test func commasInValues() throws {
        let options = try LDAPOptions(parsing: #"ldapserver=h ldapbasedn=dc=x,ldap=y,o="a,ldapport=1",ldapport=2"#)
        #expect(options.baseDN == "dc=x,ldap=y,o=a,ldapport=1" && options.port == 2)
        #expect(throws: InvalidValue.self) { try LDAPOptions(parsing: "ldapserver=h ldapbasedn=dc=x, dc=y") }
    }

    @Test func namesCannotChangeTheFilter() throws {
        let plain = try LDAPOptions(parsing: "ldapserver=h ldapbasedn=dc=x")
        #expect(plain.filter(user: "*)(uid=\\") == #"(uid=\2a\29\28uid=\5c)"#)
        let filter = try LDAPOptions(parsing: #"ldapserver=h ldapbasedn=dc=x ldapsearchfilter="(|(uid=$username)(mail=$username))""#)
        #expect(filter.filter(user: "a*") == #"(|(uid=a\2a)(mail=a\2a))"#)
        #expect(filter.filter(user: "$username") == "(|(uid=$username)(mail=$username))")
    }

    @Test(
        arguments: [
            ("ldap://h/dc=x", "ldap://h:389", "dc=x", nil, .sub, nil),
            ("ldaps://h:1/dc=x?mail?one", "ldaps://h:1", "dc=x", "mail", .one, nil),
            ("ldap://[::1]:2/dc=x,dc=y??base?(uid=$username)", "ldap://[::1]:2", "dc=x,dc=y", nil, .base, "(uid=$username)"),
            ("ldap://h/dc%3Dx%20y", "ldap://h:389", "dc=x y", nil, .sub, nil),
        ] as [(String, String, String, String?, LDAPOptions.Scope, String?)])
    func urls(url: String, uris: String, base: String, attribute: String?, scope: LDAPOptions.Scope, filter: String?) throws {
        let options = try LDAPOptions(parsing: "ldapurl=\"\(url)\"")
        #expect(options.uris == uris)
        #expect(options.baseDN == base && options.searchAttribute == attribute && options.scope == scope && options.searchFilter == filter)
    }

    @Test func aBareIPv6AddressGetsBrackets() throws {
        #expect(try LDAPOptions(parsing: "ldapserver=::1 ldapprefix=x").uris == "ldap://[::1]:389")
    }

    @Test func passwordsAreLeftOut() throws {
        let setting = try #require(SettingsTable.named("auth_ldap_options"))
        for (text, shown) in [
            ("ldapserver=h ldapbindpasswd=secret ldapport=1", "ldapserver=h ldapbindpasswd=*** ldapport=1"),
            ("ldapbindpasswd=\"se cret\" ldapserver=\"a b\"", "ldapbindpasswd=*** ldapserver=\"a b\""),
            ("\"ldapbindpasswd=secret\" ldapsuffix=\"x\"\"y\"", "ldapbindpasswd=*** ldapsuffix=\"x\"\"y\""),
            ("LDAPBINDPASSWD=secret ldapprefix=\"\"", "LDAPBINDPASSWD=*** ldapprefix=\"\""),
            ("ldapbindpasswd=a secret", "***"), ("ldapbindpasswd=\"secret", "***"), ("secret", "***"),
            ("ldapserver=h  ldapprefix=x", "ldapserver=h  ldapprefix=x"), ("", ""),
        ] {
            #expect(setting.withoutSecrets(text) == shown)
            let error = #expect(throws: InvalidValue.self) { try LDAPOptions(parsing: text + " ldapport=x") }
            #expect(error?.message.contains("secret") == false)
        }
        #expect(SettingsTable.named("auth_query")?.withoutSecrets("select 1") == "select 1")
    }

    @Test(
        arguments: [
            ("", "ldapserver is missing"), ("ldapserver=h", "one of them tells how"), ("ldapserver", "is no LDAP option"),
            ("=h", "is no LDAP option"), ("foo=1", "unknown LDAP option \"foo\""), ("ldapserver=\"h", "is not closed"),
            ("ldapserver=h ldapport=0 ldapprefix=x", "out of range"), ("ldapserver=h ldaptls=2 ldapprefix=x", "not a switch"),
            ("ldapserver=h ldapscheme=http ldapprefix=x", "expected ldap or ldaps"),
            ("ldapserver=h ldapprefix=x ldapbasedn=y", "do not go together"),
            ("ldapserver=h ldapbasedn=y ldapsearchattribute=a ldapsearchfilter=(a=b)", "do not go together"),
            // Found by the fuzzer: an attribute with a parenthesis changed the filter that it stood in.
            ("ldapserver=h ldapbasedn=y ldapsearchattribute=a(b", "expected the name of an attribute"),
            ("ldapurl=ldaps://[::1]:636/dc=x%20uidld?apurl=ld(aps:su", "expected the name of an attribute"),
            ("ldapurl=http://h/x", "expected ldap:// or ldaps://"), ("ldapurl=ldap:///x", "the host is missing"),
            ("ldapurl=ldap://h:x/y", "not a number"), ("ldapurl=ldap://h/x?a?deep", "unknown scope \"deep\""),
            ("ldapurl=ldap://h/x%4", "two hexadecimal digits"), ("ldapurl=ldap://h/x%00", "two hexadecimal digits"),
            ("ldapurl=ldap://h/x?a?sub?f?ext", "extensions are not supported"), ("ldapurl=ldap://h/%ff", "not valid UTF-8"),
            ("ldapserver=h ldapprefix=\(String(repeating: "x", count: 9000))", "longer than 8192 bytes"),
        ] as [(String, String)])
    func refuses(text: String, reason: String) {
        let error = #expect(throws: InvalidValue.self) { try LDAPOptions(parsing: text) }
        #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
    }
}
