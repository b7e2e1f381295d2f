import Bytes
import Statistics

/// All that metrics and the page are made of, at one moment.
public struct MonitoringSnapshot: Sendable {
    /// What becomes of servers of a pool.
    public struct Reach: Sendable, Equatable {
        /// Servers that are logged in.
        public var connected: Int
        /// Why the last connect or login failed, unless one has succeeded since.
        public var failure: String?

        /// Puts the parts together.
        public init(connected: Int, failure: String?) {
            self.connected = connected
            self.failure = failure
        }
    }

    /// Name of a pool.
    public struct PoolName: Sendable, Hashable {
        /// The database as clients know it.
        public let database: String
        /// The user that servers are logged in as.
        public let user: String

        /// Names a pool.
        public init(database: String, user: String) {
            self.database = database
            self.user = user
        }

        public static func == (left: PoolName, right: PoolName) -> Bool {
            left.user.hasSameBytes(as: right.user) && left.database.hasSameBytes(as: right.database)
        }
    }

    /// All workers together.
    public var statistics: ProcessStatistics
    /// The console's own pool, which is not among the others.
    public var console: PoolStatistics?
    /// Databases with their limits, the console among them.
    public var databases: [DatabaseStatistics] = []
    /// Users with their limits.
    public var users: [UserStatistics] = []
    /// What SHOW LISTS counts.
    public var lists: [(name: String, count: Int)] = []
    /// How pools stand with their servers.
    public var reach: [PoolName: Reach] = [:]
    /// The version of the program.
    public var version = ""
    /// Name and version of the PgBouncer that this is one of.
    public var compatibleVersion = ""
    /// Whether the names of pgbouncer_exporter are served, too (`metrics_names`).
    public var servesExporterNames = false
    /// Seconds since 1970 at the start of the process, and now.
    public var startTime = 0.0
    public var time = 0.0
    /// Threads that carry connections.
    public var workers = 1
    /// `max_client_conn`.
    public var maximumClients = 0
    /// `max_user_connections`.
    public var maximumUserServers = 0
    /// A shutdown has begun.
    public var isDraining = false
    /// What the system says of the process.
    public var process = ProcessUsage()

    /// Puts the workers' figures in; the rest is to be filled in.
    public init(statistics: ProcessStatistics) { self.statistics = statistics }
}

/// What the process uses.
public struct ProcessUsage: Sendable, Equatable {
    /// Seconds of processor time, of all threads.
    public var processorSeconds = 0.0
    /// Bytes of memory in use.
    public var residentBytes: Int64 = 0
    /// File descriptors in use, and how many may be.
    public var openDescriptors = 0
    public var maximumDescriptors = 0

    /// Nothing.
    public init() {}
}

/// What the pooler shows of itself.
public protocol MonitoringSource: Sendable {
    /// Asks all workers.
    func snapshot() async -> MonitoringSnapshot
    /// The hosts of the configuration that take a connection, and those that do not. Asked only while no server is connected.
    func probe() async -> (reachable: [String], unreachable: [String])
}
