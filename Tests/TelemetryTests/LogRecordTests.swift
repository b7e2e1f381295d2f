import Foundation
import Glibc
import Testing

@testable import Telemetry

@Suite struct LogRecordTests {
    /// As strangers would write them, who know the form of a line.
    static let forgedUser = "x@127.0.0.1:80 closing because: fake (age=1s)"
    static let forgedDatabase = "a/victim@127.0.0.1:1"

    static let close = LogEvent.close(reason: "query timeout", cause: "query timeout", age: 7)
    static let client = LogSubject.client(id: 31, database: "app", user: "web", address: "[::1]:5000")

    private func json(_ event: LogEvent, about subject: LogSubject? = nil, level: LogLevel = .info) -> String {
        let record = LogRecord(level: level, subject: subject, event: event)
        return String(decoding: record.json(time: timespec(tv_sec: 1_700_000_000, tv_nsec: 7_000_000), process: 9), as: UTF8.self)
    }

    private func members(_ event: LogEvent, about subject: LogSubject? = nil) throws -> [String: String] {
        let line = json(event, about: subject)
        try #require(line.hasSuffix("}\n") && line.filter { $0 == "\n" || $0 == "\r" || $0 == "\r\n" }.count == 1)
        let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        return try #require(object).mapValues { $0 is NSNull ? "null" : "\($0)" }
    }

    @Test func aLineAboutTheProcess() {
        #expect(json("process up") == #"{"time":"2023-11-14T22:13:20.007Z","level":"info","pid":9,"message":"process up"}"# + "\n")
    }

    /// Each event: its text, and its members beside the text.
    static let events: [(LogEvent, String, [String: String])] = [
        (.words("process up"), "process up", [:]),
        (
            .login(database: "app", user: "web", tls: nil, replication: nil), "login attempt: db=app user=web tls=no replication=no",
            ["event": "login", "tls": "null", "replication": "null"]
        ),
        (
            .login(database: "app", user: "web", tls: "TLSv1.3/x", replication: "logical"),
            "login attempt: db=app user=web tls=TLSv1.3/x replication=logical",
            ["event": "login", "tls": "TLSv1.3/x", "replication": "logical"]
        ),
        (
            .loginFailed(reason: "the certificate is for \"a\"", cause: "certificate of another user"),
            "login failed: the certificate is for \"a\"",
            ["event": "login_failed", "reason": "the certificate is for \"a\"", "cause": "certificate of another user"]
        ),
        (
            .poolerError(message: "no such database: x", code: "08P01"), "pooler error: no such database: x",
            ["event": "error", "error": "no such database: x", "sqlstate": "08P01"]
        ),
        (
            close, "closing because: query timeout (age=7s)",
            ["event": "close", "reason": "query timeout", "cause": "query timeout", "age_seconds": "7"]
        ),
    ]

