import Glibc
import Testing

@testable import Telemetry

@Suite struct LogRecordTests {
    private func json(_ text: String) -> String {
        LogRecord(text: text).json(time: timespec(tv_sec: 1_700_000_000, tv_nsec: 7_000_000), level: .info, process: 9)
    }

    @Test func aLineAboutTheProcess() {
        #expect(json("process up") == #"{"time":"2023-11-14T22:13:20.007Z","level":"info","pid":9,"message":"process up"}"# + "\n")
    }

    @Test func aClosedConnection() {
        let record = LogRecord(text: "C-0x1f: app/web@[::1]:5000 closing because: client close request (age=12s)")
        #expect(record.connection == .init(side: "client", id: 31, database: "app", user: "web", address: "[::1]:5000"))
        #expect(record.message == "closing because: client close request (age=12s)")
        #expect(record.reason == "client close request" && record.age == 12)
    }

    @Test func aUnixSocket() {
        let record = LogRecord(text: "C-0x1f: app/web@unix(4711):6432 login attempt: db=app")
        #expect(record.connection?.address == "unix(4711):6432" && record.connection?.user == "web")
        #expect(record.message == "login attempt: db=app")
    }

    @Test func namesWithTheMarksOfALabel() {
        let record = LogRecord(text: "S-0xa: a b/u@example.com@127.0.0.1:5432 connect failed: x")
        #expect(record.connection?.user == "u@example.com" && record.connection?.database == "a b")
        #expect(record.message == "connect failed: x" && record.reason == nil)
    }

    @Test(arguments: ["C-0x", "C-0xzz: a/b@c:1", "C-0x1: nothing", "C-0x1: a/b@", "S-0x1: a/b@c d", ""])
    func whatOnlyLooksLikeALabel(text: String) {
        #expect(LogRecord(text: text).connection == nil)
        #expect(LogRecord(text: text).message == text)
    }

    @Test(
        arguments: [
            ("plain \u{e9}", "plain \u{e9}"), ("a\nb", "a\n\tb"), ("a\r\nb", "a\\x0d\n\tb"), ("a\tb", "a\tb"),
            ("\u{1b}[2J\u{7}", "\\x1b[2J\\x07"), ("\u{9b}2J\u{a0}", "\\x9b2J\u{a0}"), ("\u{7f}\u{0}", "\\x7f\\x00"),
        ])
    func aLineOfTextIsHarmless(text: String, expected: String) {
        #expect(LogText.harmless(text) == expected)
    }

    @Test func strangersCannotEndTheLine() {
        let line = json("C-0x1: a\"\n{\\/b\u{7}@unix closing because: x\ny (age=1s)")
        #expect(line.filter { $0 == "\n" }.count == 1 && line.hasSuffix("}\n"))
        #expect(line.contains(#""database":"a\"\n{\\""#) && line.contains(#""user":"b\u0007""#) && line.contains(#""reason":"x\ny""#))
    }
}
