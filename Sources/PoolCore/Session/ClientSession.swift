import PostgresWire

/// What follows a client from server to server.
public struct ClientSession: Sendable {
    /// A portal whose Execute is to be watched.
    struct Portal: Sendable {
        enum Meaning: Sendable {
            /// A DEALLOCATE or DISCARD ALL.
            case deallocation(DeallocateStatement)
            /// It changes what a later Parse may mean.
            case effects([StatementEffect])
        }

        let meaning: Meaning
        /// That of its Bind, as long as it is not answered.
        let note: UInt64
    }

    public var statements = ClientStatements()
    /// What the client brought, or has set since: its server is set to it. Nil until its login is done.
    public var parameters: ParameterSet?

    /// What the startup packet asked for: RESET and DISCARD ALL go back to it.
    public var startup: ParameterSet?
    /// What the client was told of the server's own values.
    public var told: ParameterSet?
    /// RESET or DISCARD ALL ran: what the server reports now is its default, not the client's.
    public var isResetting = false
    /// What the query under way resets, as its text says.
    var reset: ResetStatement?
    /// What has been reset, to be taken note of when the query is answered.
    private var resetDone: ResetStatement?

    /// A SET has run, whose text is not known: it may be one to DEFAULT.
    public private(set) var hasSet = false
    /// What the client's values were before a reset or SET that is being looked at.
    private var before: ParameterSet?

    /// It brought something that RESET goes back to.
    var mayReset: Bool { startup?.isEmpty == false }

    mutating func noteSet(_ owed: ReplyLedger.Owed) {
        guard owed.disposition == .forward, mayReset else { return }
        hasSet = true
        if before == nil { before = parameters }
    }

    /// Whether a SET has run since this was asked last, of which only its text tells whether it was one to DEFAULT.
    public mutating func takeSet() -> Bool {
        defer { hasSet = false }
        return hasSet
    }

    mutating func noteReset(_ reset: ResetStatement, _ owed: ReplyLedger.Owed) {
        guard owed.disposition == .forward else { return }
        hasReset(reset)
    }

    /// A reset has run, or a SET that turns out to have been one.
    public mutating func hasReset(_ reset: ResetStatement) {
        hasSet = false
        isResetting = true
        resetDone = resetDone == nil || resetDone == reset ? reset : .all
        if before == nil { before = parameters }
    }

    /// What was its own before, for which it may have to be told that this has changed.
    public mutating func takeBefore() -> ParameterSet? { before.take() }

    /// What has been reset since this was asked last.
    public mutating func takeReset() -> ResetStatement? {
        isResetting = false
        return resetDone.take()
    }

    /// Portals to be watched, by name. Nobody has more than one; of more than a few only the server knows what they are.
    var portals: [[UInt8]: Portal] = [:]
    private static let mostPortals = 16
    /// One more could not be watched.
    var isBlind: Bool { portals.count >= Self.mostPortals }

    /// Nothing that happens on the server has to be taken note of for this client.
    public var isOrdinary: Bool { !isResetting && !hasSet && portals.isEmpty }

    /// A portal gets another meaning. Nil: it is not to be watched.
    mutating func setPortal(_ portal: [UInt8], to meaning: Portal?) {
        if meaning != nil, isBlind { return }
        portals[portal] = meaning
    }

    public init() {}
}
