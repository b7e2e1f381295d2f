extension ReplyLedger {
    /// Answers are due, up to a ReadyForQuery, for which the server needs nothing more from the client.
    public var willBecomeReady: Bool {
        if isUncertain { return true }
        // A COPY in a simple query is answered with it; one in a batch needs the Sync behind its end.
        return copy != .receiving && awaitsReady
    }

    /// How many of the messages that make a server do something are not answered.
    var commandsOutstanding: Int {
        owed.count { $0.disposition != .invented && ($0.request == .query || $0.request == .execute || $0.request == .functionCall) }
    }
}
