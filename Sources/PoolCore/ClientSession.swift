/// What follows a client from server to server.
public struct ClientSession: Sendable {
    public var statements = ClientStatements()
    /// What the client wants its server to be set to; nil until the pool's first server has told its values.
    public var parameters: ParameterSet?

    /// What the startup packet asked for: RESET and DISCARD ALL go back to it.
    public var startup: ParameterSet?
    /// RESET or DISCARD ALL ran: what the server reports now is its default, not the client's.
    public var isResetting = false
    /// The unnamed statement is a DEALLOCATE of one of the client's names: when it has run, the name goes too.
    var deallocating: (name: [UInt8], statement: Statement)?

    public init() {}
}
