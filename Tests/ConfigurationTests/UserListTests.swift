import Bytes
import Configuration
import Testing

@Suite struct UserListTests {
    @Test(
        arguments: [
            ([], false), (["SCRAM-SHA-256$4096:c2FsdA==$x:y"], true), (["md5x", "SCRAM-SHA-256$x"], false), (["a", "b"], false),
            (["a", "SCRAM-SHA-256$x", "SCRAM-SHA-256$y"], true),
        ] as [([String], Bool)])
    func whetherMostSecretsAreSCRAM(secrets: [String], expected: Bool) {
        let text = secrets.enumerated().map { "\"user\($0.offset)\" \"\($0.element)\"\n" }.joined()
        #expect(UserList(parsing: Array(text.utf8), file: "users").isMostlySCRAM == expected)
        let named = secrets.enumerated().map { ("user\($0.offset)", $0.element) }
        var table: NameTable<String> = [:]
        for (name, secret) in named { table[name] = secret }
        #expect(UserList(secrets: table).isMostlySCRAM == expected)
    }

    @Test(
        arguments: [
            ("", [:]),
            ("\"a\" \"b\"", ["a": "b"]),
            ("; comment\n\n  \"a\" \"b\" anything else \"here\"\r\n\"c\"\t\"\"\n", ["a": "b", "c": ""]),
            ("\"a\"\"b\" \"c\"\"\"\n", ["a\"b": "c\""]),
            ("\"a\" \"1\"\n\"a\" \"2\"", ["a": "2"]),
            ("\"\u{FC}\" \"\u{DF}\"", ["\u{FC}": "\u{DF}"]),
            ("\"a\" \"SCRAM-SHA-256$4096:c2FsdA==$YQ==:Yg==\"", ["a": "SCRAM-SHA-256$4096:c2FsdA==$YQ==:Yg=="]),
        ] as [(String, NameTable<String>)])
    func reads(text: String, secrets: NameTable<String>) {
        let list = UserList(parsing: Array(text.utf8), file: "u")
        #expect(list.secrets == secrets)
        #expect(list.fault == nil)
    }

    @Test(arguments: [
        ("# no such comment", "expected a user name in double quotes"),
        ("a b", "expected a user name in double quotes"),
        ("\"x", "the user name has no closing quote"),
        ("\"x\"", "expected a secret in double quotes after the user name"),
        ("\"x\"\n\"y\" \"z\"", "expected a secret in double quotes after the user name"),
        ("\"x\" \"y\n\"z\" \"w\"", "the secret has no closing quote"),
        ("\"\(String(repeating: "x", count: 128))\" \"y\"", "the user name is longer than 127 bytes"),
        ("\"x\" \"\(String(repeating: "y", count: 65536))\"", "the secret is longer than 65535 bytes"),
        ("\"x\" \"\0\"", "the secret is not valid UTF-8"),
    ])
    func theFirstBrokenLineStopsTheReading(text: String, reason: String) {
        let list = UserList(parsing: Array("\"first\" \"1\"\n\n\(text)\n\"last\" \"2\"\n".utf8), file: "u")
        #expect(list.secrets == ["first": "1"])
        #expect(list.fault?.description == "u:3: broken auth file: \(reason)")
    }

    @Test func theLongestNamesAndSecretsFit() {
        let name = String(repeating: "x", count: 127)
        let secret = String(repeating: "y", count: 65535)
        #expect(UserList(parsing: Array("\"\(name)\" \"\(secret)\"".utf8), file: "u").secrets == [name: secret])
    }
}
