/// What follows a client from server to server.
public struct ClientSession: Sendable {
    public var statements = ClientStatements()
    /// What the client wants its server to be set to; nil until the pool's first server has told its values.
    public var parameters: ParameterSet?

    /// DEALLOCATE of one of the client's names is under way in the extended protocol: the server drops its statement, and when it says
    /// so the name goes too.
    var deallocating: (name: [UInt8], statement: Statement)?

    public init() {}
}
