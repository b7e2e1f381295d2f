/// Where a client's connection stands, from the first byte to the end, and which stage may follow which.
public enum ClientStage: UInt8, Stage {
    /// Nothing but a startup packet is expected.
    case startup
    case authenticating
    /// It has logged in; the pool's first server has not told its values yet, or a server of its own is being opened.
    case awaitingGreeting
    /// No server, nothing asked.
    case idle
    /// A whole message is here, and no server yet.
    case waiting
    /// No server: a batch was cancelled while it waited for one, and is thrown away up to its Sync.
    case skipping
    /// It has asked for a cancel, which is on its way.
    case canceling
    /// It has a server.
    case linked
    /// It talks to the console.
    case console
    case closed

    /// Each may end with the connection, and then there is nothing more.
    @inlinable
    public var followers: UInt16 {
        switch self {
        // A startup packet that no further question follows ends the login at once.
        case .startup:
            Self.authenticating.bit | Self.awaitingGreeting.bit | Self.idle.bit | Self.waiting.bit | Self.linked.bit | Self.console.bit
                | Self.canceling.bit | Self.closed.bit
        case .authenticating:
            Self.awaitingGreeting.bit | Self.idle.bit | Self.waiting.bit | Self.linked.bit | Self.console.bit | Self.closed.bit
        // What is known of its startup packet may lead it to another pool, where it waits anew. To try the values of its startup packet it has
        // a server before its login ends.
        case .awaitingGreeting: Self.awaitingGreeting.bit | Self.idle.bit | Self.waiting.bit | Self.linked.bit | Self.closed.bit
        case .idle: Self.waiting.bit | Self.linked.bit | Self.awaitingGreeting.bit | Self.closed.bit
        case .waiting: Self.idle.bit | Self.linked.bit | Self.skipping.bit | Self.awaitingGreeting.bit | Self.closed.bit
        case .skipping: Self.idle.bit | Self.closed.bit
        case .canceling: Self.closed.bit
        case .linked: Self.idle.bit | Self.skipping.bit | Self.awaitingGreeting.bit | Self.closed.bit
        case .console: Self.closed.bit
        case .closed: 0
        }
    }
}
