extension ReplyLedger {
    /// Answers are due, up to a ReadyForQuery, for which the server needs nothing more from the client.
    public var willBecomeReady: Bool {
        if isUncertain, !isSkipping, !isUnsynced { return true }
        var isEnded = !isCopyingIn
        for entry in owed where entry.disposition != .invented {
            switch entry.request {
            case .copyEnd:
                // A COPY in a simple query is answered with it; one in a batch needs the Sync behind its end.
                isEnded = true
                if owed.first?.request == .query { return true }
            case .query, .functionCall, .sync:
                if isEnded { return true }
            default: break
            }
        }
        return false
    }

    /// The end of the COPY at the head has been sent.
    var isCopyEnded: Bool { owed.contains { $0.request == .copyEnd } }

    /// How many of the messages that make a server do something are not answered.
    var commandsOutstanding: Int {
        owed.count { $0.disposition != .invented && ($0.request == .query || $0.request == .execute || $0.request == .functionCall) }
    }
}