    @Test(arguments: events)
    func anEvent(event: LogEvent, text: String, expected: [String: String]) throws {
        #expect(event.text == text)
        var found = try members(event)
        #expect(found.removeValue(forKey: "message") == text)
        for name in ["time", "level", "pid"] { #expect(found.removeValue(forKey: name) != nil) }
        #expect(found == expected)
    }

    /// Each subject: the beginning of its lines, and its members.
    static let subjects: [(LogSubject, String, [String: String])] = [
        (client, "C-0x1f: app/web@[::1]:5000", ["side": "client", "id": "31", "database": "app", "user": "web", "address": "[::1]:5000"]),
        (
            .client(id: 1, database: nil, user: nil, address: "unix(4711):6432"), "C-0x1: (nodb)/(nouser)@unix(4711):6432",
            ["side": "client", "id": "1", "database": "null", "user": "null", "address": "unix(4711):6432"]
        ),
        (
            .server(id: 10, database: "app", user: "web", address: "10.0.0.1:5432"), "S-0xa: app/web@10.0.0.1:5432",
            ["side": "server", "id": "10", "database": "app", "user": "web", "address": "10.0.0.1:5432"]
        ),
        (
            .server(id: 10, database: "app", user: "web", address: "10.0.0.1:5432", process: 77), "S-0xa: app/web@10.0.0.1:5432",
            ["side": "server", "id": "10", "database": "app", "user": "web", "address": "10.0.0.1:5432", "server_pid": "77"]
        ),
        (.pool(database: "app", user: "web"), "C-0x0: app/web@pool", ["database": "app", "user": "web"]),
        (
            .peer(id: 11, number: 2, host: "/tmp/b"), "S-0xb: peer-2@/tmp/b:",
            ["side": "peer", "id": "11", "peer": "2", "address": "/tmp/b"]
        ),
        (.peer(id: 11, number: 2, host: nil), "S-0xb: peer-2@?:", ["side": "peer", "id": "11", "peer": "2", "address": "null"]),
    ]

    @Test(arguments: subjects)
    func aSubject(subject: LogSubject, mark: String, expected: [String: String]) throws {
        #expect(LogRecord(level: .info, subject: subject, event: "x").text == mark + " x")
        var found = try members("x", about: subject)
        for name in ["time", "level", "pid", "message"] { #expect(found.removeValue(forKey: name) != nil) }
        #expect(found == expected)
    }

    /// The line was taken apart again: a user who called himself like the end of a line chose the address and the reason of the event.
    @Test func namesForgeNoMembers() throws {
        let subject = LogSubject.client(id: 1, database: Self.forgedDatabase, user: Self.forgedUser, address: "10.0.0.9:4444")
        let found = try members(Self.close, about: subject)
        #expect(found["database"] == Self.forgedDatabase && found["user"] == Self.forgedUser && found["address"] == "10.0.0.9:4444")
        #expect(found["reason"] == "query timeout" && found["age_seconds"] == "7")
        #expect(found["message"] == "closing because: query timeout (age=7s)")
    }

    @Test func wordsThatLookLikeALabelAreWords() throws {
        let text = "C-0x1f: app/web@127.0.0.1:5000 closing because: client close request (age=12s)"
        var found = try members(.words(text))
        #expect(found.removeValue(forKey: "message") == text)
        #expect(Set(found.keys) == ["time", "level", "pid"])
    }

    @Test(
        arguments: [
            ("plain \u{e9}", "plain \u{e9}"), ("a\nb", "a\n\tb"), ("a\r\nb", "a\\x0d\n\tb"), ("a\tb", "a\tb"),
            ("\u{1b}[2J\u{7}", "\\x1b[2J\\x07"), ("\u{9b}2J\u{a0}", "\\x9b2J\u{a0}"), ("\u{7f}\u{0}", "\\x7f\\x00"),
            ("caf\u{10ffe9}", "caf\\xe9"),
        ])
    func aLineOfTextIsHarmless(text: String, expected: String) {
        #expect(LogText.harmless(text) == expected)
    }

    @Test func theSystemsLogGetsOneLineAMessage() {
        #expect(LogText.oneLine("a\nb\r\n<0>c\td") == "a\\x0ab\\x0d\\x0a<0>c\td")
    }

    /// JSON holds control characters, and what is no UTF-8 as text tells it.
    @Test func namesOfAnyBytes() throws {
        let (database, user) = ("a\"\n{\\/b\u{7}\u{9b}", "caf\u{10ffe9}\r\n")
        let found = try members(
            .close(reason: "x\ny", cause: "server conn crashed?", age: 1),
            about: .client(id: 1, database: database, user: user, address: "?"))
        #expect(found["database"] == database && found["user"] == "caf\\xe9\r\n" && found["reason"] == "x\ny")
    }

    @Test func levels() throws {
        #expect(LogLevel.allCases.sorted() == LogLevel.allCases)
        #expect(LogLevel.allCases.map(\.word) == ["NOISE", "DEBUG", "LOG", "WARNING", "ERROR", "FATAL"])
        #expect(LogLevel.allCases.map(\.severity) == [7, 7, 6, 4, 3, 2])
        #expect(LogLevel.allCases.map(\.name) == ["trace", "debug", "info", "warning", "error", "fatal"])
    }

    @Test func whatIsNotWrittenIsNotMade() {
        let sink = LogSink()
        sink.setQuiet(true)
        let log = Log(sink)
        var made = 0
        func event() -> LogEvent {
            made += 1
            return "x"
        }
        log.debug(
            event(),
            about: {
                made += 1
                return Self.client
            }())
        #expect(made == 0)
        log.info(event())
        #expect(made == 1)
    }
}
