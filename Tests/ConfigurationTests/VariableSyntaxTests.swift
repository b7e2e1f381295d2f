import Testing

@testable import Configuration

@Suite struct VariableSyntaxTests {
    private static let variables = ["PW": "a b'c$d;e", "HOST": "db1", "NONE": "", "LINES": "a\nadmin_users = x", "N": "7"]

    private func expand(_ text: String) throws(InvalidValue) -> String {
        try VariableSyntax.expand(text) { Self.variables[$0] }
    }

    @Test(arguments: [
        ("", ""), ("plain", "plain"), ("${HOST}", "db1"), ("x${HOST}y${N}", "xdb1y7"), ("$HOST", "$HOST"), ("$", "$"), ("a$$b", "a$b"),
        ("$${HOST}", "${HOST}"), ("${PW}", "a b'c$d;e"), ("${NONE:-x}", "x"), ("${NONE:-}", ""), ("${MISSING:-a b}", "a b"), ("$1", "$1"),
    ])
    func expands(text: String, expected: String) throws {
        #expect(try expand(text) == expected)
    }

    @Test(arguments: [
        ("${MISSING}", "the environment variable MISSING is not set: set it, or write ${MISSING:-} for an empty text"),
        ("${NONE}", "the environment variable NONE is not set: set it, or write ${NONE:-} for an empty text"),
        ("a${HOST", "\"${\" without \"}\": expected ${NAME} or ${NAME:-text}"),
        ("${}", "\"${}\" is no variable: expected ${NAME} or ${NAME:-text}"),
        ("${1X}", "\"${1X}\" is no variable: expected ${NAME} or ${NAME:-text}"),
        ("${HOST-x}", "\"${HOST-x}\" is no variable: expected ${NAME} or ${NAME:-text}"),
        ("${LINES}", "the environment variable LINES has more than one line: expected one"),
    ])
    func refuses(text: String, message: String) {
        #expect(throws: InvalidValue(message)) { try expand(text) }
    }

    @Test func aFileAsksForIt() throws {
        let files = Files([
            "a.ini": "[databases]\nold = host=${HOST}\n%expand_environment\nnew = host=${HOST} password=${PW}\n%include b.ini\n",
            "b.ini": "[pgbouncer]\nlisten_port = ${N}\nserver_check_query = select '$1'\n",
        ])
        let configuration = try Configuration.load(path: "a.ini", read: files.read) { Self.variables[$0] }
        #expect(configuration.databases["old"]?.hosts == ["${HOST}"])
        #expect(configuration.databases["new"]?.hosts == ["db1"] && configuration.databases["new"]?.password == "a b'c$d;e")
        #expect(configuration.settings.listenPort == 7 && configuration.settings.serverCheckQuery == "select '$1'")
    }

    @Test func aMissingVariableIsAnErrorOfItsLine() {
        for (text, message) in [
            (
                "%expand_environment\n[pgbouncer]\nlisten_port = ${MISSING}\n",
                "a.ini:3: listen_port: the environment variable MISSING is not set"
            ),
            ("%expand_environment\n[databases]\nx = host=${MISSING}\n", "a.ini:3: host: the environment variable MISSING is not set"),
            ("%expand_environment all\n", "a.ini:1: expected nothing after %expand_environment"),
            ("%expand\n", "a.ini:1: unknown directive: expected %include FILE or %expand_environment"),
        ] {
            let files = Files(["a.ini": text])
            do throws(ConfigurationError) {
                _ = try Configuration.load(path: "a.ini", read: files.read) { Self.variables[$0] }
                Issue.record("read")
            } catch {
                #expect(error.description.hasPrefix(message), "\(error.description)")
            }
        }
    }
}
