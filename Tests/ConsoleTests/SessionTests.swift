import PostgresWire
import Testing

@testable import Console

@Suite struct SessionTests {
    /// Hands messages over one after the other and collects the letters of what comes back; commands are answered with two rows.
    private func talk(_ session: inout ConsoleSession, _ messages: [UInt8]) -> String {
        var at = 0
        var letters = ""
        while at < messages.count, case .frame(let frame) = peekFrame(messages.span, at: at) {
            switch session.receive(frame, messages.span, at: at) {
            case .reply(let bytes): letters += kinds(bytes)
            case .run(let command, let first):
                letters += kinds(first)
                #expect(session.isBusy)
                let table = command.columns.map { columns in
                    ConsoleTable(columns: columns, rows: Array(repeating: columns.map { _ in .text("1") }, count: 2))
                }
                letters += kinds(session.finish(.done(tag: "TAG", table: table)))
                #expect(!session.isBusy)
            case .terminate: letters += "(X)"
            case .refuse(let text): letters += "(\(text))"
            }
            at += frame.length
        }
        return letters
    }

    private func kinds(_ bytes: [UInt8]) -> String {
        var (at, letters) = (0, "")
        while case .frame(let frame) = peekFrame(bytes.span, at: at) {
            letters.append(Character(Unicode.Scalar(frame.type)))
            at += frame.length
        }
        return letters
    }

    private func message(_ type: Character, _ parts: [UInt8]...) -> [UInt8] {
        let body = parts.flatMap { $0 }
        let length = UInt32(body.count + 4)
        return [type.asciiValue!] + (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * UInt32($0))) } + body
    }

    private func text(_ value: String) -> [UInt8] { Array(value.utf8) + [0] }
    private func query(_ value: String) -> [UInt8] { message("Q", text(value)) }
    private func parse(_ value: String, name: String = "") -> [UInt8] { message("P", text(name), text(value), [0, 0]) }
    private func bind(_ values: [String] = [], formats: [UInt8] = []) -> [UInt8] {
        message(
            "B", text(""), text(""), [0, 0], [0, UInt8(values.count)],
            values.flatMap { [0, 0, 0, UInt8($0.utf8.count)] + Array($0.utf8) }, [0, UInt8(formats.count)], formats.flatMap { [0, $0] })
    }
    private func describe(_ kind: Character) -> [UInt8] { message("D", [kind.asciiValue!], text("")) }
    private func execute(_ limit: UInt8 = 0) -> [UInt8] { message("E", text(""), [0, 0, 0, limit]) }
    private var sync: [UInt8] { message("S") }

    @Test func simpleQueries() {
        var session = ConsoleSession(rights: .admin)
        #expect(talk(&session, query("SHOW STATE")) == "TDDCZ")
        #expect(talk(&session, query("PAUSE")) == "CZ")
        #expect(talk(&session, query("SHOW HELP")) == "NCZ")
        #expect(talk(&session, query("")) == "IZ")
        #expect(talk(&session, query("NONSENSE")) == "EZ")
        #expect(talk(&session, query("SET extra_float_digits=3")) == "NCZ")
        #expect(talk(&session, query("SHOW client_encoding")) == "TDCZ")
        #expect(talk(&session, message("X")) == "(X)")
    }

    @Test func extendedQueries() {
        var session = ConsoleSession(rights: .stats)
        let whole = parse("SHOW STATE") + describe("S") + bind() + describe("P") + execute() + sync
        #expect(talk(&session, whole) == "1tT2TDDCZ")
        #expect(talk(&session, parse("SHOW POOLS WHERE user = $1") + bind(["app"]) + execute() + sync) == "12DDCZ")
        #expect(talk(&session, bind() + execute() + sync) == "EZ", "a missing value")
        #expect(talk(&session, parse("SHOW STATE") + bind() + execute(1) + execute(1) + sync) == "12DsDCZ")
        #expect(talk(&session, parse("FOO") + bind() + execute() + sync) == "EZ", "everything up to Sync is skipped")
        #expect(talk(&session, parse("SHOW STATE", name: "a") + parse("SHOW STATE", name: "a") + sync) == "1EZ")
        #expect(talk(&session, message("C", [UInt8(ascii: "S")], text("a")) + parse("SHOW STATE", name: "a") + sync) == "31Z")
    }

    @Test func rightsAreNeeded() {
        var session = ConsoleSession(rights: .stats)
        for command in [
            "PAUSE", "RELOAD", "KILL_CLIENT 1", "SET verbose=1", "RESET ALL", "SHUTDOWN", "KILL", "RESUME", "WAIT_CLOSE", "RECONNECT",
        ] {
            #expect(talk(&session, query(command)) == "EZ", "\(command)")
            #expect(talk(&session, parse(command) + bind() + execute() + sync) == "12EZ", "\(command)")
        }
        #expect(talk(&session, query("WHY CLIENT 1")) == "TDDCZ")
    }

    @Test func transactionsThatDriversBelieveIn() {
        var session = ConsoleSession(rights: .stats)
        func status(_ text: String) -> Character {
            let bytes = query(text)
            guard case .frame(let frame) = peekFrame(bytes.span, at: 0) else { return "?" }
            guard case .reply(let reply) = session.receive(frame, bytes.span, at: 0), let last = reply.last else { return "?" }
            return Character(Unicode.Scalar(last))
        }
        #expect(status("BEGIN") == "T" && status("NONSENSE") == "E" && status("ROLLBACK") == "I" && status("NONSENSE") == "I")
    }

    @Test func whatIsTooLongIsRefusedByItsHeader() {
        var session = ConsoleSession(rights: .admin)
        let header = [UInt8(ascii: "Q"), 0, 0x98, 0x96, 0x80]
        guard case .frame(let frame) = peekFrame(header.span, at: 0) else { return }
        #expect(kinds(session.refuseLong(frame)) == "EZ")
        let other = [UInt8(ascii: "P"), 0, 0x98, 0x96, 0x80]
        guard case .frame(let frame) = peekFrame(other.span, at: 0) else { return }
        #expect(kinds(session.refuseLong(frame)) == "E")
        #expect(talk(&session, sync) == "Z")
    }

    @Test func hostileBytesNeverTrap() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            var session = ConsoleSession(rights: .admin)
            let type = "QPBDECSHXd".randomElement(using: &generator)!
            let body = (0..<Int.random(in: 0...40, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) & 0x83 }
            _ = talk(&session, parse("SHOW POOLS WHERE user=$1") + message(type, body) + sync)
        }
    }
}
