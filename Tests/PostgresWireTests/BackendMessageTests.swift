import Testing

@testable import PostgresWire

@Suite struct BackendMessageTests {
    @Test func bytesAreThoseOfTheDocumentation() {
        #expect(Corpus.message { $0.authentication(.ok) } == [0x52, 0, 0, 0, 8, 0, 0, 0, 0])
        #expect(Corpus.message { $0.authentication(.sasl(mechanisms: ["A"])) } == [0x52, 0, 0, 0, 11, 0, 0, 0, 10, 0x41, 0, 0])
        #expect(Corpus.message { $0.backendKeyData(Corpus.key) } == [0x4B, 0, 0, 0, 12, 0x81, 2, 3, 4, 1, 0, 255, 4])
        #expect(Corpus.message { $0.readyForQuery(.failed) } == [0x5A, 0, 0, 0, 5, 0x45])
        #expect(Corpus.message { $0.parseComplete() } == [0x31, 0, 0, 0, 4])
        #expect(
            Corpus.message { $0.negotiateProtocolVersion(newestMinor: 0, unrecognized: ["a"]) } == [
                0x76, 0, 0, 0, 14, 0, 3, 0, 0, 0, 0, 0, 1, 0x61, 0,
            ])
        #expect(Corpus.message { $0.dataRow(["x", nil]) } == [0x44, 0, 0, 0, 15, 0, 2, 0, 0, 0, 1, 0x78, 255, 255, 255, 255])
        #expect(
            Corpus.message { $0.rowDescription([.text("a")]) }
                == [0x54, 0, 0, 0, 26, 0, 1, 0x61, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0])
        #expect(
            Corpus.message { $0.error(ErrorFields(severity: "FATAL", code: "08P01", message: "m")) }
                == [0x45, 0, 0, 0, 29] + Array("SFATAL\0VFATAL\0C08P01\0Mm\0\0".utf8))
    }

    @Test func authentication() {
        let salt: [UInt8] = [1, 2, 3, 4]
        let cases: [(AuthenticationRequest, AuthenticationMessage)] = [
            (.ok, .ok), (.cleartextPassword, .cleartextPassword), (.md5Password(salt: salt), .md5Password(salt: salt)),
            (.sasl(mechanisms: []), .sasl(mechanisms: [])), (.sasl(mechanisms: ["A", "B"]), .sasl(mechanisms: ["A", "B"])),
            (.saslContinue([1, 2]), .saslContinue(12..<14)), (.saslFinal([]), .saslFinal(12..<12)),
        ]
        for (request, expected) in cases {
            withBody(Corpus.message { $0.authentication(request) }) { #expect(AuthenticationMessage.read($0, body: $1) == expected) }
        }
    }

    @Test func otherAuthentication() {
        let cases: [(UInt8, AuthenticationMessage)] = [(2, .kerberosV5), (7, .gss), (8, .gssContinue(4..<4)), (9, .sspi), (99, .other(99))]
        for (code, expected) in cases { #expect(AuthenticationMessage.read([0, 0, 0, code].span, body: 0..<4) == expected) }
    }

    @Test(
        arguments: [
            [], [0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 3, 1], [0, 0, 0, 5, 1, 2, 3], [0, 0, 0, 5, 1, 2, 3, 4, 5], [0, 0, 0, 10],
            [0, 0, 0, 10, 0x41],
            [0, 0, 0, 10, 0x41, 0], [0, 0, 0, 10, 0, 0], [0, 0, 0, 10, 0x41, 0, 0, 0x42],
        ] as [[UInt8]])
    func malformedAuthentication(_ body: [UInt8]) {
        #expect(AuthenticationMessage.read((body + [0, 0, 0, 0]).span, body: 0..<body.count) == nil)
    }

    @Test func parameterStatus() {
        withBody(Corpus.message { $0.parameterStatus(name: "DateStyle", value: "ISO, MDY") }) { bytes, body in
            let read = ParameterStatusMessage.read(bytes, body: body)
            #expect(text(bytes, read?.name) == "DateStyle")
            #expect(text(bytes, read?.value) == "ISO, MDY")
        }
    }

    @Test(arguments: [[], [0], [0x61, 0], [0x61, 0, 0x62], [0x61, 0, 0, 0], [0x61, 0x62]] as [[UInt8]])
    func malformedParameterStatus(_ body: [UInt8]) {
        #expect(ParameterStatusMessage.read((body + [0, 0]).span, body: 0..<body.count) == nil)
    }

    @Test func backendKeyData() {
        for key in [Corpus.key, Corpus.longKey] {
            withBody(Corpus.message { $0.backendKeyData(key) }) { #expect(BackendKeyDataMessage.read($0, body: $1) == key) }
        }
        for count in [0, 3, 4, 7, 261, 300] {
            #expect(BackendKeyDataMessage.read([UInt8](repeating: 1, count: 400).span, body: 0..<count) == nil)
        }
        #expect(CancelKey(processID: 0, secret: [1, 2, 3]) == nil)
        #expect(CancelKey(processID: 0, secret: [UInt8](repeating: 0, count: 257)) == nil)
    }

    @Test func readyForQuery() {
        for status in [TransactionStatus.idle, .inTransaction, .failed] {
            withBody(Corpus.message { $0.readyForQuery(status) }) { #expect(ReadyForQueryMessage.read($0, body: $1) == status) }
        }
        for body in [[], [0x49, 0x49], [0], [0x58]] as [[UInt8]] {
            #expect(ReadyForQueryMessage.read((body + [0x49]).span, body: 0..<body.count) == nil)
        }
    }

    @Test func commandTag() {
        withBody(Corpus.message { $0.commandComplete("DEALLOCATE ALL") }) {
            #expect(text($0, CommandTag.read($0, body: $1)) == "DEALLOCATE ALL")
        }
        #expect(CommandTag.read([0x61, 0].span, body: 0..<1) == nil)
    }

    @Test func negotiateProtocolVersion() {
        withBody(Corpus.message { $0.negotiateProtocolVersion(newestMinor: 2, unrecognized: ["_pq_.a", ""]) }) { bytes, body in
            let read = NegotiateProtocolVersionMessage.read(bytes, body: body)
            #expect(read?.newestMinor == 2)
            #expect(read?.unrecognized == ["_pq_.a", ""])
        }
        // As the documentation has it: the minor version alone.
        #expect(NegotiateProtocolVersionMessage.read([0, 0, 0, 1, 0, 0, 0, 0].span, body: 0..<8)?.newestMinor == 1)
    }

    @Test(
        arguments: [
            [], [0, 3, 0, 0, 0, 0, 0], [0, 3, 0, 0, 0, 0, 0, 1], [0, 3, 0, 0, 0, 0, 0, 0, 1], [0, 3, 0, 0, 255, 255, 255, 255, 0, 0, 0],
        ] as [[UInt8]])
    func malformedNegotiateProtocolVersion(_ body: [UInt8]) {
        #expect(NegotiateProtocolVersionMessage.read((body + [0]).span, body: 0..<body.count) == nil)
    }

    @Test func errorFields() {
        withBody(Corpus.message { $0.error(Corpus.fields) }) { #expect(ErrorFields.read($0, body: $1) == Corpus.fields) }
        let letters = Corpus.fields.fields.map { Character(Unicode.Scalar($0.letter)) }
        #expect(String(letters) == "SVCMDHPFL")
    }

    /// PgBouncer fell over an error that had no SQLSTATE.
    @Test func errorWithoutSQLState() {
        let body = Array("SERROR\0Mold server\0\0".utf8)
        let fields = ErrorFields.read(body.span, body: 0..<body.count)
        #expect(fields?.code == nil)
        #expect(fields?.message == "old server")
        #expect(fields?.severity == "ERROR" && fields?.nonlocalizedSeverity == nil)
        #expect(ErrorFields.read([0].span, body: 0..<1) == ErrorFields())
        #expect(ErrorFields.read([0, 1, 2].span, body: 0..<3) == ErrorFields())
    }

    @Test func errorFieldsAreSetAndRemoved() {
        var fields = ErrorFields(severity: "FATAL", code: "57P01", message: "a")
        fields.message = "b"
        fields.detail = "c"
        fields.severity = nil
        #expect(fields.fields.map(\.value) == ["FATAL", "57P01", "b", "c"])
    }

    @Test(arguments: [[], [0x53], [0x53, 0x61], [0x53, 0x61, 0], [0x53, 0], [0x53, 0, 0x4D]] as [[UInt8]])
    func malformedErrorFields(_ body: [UInt8]) {
        #expect(ErrorFields.read((body + [0, 0]).span, body: 0..<body.count) == nil)
    }

    @Test func textsHaveToLieInsideTheirBytes() {
        #expect(String(decoding: Array("grün".utf8).span, in: 0..<5) == "grün")
        #expect(String(decoding: [0x61].span, in: 0..<2) == "")
        #expect(String(decoding: [0x61].span, in: -1..<1) == "")
    }
}
