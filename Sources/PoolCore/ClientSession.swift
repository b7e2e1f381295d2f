import PostgresWire

/// What follows a client from server to server.
public struct ClientSession: Sendable {
    /// A portal that is a DEALLOCATE or DISCARD ALL.
    struct Deallocation: Sendable {
        let statement: DeallocateStatement
        /// That of its Bind, as long as it is not answered.
        let note: UInt64
    }

    public var statements = ClientStatements()
    /// What the client wants its server to be set to; nil until the pool's first server has told its values.
    public var parameters: ParameterSet?

    /// What the startup packet asked for: RESET and DISCARD ALL go back to it.
    public var startup: ParameterSet?
    /// RESET or DISCARD ALL ran: what the server reports now is its default, not the client's.
    public var isResetting = false
    /// Portals that are a DEALLOCATE or DISCARD ALL, by name. Nobody has more than one; of more than a few only the server knows what they are.
    var deallocations: [[UInt8]: Deallocation] = [:]
    private static let mostDeallocations = 16

    /// Nothing that happens on the server has to be taken note of for this client.
    public var isOrdinary: Bool { !isResetting && deallocations.isEmpty }

    /// A portal gets another meaning. Nil: it is neither DEALLOCATE nor DISCARD ALL.
    mutating func setPortal(_ portal: [UInt8], to meaning: Deallocation?) {
        if meaning != nil, deallocations.count >= Self.mostDeallocations { return }
        deallocations[portal] = meaning
    }

    public init() {}
}
