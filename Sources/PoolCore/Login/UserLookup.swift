import Bytes
import PostgresWire

/// One question of `auth_query`: who is this user, and what is the secret? Runs as one unnamed statement with the user name as its
/// parameter, on a server that nothing else has touched, and reads nothing but the answer to it.
public struct UserLookup: Sendable {
    /// What came of it.
    public enum Outcome: Sendable, Equatable {
        /// The user exists, by this name, which may be another than the question's. Without a secret there is no password that could be
        /// right (none is set, or it has expired).
        case found(user: String, secret: String?)
        case noSuchUser
        /// The query failed, or what it returned makes no sense; the text is for the log.
        case failed(String)
    }

    /// Whom the question is about.
    public let user: String
    private var columns: Int?
    private var result: Outcome = .noSuchUser
    private var failure: String?

    /// The longest name, in bytes.
    private static let longestName = 127
    /// The longest secret that is taken, in bytes.
    private static let longestSecret = 65_535
    /// No message of an answer that makes sense is longer.
    public static let messageLimit = 256 * 1024

    public init(user: String) { self.user = user }

    /// What to send, in one go.
    public func request(query: String) -> [UInt8] {
        var writer = MessageWriter()
        writer.parse(name: "", query: query)
        writer.bind(statement: "", parameters: [user])
        writer.describe(portal: "")
        writer.execute()
        writer.sync()
        return writer.bytes
    }

    /// Takes one whole message of the server. Returns the outcome at the end of the answer; the server is fit for the next question
    /// then, unless ``isBroken``.
    public mutating func receive(_ frame: Frame, _ bytes: Span<UInt8>, at offset: Int) -> Outcome? {
        let body = frame.body(at: offset)
        switch frame.type {
        case Backend.rowDescription:
            columns = readUInt16(bytes, at: body.lowerBound).map(Int.init)
            if columns != 2 { fail("the query returns \(columns ?? 0) columns instead of 2") }
        case Backend.dataRow:
            row(bytes, body)
        case Backend.noData, Backend.emptyQueryResponse:
            fail("the query returns no rows at all")
        case Backend.copyInResponse, Backend.copyOutResponse, Backend.copyBothResponse, Backend.functionCallResponse:
            fail("the query is no SELECT")
            isBroken = true
            return .failed(failure ?? "")
        case Backend.errorResponse:
            let fields = ErrorFields.read(bytes, body: body)
            fail("\(fields?.severity ?? "ERROR"): \(fields?.message ?? "unknown error")")
        case Backend.readyForQuery:
            isBroken = ReadyForQueryMessage.read(bytes, body: body) != .idle
            return failure.map { .failed($0) } ?? result
        default:
            break
        }
        return nil
    }

    /// The server can't be used again.
    public private(set) var isBroken = false

    private mutating func fail(_ text: String) {
        if failure == nil { failure = text }
    }

    private mutating func row(_ bytes: Span<UInt8>, _ body: Range<Int>) {
        guard failure == nil else { return }
        guard readUInt16(bytes, at: body.lowerBound) == 2 else {
            fail("a row has the wrong number of columns")
            return
        }
        var at = body.lowerBound + 2
        guard let name = value(bytes, &at, end: body.upperBound), let secret = value(bytes, &at, end: body.upperBound) else {
            fail("a row is malformed")
            return
        }
        // A NULL name counts as no row.
        guard case .some(let found) = name else { return }
        guard !found.isEmpty, found.utf8.count <= Self.longestName, !found.utf8.contains(0) else {
            fail("the row is about nobody: expected a name of 1 to \(Self.longestName) bytes")
            return
        }
        if let text = secret, text.utf8.count > Self.longestSecret {
            fail("the secret is longer than \(Self.longestSecret) bytes")
            return
        }
        // PostgreSQL has no such texts. What followed the NUL would be lost on the way to a server, and a part would be the whole.
        if secret?.utf8.contains(0) == true {
            fail("the secret has a NUL in it")
            return
        }
        // Views that join, and UNIONs, return the same row more than once.
        if case .found(let before, let secretBefore) = result {
            guard before.hasSameBytes(as: found), Self.areSame(secretBefore, secret) else {
                fail("the query returns several rows that differ")
                return
            }
        }
        result = .found(user: found, secret: secret)
    }

    private static func areSame(_ one: String?, _ other: String?) -> Bool {
        guard let one, let other else { return one == nil && other == nil }
        return one.hasSameBytes(as: other)
    }

    /// The next value of a row: `.some(nil)` for NULL, nil when the row is malformed.
    private func value(_ bytes: Span<UInt8>, _ at: inout Int, end: Int) -> String?? {
        guard at + 4 <= end, let word = readUInt32(bytes, at: at) else { return nil }
        at += 4
        let length = Int(Int32(bitPattern: word))
        if length == -1 { return .some(nil) }
        guard length >= 0, length <= end - at, let text = try? UTF8Span(validating: bytes.extracting(at..<at + length)) else { return nil }
        at += length
        return .some(String(copying: text))
    }
}
