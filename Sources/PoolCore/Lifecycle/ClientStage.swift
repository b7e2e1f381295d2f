/// Where a client's connection stands, from the first byte to the end, and which stage may follow which.
public enum ClientStage: UInt8, CaseIterable, Sendable {
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

    /// The stages that may follow this one. Each may end with the connection, and then there is nothing more.
    public var next: Set<ClientStage> {
        switch self {
        // A startup packet that no further question follows ends the login at once.
        case .startup: [.authenticating, .awaitingGreeting, .idle, .waiting, .linked, .console, .canceling, .closed]
        case .authenticating: [.awaitingGreeting, .idle, .waiting, .linked, .console, .closed]
        // What is known of its startup packet may lead it to another pool. To try the values of its startup packet a client has a server before its login ends.
        case .awaitingGreeting: [.awaitingGreeting, .idle, .waiting, .linked, .closed]
        case .idle: [.waiting, .skipping, .linked, .awaitingGreeting, .closed]
        case .waiting: [.idle, .linked, .skipping, .awaitingGreeting, .closed]
        case .skipping: [.idle, .closed]
        case .canceling: [.closed]
        case .linked: [.idle, .skipping, .awaitingGreeting, .closed]
        case .console: [.closed]
        case .closed: []
        }
    }

    private static let masks: [UInt16] = allCases.map { $0.next.reduce(0) { $0 | 1 << UInt16($1.rawValue) } }

    /// Whether this stage may be followed by another one.
    public func mayBecome(_ other: ClientStage) -> Bool { Self.masks[Int(rawValue)] & 1 << UInt16(other.rawValue) != 0 }
}
