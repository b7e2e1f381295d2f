import PostgresWire

/// Valid messages, and a walk over whatever bytes there are that calls every reader.
enum Corpus {
    static let key = CancelKey(processID: 0x8102_0304, secret: [1, 0, 255, 4])!
    static let longKey = CancelKey(processID: 7, secret: [UInt8](repeating: 0x80, count: 256))!
    static let fields: ErrorFields = {
        var fields = ErrorFields(
            severity: "ERROR", code: SQLState.invalidStatementName, message: "prepared statement \"ä\" does not exist", detail: "d",
            hint: "h")
        fields.position = "12"
        fields[0x46] = "prepare.c"
        fields[0x4C] = "434"
        return fields
    }()

    static func message(_ write: (inout MessageWriter) -> Void) -> [UInt8] {
        var writer = MessageWriter()
        write(&writer)
        return writer.bytes
    }

    /// What a client sends after the startup packet.
    static let frontend: [[UInt8]] = [
        message { $0.query("SELECT 1; -- long enough for more than one word of eight bytes") },
        message { $0.query("") },
        message { $0.parse(name: "s0", query: "SELECT $1::int4", types: [23, 0]) },
        message { $0.parse(name: "", query: "") },
        message { $0.bind(portal: "C_1", statement: "s0", parameters: ["1", nil, ""]) },
        message { $0.bind(statement: "") },
        message { $0.describe(statement: "s0") },
        message { $0.describe(portal: "") },
        message { $0.close(statement: "s0") },
        message { $0.close(portal: "C_1") },
        message { $0.execute(portal: "C_1", maximumRows: 1000) },
        message { $0.sync() },
        message { $0.flush() },
        message { $0.password("secret") },
        message { $0.password([0xFF, 0xFE]) },
        message { $0.saslInitialResponse(mechanism: "SCRAM-SHA-256", data: Array("n,,n=,r=x".utf8)) },
        message { $0.saslInitialResponse(mechanism: "SCRAM-SHA-256", data: nil) },
        message { $0.saslResponse(Array("c=biws,r=x,p=y".utf8)) },
        message { $0.copyData([0, 1, 2]) },
        message { $0.copyDone() },
        message { $0.copyFail(message: "no") },
        message { $0.terminate() },
    ]

    static let backend: [[UInt8]] = [
        message { $0.authentication(.ok) },
        message { $0.authentication(.cleartextPassword) },
        message { $0.authentication(.md5Password(salt: [1, 2, 3, 4])) },
        message { $0.authentication(.sasl(mechanisms: ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"])) },
        message { $0.authentication(.saslContinue([1, 2, 3])) },
        message { $0.authentication(.saslFinal([])) },
        message { $0.negotiateProtocolVersion(newestMinor: 2, unrecognized: ["_pq_.a", "_pq_.b"]) },
        message { $0.parameterStatus(name: "client_encoding", value: "UTF8") },
        message { $0.parameterStatus(name: "search_path", value: "") },
        message { $0.backendKeyData(key) },
        message { $0.backendKeyData(longKey) },
        message { $0.readyForQuery(.idle) },
        message { $0.readyForQuery(.inTransaction) },
        message { $0.readyForQuery(.failed) },
        message { $0.error(fields) },
        message { $0.notice(ErrorFields()) },
        message { $0.parseComplete() },
        message { $0.bindComplete() },
        message { $0.closeComplete() },
        message { $0.noData() },
        message { $0.portalSuspended() },
        message { $0.emptyQueryResponse() },
        message { $0.rowDescription([.text("name"), .bigInteger("total")]) },
        message { $0.dataRow(["a", nil, ""]) },
        message { $0.commandComplete("SELECT 1") },
    ]

    static let startup: [[UInt8]] = [
        message { $0.sslRequest() },
        message { $0.gssEncryptionRequest() },
        message { $0.cancelRequest(key: key) },
        message { $0.cancelRequest(key: longKey) },
        message { $0.startup(parameters: [("user", "u"), ("database", "d"), ("options", "-c a=b"), ("_pq_.x", "1")]) },
        message { $0.startup(minor: 2, parameters: []) },
        [0, 0, 0, 10, 0, 2, 0, 0, 1, 2],
        [0x16, 3, 1],
    ]

    static let texts: [[UInt8]] = [
        "DEALLOCATE s0", "deallocate prepare \"a\"\"b\" ;", "DISCARD ALL", "/* a /* b */ */ DEALLOCATE ALL -- c",
        "SAVEPOINT _per_query_svp_;DEALLOCATE \"x\";RELEASE _per_query_svp_", "select $a$;$a$, e'\\';';deallocate U&\"\\0061\" uescape '!'",
        "-c a=b --c-d=e\\ f", "-c=", "\\", "-ck=v",
    ].map { Array($0.utf8) }

    /// Follows the stream as a client or server of the pooler would, and gives all readers the same body. Returns the
    /// frames that are complete, or nil when the stream is malformed.
    @discardableResult
    static func walk(_ stream: [UInt8]) -> [Frame]? {
        let bytes = stream.span
        var frames: [Frame] = []
        var offset = 0
        while true {
            switch peekFrame(bytes, at: offset) {
            case .malformed:
                return nil
            case .short:
                return frames
            case .frame(let frame):
                readAll(bytes, body: frame.body(at: offset))
                guard offset + frame.length <= bytes.count else { return frames }
                frames.append(frame)
                offset += frame.length
            }
        }
    }

    /// The results are of no interest here: that no reader traps is.
    static func readAll(_ bytes: Span<UInt8>, body: Range<Int>) {
        if let parse = ParseMessage.read(bytes, body: body) { _ = ParseMessage.query(bytes, tail: parse.tail) }
        _ = BindMessage.read(bytes, body: body)
        _ = TargetMessage.read(bytes, body: body)
        _ = ExecuteMessage.read(bytes, body: body)
        if let text = QueryText.read(bytes, body: body) { _ = DeallocateStatement.parse(bytes, text) }
        _ = CommandTag.read(bytes, body: body)
        _ = ParameterStatusMessage.read(bytes, body: body)
        _ = BackendKeyDataMessage.read(bytes, body: body)
        _ = ReadyForQueryMessage.read(bytes, body: body)
        _ = AuthenticationMessage.read(bytes, body: body)
        _ = NegotiateProtocolVersionMessage.read(bytes, body: body)
        _ = ErrorFields.read(bytes, body: body)
        _ = String(decoding: bytes, in: body)
        _ = DeallocateStatement.parse(bytes, body)
        _ = readUInt32(bytes, at: body.lowerBound)
        _ = readInt16(bytes, at: body.lowerBound)
    }
}

/// A generator with a seed, so that a failure comes again (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
