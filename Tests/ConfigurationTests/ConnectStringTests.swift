import Configuration
import Testing

private let notAPair = "expected KEY=VALUE with spaces between; a value with spaces needs single quotes"

@Suite struct ConnectStringTests {
    @Test(
        arguments: [
            ("", []),
            ("   ", []),
            ("host=a port=1", ["host|a", "port|1"]),
            ("  host = a   port =  1 ", ["host|a", "port|1"]),
            ("a='x y'  b='it''s'", ["a|x y", "b|it's"]),
            ("a=x\tb=y", ["a|x\tb=y"]),
            ("a=it's", ["a|it's"]),
            ("a='='", ["a|="]),
            ("a=b=c", ["a|b=c"]),
            ("a=''''", ["a|'"]),
            ("a='ü ß'", ["a|ü ß"]),
        ] as [(String, [String])])
    func reads(text: String, pairs: [String]) throws {
        #expect(try ConnectString.pairs(in: text).map { "\($0.key)|\($0.value)" } == pairs)
    }

    @Test(arguments: [
        ("host", notAPair),
        ("host a", notAPair),
        ("=a", notAPair),
        ("password=top secret", notAPair),
        ("a=", "a has an empty value"),
        ("password=''", "password has an empty value"),
        ("a=1 b= ", "b has an empty value"),
        ("a='x", "the quoted value of a has no closing quote"),
        ("a='x''", "the quoted value of a has no closing quote"),
        ("a='x'b=1", "expected a space after the quoted value of a"),
    ])
    func refuses(text: String, message: String) {
        #expect(throws: InvalidValue(message)) { try ConnectString.pairs(in: text) }
    }
}
