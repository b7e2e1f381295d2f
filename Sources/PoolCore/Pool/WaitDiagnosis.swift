/// Who holds a server that others wait for.
public struct ServerHolder: Sendable, Equatable {
    /// What a server is busy with.
    public enum State: String, Sendable {
        case running
        /// Between two statements of a transaction.
        case idleInTransaction = "idle in transaction"
        /// Session mode: the client has it and asks nothing.
        case idle
        /// The client's parameters are being set, or what it left behind is being cleaned up.
        case preparing
        /// Being connected to or logged in to.
        case opening
        /// Free, but a cancel request may still hit it.
        case beingCanceled = "being canceled"
    }

    /// The server's id in SHOW SERVERS.
    public var server: UInt64
    /// The client's id in SHOW CLIENTS; nil when no client has it.
    public var client: UInt64?
    public var applicationName: String?
    public var state: State
    /// How long it has been in this state, in microseconds.
    public var age: Int64
    /// How long its transaction lasts, in microseconds; 0 when there is none.
    public var transactionAge: Int64
    /// The beginning of the last statement.
    public var statement: String?
    /// The pool that the server belongs to, where that is not the one which the answer is about.
    public var pool: CapacityLedger.PoolKey?

    /// A holder.
    public init(
        server: UInt64, client: UInt64?, applicationName: String?, state: State, age: Int64, transactionAge: Int64, statement: String?
    ) {
        self.server = server
        self.client = client
        self.applicationName = applicationName
        self.state = state
        self.age = age
        self.transactionAge = transactionAge
        self.statement = statement
    }
}

/// All that decides how long clients of a pool wait, over all workers.
public struct WaitFacts: Sendable, Equatable {
    public var pool: CapacityLedger.PoolKey
    public var limits: CapacityLedger.ServerLimits
    /// The reserve may be used, since somebody has waited long enough.
    public var usesReserve = false
    /// Servers of the pool, of its database over all pools, and of its user over all pools.
    public var servers = 0
    public var databaseServers = 0
    public var userServers = 0
    /// Servers that are logged in.
    public var connected = 0
    public var idle = 0
    /// When clients give servers back.
    public var policy = PoolPolicy(.transaction)
    public var isPaused = false
    /// By a PAUSE or KILL of all databases, which RESUME of one of them does not end; and by one of this database.
    public var isWholePaused = false
    public var isDatabasePaused = false
    public var isShuttingDown = false
    /// Why the last server could not be had, and its SQLSTATE.
    public var failure: String?
    public var failureCode: String?
    /// A server is to be opened as soon as its password is there.
    public var awaitsPassword = false
    /// Since when each waiting client waits, longest first: moments of the monotonic clock, in microseconds.
    public var waiting: [Int64] = []
    /// Everybody who has a server of the pool.
    public var holders: [ServerHolder] = []
    /// Those who have one of another pool that counts against the limit which binds.
    public var rivals: [ServerHolder] = []
    /// Transactions that have ended lately, and for how long they kept a server, in microseconds.
    public var transactions: Int64 = 0
    public var transactionTime: Int64 = 0
    /// For how long a client keeps a server on average, in microseconds; 0 when that is not known. In session mode it is not: there
    /// clients keep servers until they leave.
    public var meanHold: Int64 { transactions > 0 && policy.release == .betweenTransactions ? transactionTime / transactions : 0 }
    /// Who has kept a server for longer than that, in microseconds, is out of the ordinary.
    var longHold: Int64 { max(1_000_000, 10 * meanHold) }

    /// An empty pool.
    public init(pool: CapacityLedger.PoolKey, limits: CapacityLedger.ServerLimits) {
        self.pool = pool
        self.limits = limits
    }

    /// Adds what another worker knows of the same pool.
    public static func += (sum: inout WaitFacts, other: WaitFacts) {
        sum.idle += other.idle
        // Each worker knows only how long its own clients have waited.
        sum.usesReserve = sum.usesReserve || other.usesReserve
        sum.awaitsPassword = sum.awaitsPassword || other.awaitsPassword
        sum.waiting = (sum.waiting + other.waiting).sorted()
        sum.holders += other.holders
        sum.rivals += other.rivals
        sum.transactions += other.transactions
        sum.transactionTime += other.transactionTime
    }
}

