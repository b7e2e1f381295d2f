import PostgresWire

extension ServerSession {
    /// What the server answers now is a query of the pooler's own, such as the SET ahead of a client's query: a cancel would hit that.
    public var isOnErrand: Bool {
        guard let head = ledger.head, head.request == .query, head.note >= Self.firstNote else { return false }
        if case .errand = notes[head.note] { return true }
        return false
    }
}
