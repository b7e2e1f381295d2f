/// What follows a client from server to server.
public struct ClientSession: Sendable {
    public var statements = ClientStatements()
    /// What the client wants its server to be set to; nil until the pool's first server has told its values.
    public var parameters: ParameterSet?

    public init() {}
}
