import Authentication
import Bytes
import Configuration
import EventLoop
import Locking
import PoolCore
import PostgresWire
import Synchronization
import TLS
import Telemetry

/// What all workers share. A query that finds an idle server touches one atomic here (`shutdown`), with several workers also those of
/// its pool; locks are taken when connections open and close, and when there is no idle server.
final class SharedState: Sendable {
    let capacity = Locked(CapacityLedger())
    let cancels = CancelDirectory()
    /// What only the main thread may do.
    let adminRequests = AdminRequestQueue()
    /// For connections that begin now.
    let tls = Locked(TLSContexts.none)
    /// Connections to each peer, of all workers.
    let peerConnections = Locked<[Int: Int]>([:])
    /// Connections of cancel requests to servers, of all workers.
    let cancelsUnderWay = Atomic<Int>(0)
    /// What host names mean; a question is asked by the worker that needs the answer.
    let hosts = Locked(HostCache<SocketAddress>())
    /// What asks workers and waits for their answers. Started before the workers.
    let tasks = TaskThread(name: "tasks")
    let sink: LogSink
    let log: Log
    /// What makes mock SCRAM salts the same for each try of an unknown user. Settled before the first client (`drawProcessKey`).
    let processKey = Locked(SecureRandom.bytes(32))
    let credentials = CredentialStore()
    /// Logins of all pools that are tried after one that was refused. A server that recovers from a crash refuses every pool.
    let loginTries = Locked(RateLimit(perSecond: 100))
    /// Whether the last secret that `auth_query` returned was one for SCRAM: so are, in all likelihood, those of users whom it does not know.
    let lookupsFindSCRAM = Atomic<Bool>(true)
    /// PBKDF2 on few threads: more would take the processors from those who run queries.
    let hashing = ThreadGroup(name: "hashing", threads: max(1, Processors.current.usable / 2), capacity: 1000)
    let externalAuthenticator = ExternalAuthenticator()
    /// Passwords of logins to PostgreSQL that come from files and commands.
    let serverPasswords = ServerPasswords()

    private let pools = Locked<[CapacityLedger.PoolKey: SharedPool]>([:])
    private let families = Locked<[CapacityLedger.PoolKey: PoolFamily]>([:])
    private let statements = Locked<NameTable<StatementTable>>([:])
    let statementMemory = StatementMemory()
    /// The probe at the start is under way: nobody knows yet how it went.
    let isProbing = Atomic<Bool>(false)
    let probeWords = Locked<StartProbe.Words?>(nil)
    private let lastID = Atomic<UInt64>(0)
    let shutdown = Atomic<ShutdownMode>(.none)
    /// No client gets a server any more: a shutdown waits until all are closed.
    var isStopping: Bool { @inline(__always) get { shutdown.load(ordering: .relaxed) == .waitForServers } }
    /// More than one worker.
    let parallel: Bool
    /// Clients of each worker, those on their way to it included.
    let clientsOfWorkers: [Counter]

    init(sink: LogSink, workers: Int) {
        self.sink = sink
        parallel = workers > 1
        clientsOfWorkers = (0..<workers).map { _ in Counter() }
        log = Log(sink)
    }

    /// One counter names clients and servers alike.
    func nextID() -> UInt64 { lastID.add(1, ordering: .relaxed).newValue }

    /// A worker has given up its shard of a pool; with the last one the pool is forgotten, and with the last pool of a database what
    /// clients have brought for it: the name itself, where it came from them, and the texts of statements.
    func forgetShard(of pool: SharedPool) {
        pools.withLock { pools in
            pool.shards.add(-1)
            guard pool.shards.load() == 0, pools[pool.key] === pool else { return }
            pools[pool.key] = nil
            pool.family.countPool(-1)
            let (database, family) = (pool.key.database, pool.key.family)
            if !pools.values.contains(where: { $0.family === pool.family }) { families.withLock { $0[family] = nil } }
            if pools.keys.contains(where: { $0.database.hasSameBytes(as: database) }) { return }
            autoDatabases.withLock { _ = $0.remove(database) }
            statements.withLock { $0[database] = nil }
        }
    }

    /// Every pool there is at the moment.
    var allPools: [SharedPool] { pools.withLock { Array($0.values) } }

    /// The pool of this database and user, made on first use, with one more shard.
    func pool(_ key: CapacityLedger.PoolKey, workers: Int) -> SharedPool {
        pools.withLock { pools in
            if let pool = pools[key] {
                pool.shards.add(1)
                return pool
            }
            let statements = statements.withLock { tables in
                if let table = tables[key.database] { return table }
                let table = StatementTable(memory: statementMemory)
                tables[key.database] = table
                return table
            }
            let family = families.withLock { families in
                let family = families[key.family] ?? PoolFamily()
                families[key.family] = family
                return family
            }
            family.countPool(1)
            let pool = SharedPool(key: key, family: family, workers: workers, statements: statements)
            pool.shards.add(1)
            pools[key] = pool
            return pool
        }
    }

    /// Servers are spoken to in another way from now on: those that are there are replaced as soon as they are free.
    func forgetAllServers() {
        for pool in pools.withLock({ Array($0.values) }) { pool.forgetServers() }
    }

    /// Databases that came into being because somebody asked for them and `*` allows it.
    private let autoDatabases = Locked<NameSet>([])

    func isNewAutoDatabase(_ name: String) -> Bool { autoDatabases.withLock { $0.insert(name) } }
    func isAutoDatabase(_ name: String) -> Bool { autoDatabases.withLock { $0.contains(name) } }
    var autoDatabaseNames: NameSet { autoDatabases.withLock { $0 } }

    /// Tells what must never happen, and has.
    func logFaults() {
        for fault in Faults.take() { log.critical("fault of the pooler: \(fault); please report it") }
    }

    /// The pools of a database, or all of them.
    func pools(of database: String?) -> [SharedPool] {
        pools.withLock { pools in pools.values.filter { database.map($0.key.database.hasSameBytes(as:)) ?? true } }
    }
}

/// How far a shutdown has come.
enum ShutdownMode: UInt8, AtomicRepresentable {
    case none, waitForClients, waitForServers, immediate
}
