/// All that one worker decides about one pool: who gets which server, who waits, when a server is opened, tested, given to another worker or
/// closed.
///
/// It has no socket, no clock and no lock. Whoever owns it tells it what has happened and gets told what to do next, one action at a time:
/// between two actions anything may happen, so each answer holds at the moment of the question only. Clients and servers are named by their
/// slots in the worker; moments are those of the monotonic clock, in microseconds. What depends on other workers is read through `WholePool`,
/// and what counts against limits of the whole process is granted by `CapacityLedger`. There is one of it for each pool and worker, so it can't
/// be copied.
///
/// The files go along what is decided: this one holds the state; +Servers says what becomes of a server, +Waiters what those who wait may
/// expect, +Opening when there is to be another server, +Migration what moves between workers, +Timeouts what ends because time passes.
public struct PoolStateMachine: ~Copyable, Sendable {
    /// A slot in the worker's table of clients, or of servers.
    public typealias Slot = PoolQueue.Slot

    /// A client in the middle of its login that waits.
    public struct LoginWaiter: Sendable, Equatable {
        public let client: Slot
        /// Since when.
        public let since: Int64
    }

    /// The settings of the pool.
    public var settings: PoolSettings { didSet { queue.isRoundRobin = settings.isRoundRobin } }
    /// Which of the pool's workers this is.
    public let worker: Int
    /// PAUSE or KILL: no client gets a server.
    public internal(set) var isPaused = false

    /// Clients that wait for a server, and idle servers.
    public internal(set) var queue = PoolQueue()
    /// Clients that have shown who they are and wait for the pool's first server, which tells them what it is.
    public internal(set) var awaitingGreeting: [LoginWaiter] = []
    /// Replication clients that have shown who they are and wait for room for a server of their own.
    public internal(set) var awaitingDedicated: [LoginWaiter] = []
    /// Questions of `auth_query` that wait for a server; only pools for lookups have any.
    public internal(set) var lookups = LookupQueue()

    /// All servers of this worker, those that are being opened included.
    public internal(set) var servers = 0
    /// Servers of this worker that are not ready for use yet.
    public internal(set) var opening = 0
    /// Idle servers that are being tested; they come back by themselves.
    public internal(set) var testing = 0
    /// Idle servers that other workers have been asked for.
    public internal(set) var borrowing = 0
    /// Servers that went from here to other workers, less those that came.
    public internal(set) var serversLent = 0
    /// The pool had no room for another server; void as soon as one is closed.
    var isFull = false

    /// When a server left for another worker although clients waited here.
    var lastMigration: Int64 = 0
    /// The last server that went to each other worker unasked: since when the client waits for whom it is, and when it left.
    var migrations: [Int: (since: Int64, time: Int64)] = [:]

    /// Since when neither client nor server has been here.
    var unusedSince: Int64?
    /// Since when no worker has had a client of this pool.
    var desertedSince: Int64?

    /// The part of a pool that a worker has. `serversLent`: what it has lent when it had one before.
    public init(worker: Int, settings: PoolSettings, isPaused: Bool = false, serversLent: Int = 0) {
        self.worker = worker
        self.settings = settings
        self.isPaused = isPaused
        self.serversLent = serversLent
        queue.isRoundRobin = settings.isRoundRobin
    }

    /// Somebody waits for a server, for whatever.
    public var hasDemand: Bool { queue.waiting > 0 || !awaitingGreeting.isEmpty || !awaitingDedicated.isEmpty || !lookups.isEmpty }

    /// Clients that wait, those in the middle of their login included.
    public var clientsWaiting: Int { queue.waiting + awaitingGreeting.count + awaitingDedicated.count }

    /// Since when each of them waits, longest first.
    public var waitingSince: [Int64] {
        (queue.allWaiting.map(\.since) + awaitingGreeting.map(\.since) + awaitingDedicated.map(\.since)).sorted()
    }

    /// An operator holds the pool back, or lets it go on. True: that is news.
    public mutating func adminChanged(isPaused: Bool) -> Bool {
        guard isPaused != self.isPaused else { return false }
        self.isPaused = isPaused
        return true
    }

    /// Whether a server at this stage goes at once when the pool is paused; the others follow when they are free. `isDedicated`: a client
    /// stands behind it.
    public static func isClosedByPause(_ stage: ServerStage, isDedicated: Bool) -> Bool {
        switch stage {
        case .idle, .connecting, .encrypting, .authenticating, .settingUp: !isDedicated
        case .freed, .linked, .trying, .lookingUp, .testing, .resetting, .abandoned, .beingCanceled, .closed: false
        }
    }
}
