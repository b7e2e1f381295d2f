import Bytes

/// What follows a client from server to server.
public struct ClientSession: Sendable {
    public var statements = ClientStatements()
    /// What the client wants its server to be set to; nil until the pool's first server has told its values.
    public var parameters: ParameterSet?

    /// What the startup packet asked for: RESET and DISCARD ALL go back to it.
    public var startup: ParameterSet?
    /// RESET or DISCARD ALL ran: what the server reports now is its default, not the client's.
    public var isResetting = false
    /// A DEALLOCATE of one of the client's names in the extended protocol: when it has run, the name goes too.
    struct Deallocation: Sendable {
        let name: [UInt8]
        let statement: Statement
        /// What the server was asked to parse for it.
        let query: Statement
        /// The portal that was last bound to it.
        var portal: [UInt8]?
    }

    /// Those that have not run yet, oldest first. Nobody has more than one; what is beyond a few is forgotten.
    private(set) var deallocations: [Deallocation] = []
    private static let mostDeallocations = 16

    mutating func expect(_ deallocation: Deallocation) {
        if deallocations.count == Self.mostDeallocations { deallocations.removeFirst() }
        deallocations.append(deallocation)
    }

    /// A portal gets another meaning.
    mutating func bind(portal: [UInt8], to query: Statement?) {
        for index in deallocations.indices where deallocations[index].portal == portal { deallocations[index].portal = nil }
        if let query, let index = deallocations.lastIndex(where: { $0.query === query }) { deallocations[index].portal = portal }
    }

    /// A portal is run: the DEALLOCATE that it is, if it is one.
    mutating func takeDeallocation(portal: Span<UInt8>) -> Deallocation? {
        guard let index = deallocations.firstIndex(where: { $0.portal?.hasSameBytes(as: portal) == true }) else { return nil }
        return deallocations.remove(at: index)
    }

    public init() {}
}
