import Testing

@testable import PostgresWire

/// Bodies are read where they lie, so that each message is tried with bytes before and after it.
func withBody<T>(_ message: [UInt8], _ read: (Span<UInt8>, Range<Int>) -> T) -> T {
    let padded = [7, 0, 7] + message + [0, 7]
    return read(padded.span, 8..<3 + message.count)
}

func text(_ bytes: Span<UInt8>, _ range: Range<Int>?) -> String? {
    range.map { String(decoding: bytes, in: $0) }
}

@Suite struct FrontendMessageTests {
    @Test func bytesAreThoseOfTheDocumentation() {
        #expect(Corpus.message { $0.sync() } == [0x53, 0, 0, 0, 4])
        #expect(Corpus.message { $0.query("a") } == [0x51, 0, 0, 0, 6, 0x61, 0])
        #expect(Corpus.message { $0.parse(name: "a", query: "b", types: [1]) } == [0x50, 0, 0, 0, 14, 0x61, 0, 0x62, 0, 0, 1, 0, 0, 0, 1])
        #expect(
            Corpus.message { $0.bind(portal: "p", statement: "s", parameters: ["x", nil]) }
                == [0x42, 0, 0, 0, 23, 0x70, 0, 0x73, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0x78, 255, 255, 255, 255, 0, 0])
        #expect(Corpus.message { $0.execute() } == [0x45, 0, 0, 0, 9, 0, 0, 0, 0, 0])
        #expect(Corpus.message { $0.close(portal: "p") } == [0x43, 0, 0, 0, 7, 0x50, 0x70, 0])
        #expect(Corpus.message { $0.copyFail(message: "n") } == [0x66, 0, 0, 0, 6, 0x6E, 0])
        #expect(Corpus.message { $0.saslInitialResponse(mechanism: "M", data: [9]) } == [0x70, 0, 0, 0, 11, 0x4D, 0, 0, 0, 0, 1, 9])
        #expect(Corpus.message { $0.saslInitialResponse(mechanism: "M", data: nil) } == [0x70, 0, 0, 0, 10, 0x4D, 0, 255, 255, 255, 255])
        #expect(Corpus.message { $0.saslResponse([1]) } == [0x70, 0, 0, 0, 5, 1])
        #expect(Corpus.message { $0.cancelRequest(key: Corpus.key) } == [0, 0, 0, 16, 4, 210, 22, 46, 0x81, 2, 3, 4, 1, 0, 255, 4])
        #expect(Corpus.message { $0.sslRequest() } == [0, 0, 0, 8, 4, 210, 22, 47])
        #expect(Corpus.message { $0.gssEncryptionRequest() } == [0, 0, 0, 8, 4, 210, 22, 48])
        #expect(Corpus.message { $0.startup(minor: 2, parameters: [("a", "b")]) } == [0, 0, 0, 13, 0, 3, 0, 2, 0x61, 0, 0x62, 0, 0])
    }

    @Test func query() {
        withBody(Corpus.message { $0.query("SELECT 1") }) { #expect(text($0, QueryText.read($0, body: $1)) == "SELECT 1") }
        withBody(Corpus.message { $0.query("") }) { #expect(text($0, QueryText.read($0, body: $1)) == "") }
    }

    @Test(arguments: [("", "", []), ("s0", "SELECT $1", [23, 0]), ("ä", "x", [UInt32](repeating: 5, count: 70000))])
    func parse(_ name: String, _ query: String, _ types: [UInt32]) {
        let message = Corpus.message { $0.parse(name: name, query: query, types: types) }
        withBody(message) { bytes, body in
            guard let parse = ParseMessage.read(bytes, body: body) else {
                Issue.record("not read")
                return
            }
            #expect(text(bytes, parse.name) == name)
            #expect(text(bytes, ParseMessage.query(bytes, tail: parse.tail)) == query)
            #expect(parse.tail.upperBound == body.upperBound)
            let tail = [UInt8](copying: bytes, in: parse.tail)
            #expect(Corpus.message { $0.parse(name: name, tail: tail) } == message)
            #expect(Corpus.message { $0.parse(name: Array(name.utf8), tail: tail) } == message)
            var writer = MessageWriter()
            writer.parse(name: name, bytes, tail: parse.tail)
            #expect(writer.bytes == message)
        }
    }

    @Test func bindIsRenamed() {
        withBody(Corpus.message { $0.bind(portal: "p", statement: "old", parameters: ["1", nil]) }) { bytes, body in
            guard case .names(let portal, let statement, let rest) = BindMessage.read(bytes, body: body) else {
                Issue.record("not read")
                return
            }
            #expect(text(bytes, portal) == "p")
            #expect(text(bytes, statement) == "old")
            for asBytes in [false, true] {
                var writer = MessageWriter()
                let restLength = body.upperBound - rest
                if asBytes {
                    writer.bindHeader(bytes, portal: portal, statement: Array("sluice_17".utf8), restLength: restLength)
                } else {
                    writer.bindHeader(bytes, portal: portal, statement: "sluice_17", restLength: restLength)
                }
                writer.raw(bytes, rest..<body.upperBound)
                #expect(writer.bytes == Corpus.message { $0.bind(portal: "p", statement: "sluice_17", parameters: ["1", nil]) })
            }
        }
    }

    /// The names are known as soon as the second NUL is there, and not before.
    @Test func bindMayBeIncomplete() {
        let message = Corpus.message { $0.bind(portal: "portal", statement: "statement", parameters: ["1", nil]) }
        let rest = 5 + 7 + 10
        for end in 0...message.count {
            let read = BindMessage.read(Array(message[..<end]).span, body: 5..<message.count)
            #expect(read == (end < rest ? .needMore : .names(portal: 5..<11, statement: 12..<21, rest: rest)))
        }
    }

    @Test func targets() {
        let cases: [([UInt8], Target, String)] = [
            (Corpus.message { $0.describe(statement: "s") }, .statement, "s"), (Corpus.message { $0.describe(portal: "") }, .portal, ""),
            (Corpus.message { $0.close(statement: "") }, .statement, ""), (Corpus.message { $0.close(portal: "p") }, .portal, "p"),
        ]
        for (message, kind, name) in cases {
            withBody(message) { bytes, body in
                let read = TargetMessage.read(bytes, body: body)
                #expect(read?.kind == kind)
                #expect(text(bytes, read?.name) == name)
            }
        }
    }

    @Test func execute() {
        withBody(Corpus.message { $0.execute(portal: "C_1", maximumRows: 1000) }) { bytes, body in
            let read = ExecuteMessage.read(bytes, body: body)
            #expect(text(bytes, read?.portal) == "C_1")
            #expect(read?.maximumRows == 1000)
        }
    }

    @Test(
        arguments: [
            [], [0x61], [0x61, 0], [0x61, 0, 0x62, 0], [0x61, 0, 0x62, 0, 0], [0x61, 0x62, 0], [0, 0, 0, 1], [0, 0, 0, 0, 0],
            [0, 0, 0, 1, 1, 2, 3],
            [0, 0, 0, 1, 1, 2, 3, 4, 5], [0, 0, 255, 255], [0, 0, 0x80, 0, 1, 2, 3, 4], [0, 1, 2, 3, 4],
        ] as [[UInt8]])
    func malformedParse(_ body: [UInt8]) {
        #expect(ParseMessage.read(body.span, body: 0..<body.count) == nil)
        // What follows in the buffer must not complete it.
        #expect(ParseMessage.read((body + [0, 0, 0, 0, 0, 0]).span, body: 0..<body.count) == nil)
    }

    @Test(
        arguments: [
            [], [0x61], [0], [0, 0x61], [0x61, 0, 0x62], [1, 2, 3, 4, 5, 6, 7, 8, 9],
        ] as [[UInt8]])
    func malformedBind(_ body: [UInt8]) {
        #expect(BindMessage.read(body.span, body: 0..<body.count) == .malformed)
        #expect(BindMessage.read((body + [0, 0, 0, 0, 0, 0, 0, 0]).span, body: 0..<body.count) == .malformed)
    }

    @Test(arguments: [[], [0x53], [0x53, 0x61], [0x54, 0], [0, 0], [0x53, 0, 0], [0x53, 0x61, 0, 0x61]] as [[UInt8]])
    func malformedTarget(_ body: [UInt8]) {
        #expect(TargetMessage.read((body + [0]).span, body: 0..<body.count) == nil)
    }

    @Test(arguments: [[], [0], [0, 0, 0, 0], [0x61, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5]] as [[UInt8]])
    func malformedExecute(_ body: [UInt8]) {
        #expect(ExecuteMessage.read((body + [0]).span, body: 0..<body.count) == nil)
    }

    @Test(arguments: [[], [0x61], [0, 0x61]] as [[UInt8]])
    func malformedQuery(_ body: [UInt8]) {
        #expect(QueryText.read((body + [0]).span, body: 0..<body.count) == nil)
    }

    /// A NUL inside an argument ends it there and adds nothing to the message.
    @Test func textsEndAtTheirFirstNUL() {
        #expect(Corpus.message { $0.query("a\0b") } == Corpus.message { $0.query("a") })
        #expect(Corpus.message { $0.password([0x61, 0, 0x62]) } == Corpus.message { $0.password("a") })
        #expect(Corpus.message { $0.close(statement: "a\0b") } == Corpus.message { $0.close(statement: "a") })
        #expect(
            Corpus.message { $0.startup(parameters: [("user", "a\0database\0b"), ("\0x", "y"), ("", "z")]) }
                == Corpus.message { $0.startup(parameters: [("user", "a")]) })
        #expect(
            Corpus.message { $0.parameterStatus(name: "a\0b", value: "c\0d") }
                == Corpus.message { $0.parameterStatus(name: "a", value: "c") })
        #expect(
            Corpus.message { $0.authentication(.sasl(mechanisms: ["", "A\0B"])) }
                == Corpus.message { $0.authentication(.sasl(mechanisms: ["A"])) })
        #expect(
            Corpus.message { $0.error(ErrorFields(fields: [.init(letter: 0x4D, value: "a\0Cx"), .init(letter: 0, value: "b")])) }
                == Corpus.message { $0.error(ErrorFields(fields: [.init(letter: 0x4D, value: "a")])) })
    }

    @Test func writerKeepsItsMemory() {
        var writer = MessageWriter()
        writer.query(String(repeating: "x", count: 1000))
        writer.removeAll()
        #expect(writer.bytes.isEmpty && writer.bytes.capacity >= 1000)
    }

    /// A length that does not fit stays a number that no reader accepts, and does not wrap.
    @Test func restLengthDoesNotWrap() {
        for rest in [Int.max, Int(UInt32.max)] {
            let message = Corpus.message { $0.bindHeader([0].span, portal: 0..<0, statement: "s", restLength: rest) }
            #expect(peekFrame(message.span, at: 0) == .malformed)
        }
    }
}
