import Bytes
import Configuration
import EventLoop
import PoolCore
import Statistics

/// What SHOW topics are made of: a picture of the whole process, taken worker by worker.
public struct ConsoleFacts: Sendable {
    /// The monotonic clock and the time of day when the picture was taken, in microseconds.
    public var now: Int64
    public var wallNow: Int64
    /// Name and version of the PgBouncer that this is one of, as `--version` begins.
    public var version: String
    /// The configuration in force.
    public var configuration: Configuration
    /// Counters and gauges of all workers, the console's own among them.
    public var statistics: ProcessStatistics
    /// Connections, where a topic asked for them.
    public var connections: [ConnectionFacts] = []
    /// How many connections each database and each user has, over all pools.
    public var counts = ConnectionCounts()
    /// Who asks: what is secret is shown to admins alone.
    public var rights = Rights.stats
    /// What operators hold back.
    public var adminState = AdminState()
    /// Databases that clients made from `*`.
    public var autoDatabases: [Database] = []
    /// Looked-up host names.
    public var hosts: [HostFacts] = []
    /// Objects that all workers share, by kind.
    public var objects: [String: ObjectUse] = [:]

    /// An empty picture.
    public init(now: Int64, wallNow: Int64, version: String, configuration: Configuration, statistics: ProcessStatistics) {
        self.now = now
        self.wallNow = wallNow
        self.version = version
        self.configuration = configuration
        self.statistics = statistics
    }
}

/// What operators hold back: PAUSE, DISABLE and KILL.
public struct AdminState: Sendable, Equatable {
    /// PAUSE without a database.
    public var isPaused = false
    /// PAUSE or KILL of databases.
    public var pausedDatabases: NameSet = []
    /// DISABLE.
    public var disabledDatabases: NameSet = []

    /// Nothing is held back.
    public init() {}

    /// Whether clients of a database have to wait.
    public func pauses(_ database: String) -> Bool { isPaused || pausedDatabases.contains(database) }
}

/// How many connections there are.
public struct ConnectionCounts: Sendable {
    /// Servers of each database.
    public var serversOfDatabase: NameTable<Int> = [:]
    /// Servers of each user.
    public var serversOfUser: NameTable<Int> = [:]
    /// Logged-in clients of each database.
    public var clientsOfDatabase: NameTable<Int> = [:]
    /// Logged-in clients of each login user.
    public var clientsOfUser: NameTable<Int> = [:]

    /// No connections.
    public init() {}
}

/// One client or server, as it was when somebody asked.
public struct ConnectionFacts: Sendable {
    /// In which column of SHOW a connection appears, and how.
    public enum State: String, Sendable {
        case active, idle, waiting, used, tested, new, login
        case activeCancel = "active_cancel"
        case beingCanceled = "being_canceled"
        case activeCancelRequest = "active_cancel_req"
        case waitingCancelRequest = "waiting_cancel_req"
    }

    public var isServer: Bool
    public var id: UInt64
    public var user: String?
    public var database: String?
    public var replication = "none"
    public var state: State
    public var peer: SocketAddress?
    public var local: SocketAddress?
    /// Moments of the monotonic clock, in microseconds.
    public var connectTime: Int64
    public var requestTime: Int64
    /// Since when its query waits or runs; 0 when there is none.
    public var queryStart: Int64 = 0
    public var closeNeeded = false
    /// The other end: a client's server, a server's client.
    public var link: UInt64?
    public var remotePID: Int = 0
    public var tls = ""
    public var applicationName: String?
    public var preparedStatements = 0
    /// Bytes of a message that are still to come, that are held back, and that wait to be sent.
    public var remaining = 0
    public var held = 0
    public var unsent = 0
    /// A cancel request, on either of the connections that carry it; the other one has the same.
    public var request: CancelRequest?

    /// Names a cancel request by the client socket that brought it.
    public struct CancelRequest: Sendable, Hashable {
        public var worker: Int
        public var slot: UInt32

        /// Names a request.
        public init(worker: Int, slot: UInt32) {
            self.worker = worker
            self.slot = slot
        }
    }

    /// A connection of which the rest is filled in later.
    public init(isServer: Bool, id: UInt64, state: State, connectTime: Int64, requestTime: Int64) {
        self.isServer = isServer
        self.id = id
        self.state = state
        self.connectTime = connectTime
        self.requestTime = requestTime
    }
}

/// A host name that was looked up.
public struct HostFacts: Sendable, Equatable {
    public var name: String
    /// Seconds until it is looked up again.
    public var timeToLive: Int
    public var addresses: [String]

    /// A name and what it stands for.
    public init(name: String, timeToLive: Int, addresses: [String]) {
        self.name = name
        self.timeToLive = timeToLive
        self.addresses = addresses
    }
}
