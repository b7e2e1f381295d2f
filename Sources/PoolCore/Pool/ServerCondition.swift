/// What decides whether a server that nobody has may be used again.
public struct ServerCondition: Sendable {
    /// What stands against it.
    public struct Doubts: OptionSet, Sendable {
        public let rawValue: UInt8
        /// A set of doubts.
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// A cancel request for it was given up, and may hit it late.
        public static let strayCancel = Doubts(rawValue: 1)
        /// It has reported more than is kept: what its settings are is not known.
        public static let reportsTooMuch = Doubts(rawValue: 2)
        /// Which statements it holds is not known.
        public static let statements = Doubts(rawValue: 4)
    }

    public let generation: UInt32
    /// Since when it has been connected to.
    public let connectTime: Int64
    /// Since when nothing has come from it.
    public let lastActivity: Int64
    /// It has had a client.
    public let wasUsed: Bool
    public let doubts: Doubts

    /// The condition of a server.
    @inline(__always)
    public init(generation: UInt32, connectTime: Int64, lastActivity: Int64, wasUsed: Bool, doubts: Doubts = []) {
        self.generation = generation
        self.connectTime = connectTime
        self.lastActivity = lastActivity
        self.wasUsed = wasUsed
        self.doubts = doubts
    }
}

/// Why a server that nobody has is not used again.
public enum ServerUnfitness: UInt8, Sendable, CaseIterable {
    case strayCancel, paused, configurationChanged, obsolete, tooManyParameters, statementsInDoubt, lifetimeOver, idleTimeout,
        tooManyServers,
        shuttingDown

    /// As the reason for closing it.
    public var closeReason: ServerCloseReason {
        switch self {
        case .strayCancel: .strayCancel
        case .paused: .paused
        case .configurationChanged: .configurationChanged
        case .obsolete: .obsolete
        case .tooManyParameters: .tooManyParameters
        case .statementsInDoubt: .statementsInDoubt
        case .lifetimeOver: .lifetimeOver
        case .idleTimeout: .idleTimeout
        case .tooManyServers: .tooManyServers
        case .shuttingDown: .shuttingDown
        }
    }
}
