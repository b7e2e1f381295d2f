import PoolCore
import Testing

@testable import PostgresWire

/// What may come back from `auth_query`, sense and nonsense.
@Suite struct UserLookupTests {
    static func message(_ type: Character, _ body: [UInt8]) -> [UInt8] {
        [type.asciiValue!] + (0..<4).map { UInt8(truncatingIfNeeded: (body.count + 4) >> (24 - 8 * $0)) } + body
    }

    static func description(_ columns: Int) -> [UInt8] { message("T", [0, UInt8(columns)]) }

    static func row(_ values: [String?]) -> [UInt8] {
        var body: [UInt8] = [0, UInt8(values.count)]
        for value in values {
            let length = value.map(\.utf8.count) ?? -1
            body += (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * $0)) } + Array((value ?? "").utf8)
        }
        return message("D", body)
    }

    static let head = message("1", []) + message("2", [])
    static let ready = message("Z", [0x49])
    static let done = message("C", Array("SELECT 1\0".utf8)) + ready

    /// Plays the bytes; the outcome and how many bytes were read until it.
    static func play(_ bytes: [UInt8], user: String = "joe") -> (lookup: UserLookup, outcome: UserLookup.Outcome?) {
        var lookup = UserLookup(user: user)
        var at = 0
        while case .frame(let frame) = peekFrame(bytes.span, at: at), frame.length <= bytes.count - at {
            if let outcome = lookup.receive(frame, bytes.span, at: at) {
                #expect(at + frame.length == bytes.count)
                return (lookup, outcome)
            }
            at += frame.length
        }
        return (lookup, nil)
    }

    @Test(
        arguments: [
            (description(2) + row(["joe", "pw"]) + done, .found(user: "joe", secret: "pw")),
            (description(2) + row(["joe", ""]) + done, .found(user: "joe", secret: "")),
            (description(2) + row(["joe", nil]) + done, .found(user: "joe", secret: nil)),
            (description(2) + row([nil, "pw"]) + done, .noSuchUser),
            (description(2) + done, .noSuchUser),
            (description(1) + row(["joe"]) + done, .failed("the query returns 1 columns instead of 2")),
            (description(3) + done, .failed("the query returns 3 columns instead of 2")),
            (description(2) + row(["joe", "a"]) + row(["joe", "b"]) + done, .failed("the query returns several rows that differ")),
            (description(2) + row(["joe", "a"]) + row(["jim", "a"]) + done, .failed("the query returns several rows that differ")),
            (description(2) + row(["joe", nil]) + row(["joe", ""]) + done, .failed("the query returns several rows that differ")),
            (description(2) + row(["joe", "a"]) + row(["joe", "a"]) + row([nil, "b"]) + done, .found(user: "joe", secret: "a")),
            (description(2) + row(["joe", nil]) + row(["joe", nil]) + done, .found(user: "joe", secret: nil)),
            (description(2) + row(["joe", "a", "b"]) + done, .failed("a row has the wrong number of columns")),
            (description(2) + row(["jim", "a"]) + done, .found(user: "jim", secret: "a")),
            (description(2) + row(["", "a"]) + done, .failed("the row is about nobody: expected a name of 1 to 127 bytes")),
            (
                description(2) + row([String(repeating: "x", count: 128), "a"]) + done,
                .failed("the row is about nobody: expected a name of 1 to 127 bytes")
            ),
            (description(2) + message("D", [0, 2, 0, 0, 0, 9, 1]) + done, .failed("a row is malformed")),
            (description(2) + message("D", [0, 2, 0xff, 0xff, 0xff, 0xfe]) + done, .failed("a row is malformed")),
            (description(2) + message("D", [0, 2, 0x7f, 0xff, 0xff, 0xff]) + done, .failed("a row is malformed")),
            (description(2) + message("D", [0]) + done, .failed("a row has the wrong number of columns")),
            // What comes before the NUL would have been the password for servers.
            (description(2) + row(["joe", "p\0w"]) + done, .failed("the secret has a NUL in it")),
            (description(2) + row(["joe\0", "pw"]) + done, .failed("the row is about nobody: expected a name of 1 to 127 bytes")),
            (description(2) + message("D", [0, 2, 0, 0, 0, 3] + "joe".utf8 + [0, 0, 0, 1, 0xff]) + done, .failed("a row is malformed")),
            (message("n", []) + done, .failed("the query returns no rows at all")),
            (message("I", []) + ready, .failed("the query returns no rows at all")),
            (message("E", Array("SERROR\0C42P01\0Mno table\0\0".utf8)) + ready, .failed("ERROR: no table")),
            (message("E", [0]) + ready, .failed("ERROR: unknown error")),
            (message("N", Array("SNOTICE\0Mhm\0\0".utf8)) + description(2) + row(["joe", "x"]) + done, .found(user: "joe", secret: "x")),
            (message("S", Array("TimeZone\0UTC\0".utf8)) + description(2) + done, .noSuchUser),
            (
                description(2) + row(["joe", String(repeating: "x", count: 65_536)]) + done,
                .failed("the secret is longer than 65535 bytes")
            ),
        ] as [([UInt8], UserLookup.Outcome)])
    func answers(bytes: [UInt8], expected: UserLookup.Outcome) {
        let (lookup, outcome) = Self.play(Self.head + bytes)
        #expect(outcome == expected)
        #expect(!lookup.isBroken)
    }

    /// Names and rows are the same only if their bytes are.
    @Test func aNameThatOnlyLooksTheSameIsAnotherUser() {
        let (one, other) = (Self.row(["\u{e9}", "pw"]), Self.row(["e\u{301}", "pw"]))
        let outcome = Self.play(Self.head + Self.description(2) + one + Self.done, user: "e\u{301}").outcome
        guard case .found(let user, _) = outcome else {
            Issue.record("\(String(describing: outcome))")
            return
        }
        #expect(user.utf8.elementsEqual("\u{e9}".utf8))
        let both = Self.play(Self.head + Self.description(2) + one + other + Self.done).outcome
        #expect(both == .failed("the query returns several rows that differ"))
    }

    @Test func aServerLeftInATransactionIsNotUsedAgain() {
        let (lookup, outcome) = Self.play(Self.head + Self.description(2) + Self.row(["joe", "x"]) + Self.message("Z", [0x54]))
        #expect(outcome == .found(user: "joe", secret: "x") && lookup.isBroken)
        let (copy, failed) = Self.play(Self.head + Self.message("G", [0, 0, 0]))
        #expect(failed == .failed("the query is no SELECT") && copy.isBroken)
    }

    @Test func theNameIsAParameterAndNothingElse() {
        let bytes = UserLookup(user: "a'; drop table b; --").request(query: "select 1, $1")
        var types = ""
        var at = 0
        while case .frame(let frame) = peekFrame(bytes.span, at: at) {
            types.append(Character(Unicode.Scalar(frame.type)))
            if frame.type == 0x50 { #expect(!String(decoding: bytes[at..<at + frame.length], as: UTF8.self).contains("drop")) }
            at += frame.length
        }
        #expect(types == "PBDES" && at == bytes.count)
    }

    @Test func anyBytesEndInAnOutcomeOrNone() {
        var generator = SeededGenerator(state: 11)
        let types = Array("12TDCZENSnIGHtsA".utf8)
        for _ in 0..<20_000 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let body = (0..<Int.random(in: 0...24, using: &generator)).map { _ in UInt8.random(in: 0...5, using: &generator) &- 1 }
                bytes += Self.message(Character(Unicode.Scalar(types.randomElement(using: &generator)!)), body)
            }
            var lookup = UserLookup(user: "\u{1}")
            var at = 0
            while case .frame(let frame) = peekFrame(bytes.span, at: at) {
                _ = lookup.receive(frame, bytes.span, at: at)
                at += frame.length
            }
        }
    }
}
