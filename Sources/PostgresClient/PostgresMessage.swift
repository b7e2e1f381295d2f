import CLibpq

/// An ErrorResponse or a NoticeResponse.
public struct PostgresMessage: Sendable, Equatable {
    /// `ERROR`, `FATAL`, `NOTICE`, ... in the server's language.
    public let severity: String
    /// SQLSTATE; empty when the message is libpq's own.
    public let code: String
    /// The one-line text.
    public let message: String
    /// More about the problem; may have several lines.
    public let detail: String?
    /// What to do about it.
    public let hint: String?

    init(_ result: OpaquePointer) {
        func field(_ letter: Character) -> String? {
            PQresultErrorField(result, Int32(letter.asciiValue!)).map { String(cString: $0) }
        }
        severity = field("S") ?? ""
        code = field("C") ?? ""
        let whole = PQresultErrorMessage(result).map { String(cString: $0) } ?? ""
        message = field("M") ?? whole.split(separator: "\n").joined(separator: "; ")
        detail = field("D")
        hint = field("H")
    }
}

/// Why an answer did not come.
public enum PostgresError: Error, Sendable, Equatable, CustomStringConvertible {
    /// There is no connection, in libpq's words.
    case connection(String)
    /// The server wants a password and none was given.
    case passwordNeeded(String)
    /// The server refused the statement.
    case server(PostgresMessage)
    /// The connection ended in the middle.
    case lost(String)
    /// The caller's descriptor became readable first.
    case interrupted
    /// The time was up first.
    case timeout

    /// One line for a person.
    public var description: String {
        switch self {
        case .connection(let text), .passwordNeeded(let text), .lost(let text): text
        case .server(let message): "\(message.severity): \(message.message)"
        case .interrupted: "interrupted"
        case .timeout: "no answer in time"
        }
    }
}
