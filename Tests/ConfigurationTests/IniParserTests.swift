import Configuration
import Testing

@Suite struct IniParserTests {
    @Test(
        arguments: [
            ("", []),
            ("; all\n# comments\n  ; with blanks before", []),
            ("[a]", ["[a]"]),
            ("[a] ; a comment may follow", ["[a]"]),
            ("[a] k = v", ["[a]", "k=v"]),
            ("[ a ]", ["[ a ]"]),
            ("k=v", ["k=v"]),
            ("  k\t = \t v w \t\r\nl =\r\n", ["k=v w", "l="]),
            ("k = a ; not a comment", ["k=a ; not a comment"]),
            ("k = a # not a comment", ["k=a # not a comment"]),
            ("k = 'a' \"b\" = c", ["k='a' \"b\" = c"]),
            ("A_z.0-9* = 1", ["A_z.0-9*=1"]),
            ("* = host=x", ["*=host=x"]),
            ("'my db' = 1\n'it''s' = 2\n'ü;#[' = 3", ["my db=1", "it's=2", "ü;#[=3"]),
            ("%include other.ini  \n%include\tb c", ["%other.ini", "%b c"]),
            ("k = %include x", ["k=%include x"]),
            ("%expand_environment\nk = ${x}", ["%expand_environment", "k=${x}"]),
            ("k =\nl = 1", ["k=", "l=1"]),
            ("k = ümlaut", ["k=ümlaut"]),
        ] as [(String, [String])])
    func reads(text: String, events: [String]) throws {
        var parser = try IniParser(Array(text.utf8), file: "f")
        var seen: [String] = []
        while let event = try parser.next() {
            switch event {
            case .section(let name): seen.append("[\(name)]")
            case .entry(let key, let value): seen.append("\(key)=\(value)")
            case .include(let path): seen.append("%\(path)")
            case .expandEnvironment: seen.append("%expand_environment")
            }
        }
        #expect(seen == events)
    }

    @Test(arguments: [
        ("\n[a\n]", "f:2: the section name has no closing \"]\""),
        ("[a", "f:1: the section name has no closing \"]\""),
        ("k", "f:1: expected \"=\" after \"k\""),
        ("k v", "f:1: expected \"=\" after \"k\""),
        ("k\n= v", "f:1: expected \"=\" after \"k\""),
        ("k\r\n", "f:1: expected \"=\" after \"k\""),
        ("= v", "f:1: expected a key before \"=\""),
        ("'' = v", "f:1: expected a key before \"=\""),
        ("k@x = 1", "f:1: a key with anything but letters, digits, \"_\", \".\", \"-\" and \"*\" needs single quotes"),
        ("\"my db\" = 1", "f:1: a key with anything but letters, digits, \"_\", \".\", \"-\" and \"*\" needs single quotes"),
        ("\n'k = 1\n' = 2", "f:2: the quoted key has no closing quote"),
        ("%includes x", "f:1: expected a file name after %include"),
        ("%include", "f:1: expected a file name after %include"),
        ("%include  \nx", "f:1: expected a file name after %include"),
        ("%other", "f:1: unknown directive: expected %include FILE or %expand_environment"),
        ("k = 1\n\nl = \0", "f:3: the line holds a NUL byte"),
        ("; a comment\0", "f:1: the line holds a NUL byte"),
    ])
    func refuses(text: String, message: String) {
        #expect(parserError(Array(text.utf8)) == message)
    }

    @Test func invalidTextIsAnErrorOutsideComments() {
        #expect(parserError(Array("k = 1\nl = ".utf8) + [0xE9]) == "f:2: the line is not valid UTF-8")
        #expect(parserError(Array("'".utf8) + [0xC0, 0x80] + Array("' = 1".utf8)) == "f:1: the line is not valid UTF-8")
        #expect(parserError(Array("[".utf8) + [0xFF] + Array("]".utf8)) == "f:1: the line is not valid UTF-8")
        // Old files have comments in other encodings.
        #expect(parserError(Array("; caf".utf8) + [0xE9] + Array("\nk = 1".utf8)) == nil)
    }

    private func parserError(_ bytes: [UInt8]) -> String? {
        do throws(ConfigurationError) {
            var parser = try IniParser(bytes, file: "f")
            while try parser.next() != nil {}
            return nil
        } catch {
            return error.description
        }
    }
}
