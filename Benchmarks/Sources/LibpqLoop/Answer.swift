import CLibpq
import Glibc

/// One result of a statement. Values are read in place.
public final class Answer {
    public enum Kind: Equatable {
        case rows
        case command
        case copyIn
        case copyOut
        case synced
        case skipped
        case failed
    }

    let result: OpaquePointer
    public let kind: Kind

    init(_ result: OpaquePointer) {
        self.result = result
        kind =
            switch PQresultStatus(result) {
            case PGRES_TUPLES_OK, PGRES_SINGLE_TUPLE: .rows
            case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: .command
            case PGRES_COPY_IN: .copyIn
            case PGRES_COPY_OUT: .copyOut
            case PGRES_PIPELINE_SYNC: .synced
            case PGRES_PIPELINE_ABORTED: .skipped
            default: .failed
            }
    }

    deinit { PQclear(result) }

    public var rowCount: Int { Int(PQntuples(result)) }
    public var columnCount: Int { Int(PQnfields(result)) }

    /// Whether a value is exactly these bytes.
    public func holds(_ expected: [UInt8], row: Int, column: Int) -> Bool {
        guard row < rowCount, column < columnCount else { return false }
        let length = Int(PQgetlength(result, Int32(row), Int32(column)))
        guard length == expected.count, let value = PQgetvalue(result, Int32(row), Int32(column)) else { return false }
        return memcmp(value, expected, length) == 0
    }

    /// A value as a number; nil where there is none.
    public func number(row: Int, column: Int) -> Double? {
        guard row < rowCount, column < columnCount, PQgetisnull(result, Int32(row), Int32(column)) == 0 else { return nil }
        return strtod(PQgetvalue(result, Int32(row), Int32(column)), nil)
    }

    /// A value as text; nil for NULL.
    public func text(row: Int, column: Int) -> String? {
        guard row < rowCount, column < columnCount, PQgetisnull(result, Int32(row), Int32(column)) == 0 else { return nil }
        return String(cString: PQgetvalue(result, Int32(row), Int32(column)))
    }

    /// A value that is a whole number from 0 up, read byte by byte; nil for anything else.
    public func digits(row: Int, column: Int) -> Int? {
        guard row < rowCount, column < columnCount, let value = PQgetvalue(result, Int32(row), Int32(column)) else { return nil }
        return Self.digits(UnsafeRawBufferPointer(start: value, count: Int(PQgetlength(result, Int32(row), Int32(column)))))
    }

    /// The number that bytes spell; nil where they spell none, or one of more than 18 digits.
    public static func digits(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard (1...18).contains(bytes.count) else { return nil }
        var number = 0
        for byte in bytes {
            guard byte >= 48, byte <= 57 else { return nil }
            number = number * 10 + Int(byte - 48)
        }
        return number
    }

    /// What the command did, in the server's words: `COMMIT`, `INSERT 0 1`.
    public var commandTag: String { String(cString: PQcmdStatus(result)) }

    var failure: Failure {
        Failure(
            sqlState: field(sqlStateField) ?? Failure.connectionLost,
            message: field(messageField) ?? String(cString: PQresultErrorMessage(result)))
    }

    /// The server closes the connection after this one.
    var isFatal: Bool {
        let severity = field(unlocalizedSeverityField) ?? field(severityField)
        return severity == "FATAL" || severity == "PANIC"
    }

    private func field(_ code: Character) -> String? {
        PQresultErrorField(result, Int32(code.asciiValue!)).map { String(cString: $0) }
    }
}

// Macros of character constants, which Swift does not import.
private let severityField: Character = "S"
private let unlocalizedSeverityField: Character = "V"
private let sqlStateField: Character = "C"
private let messageField: Character = "M"

/// Why a statement or a connection failed.
public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
    /// From the server; or one of the three below, where the server said nothing.
    public let sqlState: String
    public let message: String

    public init(sqlState: String, message: String) {
        self.sqlState = sqlState
        self.message = message
    }

    public var description: String { "\(message) (\(sqlState))" }

    /// Nobody answered at the address (sqlclient_unable_to_establish_sqlconnection).
    public static let cannotConnect = "08001"
    /// The connection ended without a word (connection_failure).
    public static let connectionLost = "08006"
    /// We gave up waiting. Not a code of PostgreSQL's.
    public static let timedOut = "time-out"
}
