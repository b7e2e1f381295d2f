import PostgresWire

/// What the console answers when a command can't be carried out. The connection stays.
public struct ConsoleError: Error, Sendable, Equatable {
    /// The SQLSTATE; PgBouncer's own for nearly everything, which tools match on.
    public var code = SQLState.protocolViolation
    /// The text, in PgBouncer's words where it has some.
    public var message: String
    /// More about this very case.
    public var detail: String?
    /// What would work.
    public var hint: String?

    /// An error in PgBouncer's class.
    public init(_ message: String, code: String = SQLState.protocolViolation, detail: String? = nil, hint: String? = nil) {
        self.message = message
        self.code = code
        self.detail = detail
        self.hint = hint
    }

    /// As it is sent.
    public var fields: ErrorFields {
        ErrorFields(severity: "ERROR", code: code, message: message, detail: detail, hint: hint)
    }

    static func invalidCommand(_ text: String, detail: String? = nil, hint: String? = nil) -> ConsoleError {
        let shown = text.utf8.count <= 100 ? text : String(text.prefix(97)) + "..."
        return ConsoleError("invalid command '\(shown)', use SHOW HELP;", detail: detail, hint: hint)
    }

    static let accessNeeded = ConsoleError("admin access needed")
}