/// What clients of a pool wait for, and what would help.
public struct WaitDiagnosis: Sendable, Equatable {
    /// What stands in the way of one more server.
    public enum Limit: Sendable, Equatable {
        case shuttingDown, paused
        /// No server can be reached or logged in to.
        case unreachable(String)
        case pool(Int)
        case database(Int)
        case user(Int)
        /// PostgreSQL itself takes no more connections.
        case host(String)
        /// A server is on its way.
        case opening
        /// The file or the command that its password comes from has not answered.
        case password
        /// Nothing: a server is free.
        case none

        /// The setting or thing that the limit is named after.
        public var name: String {
            switch self {
            case .shuttingDown: "shutdown"
            case .paused: "PAUSE"
            case .unreachable: "server_login_retry"
            case .pool: "pool_size"
            case .database: "max_db_connections"
            case .user: "max_user_connections"
            case .host: "max_connections of PostgreSQL"
            case .opening: "server_connect_timeout"
            case .password: "password_command_timeout"
            case .none: "none"
            }
        }

        /// Servers of other pools count against it, too.
        public var isShared: Bool {
            switch self {
            case .database, .user: true
            default: false
            }
        }
    }

    public let limit: Limit
    /// What is the matter, in a sentence or two.
    public let reason: String
    /// The one setting or action that would help.
    public let advice: String
    private let facts: WaitFacts

    /// Decides.
    public init(_ facts: WaitFacts) {
        self.facts = facts
        limit = Self.limit(facts)
        reason = Self.reason(facts, limit)
        advice = Self.advice(facts, limit)
    }

    /// How long a client will wait that has so many others before it, in microseconds; nil when that cannot be told.
    public func expectedWait(behind others: Int) -> Int64? {
        guard whyUnforeseen == nil else { return nil }
        return facts.meanHold * Int64(others + 1) / Int64(moving)
    }

    /// The expected wait in words, and where there is none, why.
    public func expectation(behind others: Int) -> String {
        if let whyUnforeseen { return "not known: \(whyUnforeseen)" }
        return Self.duration(expectedWait(behind: others) ?? 0)
    }

    /// Servers that can be expected to become free. Who has kept one for far longer than usual says nothing about when it ends.
    private var moving: Int {
        facts.holders.count { $0.client != nil && max($0.transactionAge, $0.state == .idle ? $0.age : 0) < facts.longHold }
    }

    /// Why nothing can be said about the wait; nil where something can.
    private var whyUnforeseen: String? {
        switch limit {
        case .pool, .database, .user, .host: break
        case .shuttingDown: return "the pooler is shutting down"
        case .paused: return "it ends when an operator resumes"
        case .unreachable: return "it ends when a server can be reached"
        case .opening: return "it ends when the new server answers"
        case .password: return "it ends when the password is there"
        case .none: return "nobody has to wait"
        }
        if facts.policy.release == .atTheEnd { return "in session mode a client keeps its server until it leaves" }
        if facts.transactions == 0 { return "no transaction has ended yet, so nobody knows how long one takes" }
        if !facts.holders.contains(where: { $0.client != nil }) { return "no client of this pool has a server" }
        if moving == 0 {
            return "all servers have been kept for far longer than the usual \(Self.duration(facts.meanHold))"
        }
        return facts.meanHold > 0 ? nil : "transactions are too short to be measured"
    }

