/// Where a server connection stands, from the connect to the end, and which stage may follow which.
public enum ServerStage: UInt8, Stage {
    /// The socket is being connected.
    case connecting
    /// TLS is asked for, or its handshake goes on.
    case encrypting
    case authenticating
    /// `connect_query` runs.
    case settingUp
    /// Nobody's, and about to be placed: with the next client, another worker, or on the idle list.
    case freed
    /// On the idle list.
    case idle
    /// A client has it.
    case linked
    /// A client has it; that client's messages wait until its parameters have been accepted.
    case trying
    /// It answers a question of `auth_query`.
    case lookingUp
    /// `server_check_query` runs, because a client waits and this server has rested long.
    case testing
    /// `server_reset_query` runs.
    case resetting
    /// The client has left in the middle: what it began is being ended.
    case abandoned
    /// A cancel request for it is under way: nobody gets it before that is over.
    case beingCanceled
    case closed

    /// Each may end with the connection, and then there is nothing more.
    @inlinable
    public var followers: UInt16 {
        switch self {
        case .connecting: Self.encrypting.bit | Self.authenticating.bit | Self.closed.bit
        case .encrypting: Self.authenticating.bit | Self.closed.bit
        case .authenticating: Self.settingUp.bit | Self.freed.bit | Self.closed.bit
        case .settingUp: Self.freed.bit | Self.closed.bit
        // A server of a replication client is that client's from its login on, and is never idle.
        case .freed: Self.idle.bit | Self.linked.bit | Self.beingCanceled.bit | Self.closed.bit
        case .idle: Self.freed.bit | Self.linked.bit | Self.lookingUp.bit | Self.testing.bit | Self.closed.bit
        case .linked: Self.trying.bit | Self.freed.bit | Self.resetting.bit | Self.beingCanceled.bit | Self.abandoned.bit | Self.closed.bit
        case .trying: Self.trying.bit | Self.linked.bit | Self.freed.bit | Self.abandoned.bit | Self.closed.bit
        case .lookingUp: Self.freed.bit | Self.closed.bit
        case .testing: Self.freed.bit | Self.closed.bit
        case .resetting: Self.freed.bit | Self.closed.bit
        case .abandoned: Self.resetting.bit | Self.freed.bit | Self.beingCanceled.bit | Self.closed.bit
        case .beingCanceled: Self.freed.bit | Self.resetting.bit | Self.closed.bit
        case .closed: 0
        }
    }
}
