import PostgresWire

extension ServerSession {
    /// What the server answers now is a query of the pooler's own, such as the SET ahead of a client's query: a cancel would hit that.
    public var isOnErrand: Bool {
        guard let head = ledger.head, head.request == .query, head.note >= Self.firstNote else { return false }
        if case .errand = notes[head.note] { return true }
        return false
    }

    /// What a client hears when nothing of what it has sent will ever be read, because it was cancelled before. Nil where more than the
    /// answer would be missing. `isSkipping`: its batch is still open.
    public func cancellation(_ error: ErrorFields) -> (answer: [UInt8], isSkipping: Bool)? {
        var writer = MessageWriter()
        var isSkipping = false
        for entry in ledger.owed where entry.disposition != .swallow {
            // Something was assumed that would have to be taken back.
            guard entry.note < Self.firstNote else { return nil }
            switch entry.request {
            case .probe:
                return nil
            case .sync:
                isSkipping = false
                writer.readyForQuery(.idle)
            case .query, .functionCall:
                if isSkipping { break }
                writer.error(error)
                writer.readyForQuery(.idle)
            case .parse, .bind, .describe, .execute, .close:
                if !isSkipping { writer.error(error) }
                isSkipping = true
            }
        }
        return (writer.bytes, isSkipping)
    }
}
