import PostgresWire

/// In a failed transaction nothing can be parsed but what ends it. What PostgreSQL would say of a statement that the server lacks is said from
/// what is known of the statement.
extension ServerSession {
    /// A Bind of it.
    mutating func bindLacking(_ statement: Statement, as name: String, _ counts: BindCounts?) -> Note {
        guard let counts, let wanted = statement.parameterCount else { return Self.failedTransaction }
        if counts.formats > 1, counts.formats != counts.values {
            return .rename(
                code: SQLState.protocolViolation,
                message: "bind message has \(counts.formats) parameter formats but \(counts.values) parameters")
        }
        guard counts.values == wanted else {
            return .rename(
                code: SQLState.protocolViolation,
                message: "bind message supplies \(counts.values) parameters, but prepared statement \"\(name)\" requires \(wanted)")
        }
        return Self.failedTransaction
    }

    /// A Describe of it, where the answer is known: that of a statement without columns, which PostgreSQL describes.
    static func descriptionOfLacking(_ statement: Statement) -> Note? {
        statement.parametersWithoutColumns.map { .description(parameters: $0) }
    }

    static let failedTransaction = Note.rename(
        code: SQLState.failedTransaction, message: "current transaction is aborted, commands ignored until end of transaction block")
}