    /// How many clients are before one that waits since `moment`.
    public func place(since moment: Int64) -> Int {
        var (low, high) = (0, facts.waiting.count)
        while low < high {
            let middle = (low + high) / 2
            if facts.waiting[middle] < moment { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The reason with the place of one client in it.
    public func reason(behind others: Int) -> String {
        var text = reason
        let waiting = max(facts.waiting.count, others + 1)
        text += " \(waiting) client\(waiting == 1 ? "" : "s") wait\(waiting == 1 ? "s" : "")"
        text += others > 0 ? ", \(others) before this one" : ""
        if let wait = expectedWait(behind: others) {
            text += "; a server is kept for \(Self.duration(facts.meanHold)) on average, so the wait is about \(Self.duration(wait))"
        }
        return text + "."
    }

    private static func limit(_ facts: WaitFacts) -> Limit {
        if facts.isShuttingDown { return .shuttingDown }
        if facts.isPaused { return .paused }
        if let failure = facts.failure, facts.connected == 0 { return .unreachable(failure) }
        // Nobody can use what the pool has: its first servers do not answer yet.
        if facts.connected == 0, facts.holders.contains(where: { $0.state == .opening }) { return .opening }
        if facts.connected == 0, facts.awaitsPassword { return .password }
        let size = facts.limits.pool + (facts.usesReserve ? facts.limits.reserve : 0)
        if facts.limits.pool > 0, facts.servers >= size { return .pool(size) }
        if facts.limits.database > 0, facts.databaseServers >= facts.limits.database { return .database(facts.limits.database) }
        if facts.limits.user > 0, facts.userServers >= facts.limits.user { return .user(facts.limits.user) }
        if let failure = facts.failure, facts.failureCode == "53300" { return .host(failure) }
        if let failure = facts.failure { return .unreachable(failure) }
        if facts.holders.contains(where: { $0.state == .opening }) { return .opening }
        return facts.awaitsPassword ? .password : .none
    }

    private static func reason(_ facts: WaitFacts, _ limit: Limit) -> String {
        let name = "pool \(facts.pool.database)/\(facts.pool.user)"
        switch limit {
        case .shuttingDown: return "The pooler is shutting down."
        case .paused:
            return facts.isWholePaused ? "An operator has paused all databases." : "An operator has paused database \(facts.pool.database)."
        case .unreachable(let text): return "No server can be had for \(name): \(text)."
        case .pool(1): return "The one server of \(name) is taken (pool_size): \(census(facts))."
        case .pool(let size): return "All \(size) servers of \(name) are taken (pool_size): \(census(facts))."
        case .database(let size):
            return
                "Database \(facts.pool.database) has \(all(size)) (max_db_connections), \(facts.servers) of them in \(name): \(census(facts))."
        case .user(let size):
            return
                "User \(facts.pool.user) has \(all(size)) (max_user_connections), \(facts.servers) of them in \(name): \(census(facts))."
        case .host(let text): return "PostgreSQL takes no more connections (\(text)); \(name) has \(facts.servers): \(census(facts))."
        case .opening: return "A new server for \(name) is being connected to; \(facts.servers) so far: \(census(facts))."
        case .password:
            return
                "A new server for \(name) waits for its password (password_file or password_command); \(facts.servers) so far: "
                + "\(census(facts))."
        case .none:
            let number = facts.servers == 1 ? "one server" : "\(facts.servers) servers"
            return "Nothing stands in the way: \(name) has \(number): \(census(facts))."
        }
    }

    private static func all(_ size: Int) -> String { size == 1 ? "its one server" : "all its \(size) servers" }

    /// What the servers do that are taken, in this pool and in the others that count against the limit.
    private static func census(_ facts: WaitFacts) -> String {
        let own = census(facts.holders, idle: facts.idle)
        if facts.rivals.isEmpty { return own.isEmpty ? "none is in use" : own }
        return (own.isEmpty ? "" : own + "; ") + "in other pools " + census(facts.rivals, idle: 0)
    }

    private static func census(_ holders: [ServerHolder], idle: Int) -> String {
        func words(_ count: Int, _ one: String, _ several: String) -> String? {
            count == 0 ? nil : "\(count) \(count == 1 ? one : several)"
        }
        func count(_ state: ServerHolder.State) -> Int { holders.count { $0.state == state } }
        return [
            words(count(.running), "runs a query", "run a query"),
            words(count(.idleInTransaction), "is idle in a transaction", "are idle in a transaction"),
            words(count(.idle), "is idle in a session", "are idle in a session"),
            words(count(.preparing), "is being prepared", "are being prepared"),
            words(count(.opening), "is being opened", "are being opened"),
            words(count(.beingCanceled), "is being canceled", "are being canceled"), words(idle, "is free", "are free"),
        ].compactMap { $0 }.joined(separator: ", ")
    }

    private static func advice(_ facts: WaitFacts, _ limit: Limit) -> String {
        let setting: String
        switch limit {
        case .shuttingDown: return "Connect again; another process may be up already."
        case .paused:
            let whole = facts.isWholePaused ? ["RESUME"] : []
            let commands = whole + (facts.isDatabasePaused || whole.isEmpty ? ["RESUME \(facts.pool.database)"] : [])
            return "\(commands.joined(separator: " and ")) on the console lets everybody go on."
        case .unreachable: return "See the log, and whether PostgreSQL runs and lets user \(facts.pool.user) in."
        case .opening:
            let longest = facts.holders.filter { $0.state == .opening }.map(\.age).max() ?? 0
            guard longest >= slowOpening else { return "Nothing has to be done: it will be over soon." }
            return
                "PostgreSQL has not answered a connect or a login for \(duration(longest)): see whether its host is overloaded or behind "
                + "a firewall; server_connect_timeout gives up."
        case .password:
            return "See how long the command of password_command takes, as the pooler's own user; password_command_timeout gives up."
        case .none: return "Nothing has to be done: it will be over soon."
        case .pool: setting = "pool_size (or default_pool_size)"
        case .database: setting = "max_db_connections"
        case .user: setting = "max_user_connections"
        case .host: setting = "max_connections of PostgreSQL, or take servers from other pools"
        }
        let held = (facts.holders + facts.rivals).filter { $0.client != nil }
        let idle = held.filter { $0.state == .idleInTransaction }
        if !held.isEmpty, idle.count * 2 >= held.count, let oldest = idle.max(by: { $0.age < $1.age }) {
            return
                "\(share(idle.count, of: held.count, "is", "are")) held by "
                + "\(idle.count == 1 ? "a client that idles" : "clients that idle") "
                + "in a transaction, \(idle.count == 1 ? "" : "the longest by ")\(name(oldest)) for \(duration(oldest.age)): "
                + "end \(idle.count == 1 ? "that transaction" : "their transactions"), or set idle_transaction_timeout."
        }
        if facts.policy.release == .atTheEnd, held.contains(where: { $0.state == .idle }) {
            return "Clients keep their servers while they ask nothing: pool_mode = transaction would share them."
        }
        let slow = held.filter { $0.state == .running && $0.age >= facts.longHold }
        if !held.isEmpty, slow.count * 2 >= held.count, let oldest = slow.max(by: { $0.age < $1.age }) {
            return
                "\(share(slow.count, of: held.count, "runs a long query", "run long queries")), \(slow.count == 1 ? "" : "the longest ")"
                + "for \(name(oldest)) since \(duration(oldest.age)): "
                + "KILL_CLIENT on the console ends it, query_timeout would; or raise \(setting)."
        }
        return "Raise \(setting), or make transactions shorter."
    }

    private static func share(_ count: Int, of all: Int, _ one: String, _ several: String) -> String {
        all == 1 ? "The server \(one)" : "\(count) of \(all) servers \(count == 1 ? one : several)"
    }

    /// A connect and a login that take longer are no usual ones, in microseconds.
    private static let slowOpening: Int64 = 2_000_000

    private static func name(_ holder: ServerHolder) -> String {
        let application = holder.applicationName.flatMap { $0.isEmpty ? nil : " (\($0))" } ?? ""
        return "client \(holder.client.map(String.init) ?? "?")\(application)"
    }

    /// Microseconds in words.
    public static func duration(_ microseconds: Int64) -> String {
        switch microseconds {
        case ..<1_000: return "\(microseconds) us"
        case ..<1_000_000: return "\(microseconds / 1_000) ms"
        case ..<60_000_000: return "\(microseconds / 1_000_000).\(microseconds / 100_000 % 10) s"
        default: return "\(microseconds / 60_000_000) min \(microseconds / 1_000_000 % 60) s"
        }
    }
}
