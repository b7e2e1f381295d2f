/// Where a server connection stands, from the connect to the end, and which stage may follow which.
public enum ServerStage: UInt8, CaseIterable, Sendable {
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

    /// The stages that may follow this one. Each may end with the connection, and then there is nothing more.
    public var next: Set<ServerStage> {
        switch self {
        case .connecting: [.encrypting, .authenticating, .closed]
        case .encrypting: [.authenticating, .closed]
        case .authenticating: [.settingUp, .freed, .closed]
        case .settingUp: [.freed, .closed]
        // A server of a replication client is that client's from its login on, and is never idle.
        case .freed: [.idle, .linked, .beingCanceled, .closed]
        case .idle: [.freed, .linked, .lookingUp, .testing, .closed]
        case .linked: [.trying, .freed, .resetting, .beingCanceled, .abandoned, .closed]
        case .trying: [.trying, .linked, .freed, .abandoned, .closed]
        case .lookingUp: [.freed, .closed]
        case .testing: [.freed, .closed]
        case .resetting: [.freed, .closed]
        case .abandoned: [.resetting, .freed, .beingCanceled, .closed]
        case .beingCanceled: [.freed, .resetting, .closed]
        case .closed: []
        }
    }

    /// `next` of each stage as bits, for the query path.
    private static let masks: [UInt16] = allCases.map { $0.next.reduce(0) { $0 | 1 << UInt16($1.rawValue) } }

    /// Whether this stage may be followed by another one.
    public func mayBecome(_ other: ServerStage) -> Bool { Self.masks[Int(rawValue)] & 1 << UInt16(other.rawValue) != 0 }
}
