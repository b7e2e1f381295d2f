import Configuration
import Locking
import PoolCore
import PostgresWire
import Synchronization

/// One pool, all workers: what its servers said of themselves, how the last login went, and who waits where.
final class SharedPool: Sendable {
    /// What a new client is told in place of a server: the values of the server that logged in last, and what servers have told since.
    final class Greeting: Sendable {
        /// In the order in which they were reported.
        let parameters: [Parameter]
        /// The same as a set.
        let defaults: ParameterSet

        init(parameters: [Parameter], defaults: ParameterSet) {
            self.parameters = parameters
            self.defaults = defaults
        }
    }

    /// What one worker shows the others.
    final class WorkerGauge: Sendable {
        let idle = Atomic<Int>(0)
        /// Since when its longest waiting client waits; `Int64.max`: nobody waits.
        let oldestWaiter = Atomic<Int64>(.max)
    }

    let key: CapacityLedger.PoolKey
    let family: PoolFamily
    let parameters = ParameterTable()
    /// Shared by the pools of a database.
    let statements: StatementTable
    let gauges: [WorkerGauge]
    /// Servers of an older generation are closed instead of being used again (RECONNECT, changed configuration).
    let generation = Atomic<UInt32>(0)
    /// Clients, in all workers.
    let clients = Counter()
    /// Workers that have a shard of this pool.
    let shards = Counter()
    /// Servers that are logged in, in all workers and on their way between two.
    private let logins = Atomic<Int>(0)
    private let content = Locked(Content())

    private struct Content {
        var greeting: Greeting?
        var failure: PoolFailure?
        var nextHost = 0
        var lastLifetimeClose: Int64 = 0
        /// The entry that the servers of the present generation were made for, once it has changed.
        var database: Database?
        var isRemoved = false
        /// Servers that are connected to, and those of them that are logged in, by their generation.
        var servers: [UInt32: Int] = [:]
        var loggedIn: [UInt32: Int] = [:]
        /// When a login was last tried after one that was refused.
        var lastTry: Int64 = 0
        var credential: Credential?
    }

    init(key: CapacityLedger.PoolKey, family: PoolFamily, workers: Int, statements: StatementTable) {
        self.key = key
        self.family = family
        self.statements = statements
        gauges = (0..<workers).map { _ in WorkerGauge() }
    }

    var greeting: Greeting? { content.withLock { $0.greeting } }

    var connected: Int { logins.load(ordering: .relaxed) }

    /// Servers that are logged in and will serve again. Those of a time before a RECONNECT serve nobody but their present clients.
    var usable: Int {
        let present = generation.load(ordering: .acquiring)
        return content.withLock { $0.loggedIn[present] ?? 0 }
    }

    /// A server of this generation has logged in (1), or one that had is closed (-1). A dedicated one serves one client and no other.
    func countLogin(_ generation: UInt32, _ change: Int, isDedicated: Bool = false) {
        logins.add(change, ordering: .relaxed)
        if !isDedicated { content.withLock { Self.count(change, &$0.loggedIn[generation]) } }
    }

    private static func count(_ change: Int, _ number: inout Int?) {
        let count = (number ?? 0) + change
        number = count > 0 ? count : nil
    }

    /// A server has logged in. Its values become the greeting; not those of a server that is to be replaced.
    func loggedIn(_ parameters: [Parameter], _ defaults: ParameterSet, generation: UInt32) {
        content.withLock { content in
            content.failure = nil
            guard generation == self.generation.load(ordering: .relaxed), content.greeting?.defaults !== defaults else { return }
            content.greeting = Greeting(parameters: parameters, defaults: defaults)
        }
    }

    /// A server tells that a value of its own is another one: new clients hear of it.
    func changed(_ parameter: Parameter, generation: UInt32) {
        guard let greeting, generation == self.generation.load(ordering: .relaxed),
            let index = greeting.parameters.firstIndex(where: { $0.name == parameter.name }), greeting.parameters[index] != parameter,
            let defaults = parameters.replacing(parameter, in: greeting.defaults)
        else { return }
        var parameters = greeting.parameters
        parameters[index] = parameter
        let changed = Greeting(parameters: parameters, defaults: defaults)
        content.withLock { if $0.greeting === greeting { $0.greeting = changed } }
    }

    /// What a client brought that the user list does not know (`auth_query`, PAM, LDAP): servers are opened with it.
    var credential: Credential? { content.withLock { $0.credential } }

    func learn(_ credential: Credential) { content.withLock { $0.credential = credential } }

    var failure: PoolFailure? { content.withLock { $0.failure } }

    /// A server could not be reached, or (`isRefusal`) did not let us in.
    func openingFailed(_ fields: ErrorFields, started: Int64, now: Int64, isRefusal: Bool) {
        content.withLock { content in
            let refusals = isRefusal ? (content.failure?.refusals ?? 0) + 1 : 0
            content.failure = PoolFailure(fields: fields, time: now, started: started, isRefusal: isRefusal, refusals: refusals)
        }
    }

    /// Takes the right to the next login after one that was refused. False: another worker has it, or it is too soon.
    func takeTry(after pause: Int64, now: Int64) -> Bool {
        content.withLock { content in
            guard let failure = content.failure, failure.isRefusal else { return true }
            guard now >= max(failure.time, content.lastTry) + pause else { return false }
            content.lastTry = now
            return true
        }
    }

    /// Several workers apply the same configuration; the first one that sees a changed database makes the servers obsolete.
    func forgetServersOnce(for database: Database, isRemoved: Bool = false) {
        let isFirst = content.withLock { content in
            defer {
                content.database = database
                content.isRemoved = isRemoved
            }
            if isRemoved { return !content.isRemoved }
            return content.database.map { $0.serverIdentityDiffers(from: database) } ?? true
        }
        if isFirst { forgetServers() }
    }

    /// Everything learnt from servers is void: they may be others from now on.
    func forgetServers() {
        generation.add(1, ordering: .releasing)
        content.withLock {
            $0.greeting = nil
            $0.failure = nil
        }
    }

    /// A server of this generation has come into being (1), or is closed (-1).
    func countServer(_ generation: UInt32, _ change: Int) {
        content.withLock { Self.count(change, &$0.servers[generation]) }
    }

    /// Servers that are not to be used any more, and are not closed yet.
    var obsoleteServers: Int {
        let present = generation.load(ordering: .acquiring)
        return content.withLock { $0.servers.reduce(0) { $0 + ($1.key == present ? 0 : $1.value) } }
    }

    /// The index of the host to try, of `count`; round robin, or the same until `leaveHost`.
    func hostIndex(of count: Int, isSticky: Bool) -> Int {
        content.withLock { content in
            let index = content.nextHost % count
            if !isSticky { content.nextHost = (index + 1) % count }
            return index
        }
    }

    /// A host of a sticky list could not be reached: the next one is tried from now on, unless that has been settled already.
    func leaveHost(_ index: Int, of count: Int) {
        content.withLock { if $0.nextHost % count == index { $0.nextHost = (index + 1) % count } }
    }

    /// Servers that are too old go one at a time.
    func mayCloseForAge(now: Int64, spacing: Int64) -> Bool {
        content.withLock { content in
            guard now - content.lastLifetimeClose >= spacing else { return false }
            content.lastLifetimeClose = now
            return true
        }
    }
}

/// What a worker's part of the pool has to know of the others.
extension SharedPool: WholePool {
    var presentGeneration: UInt32 { @inline(__always) get { generation.load(ordering: .relaxed) } }
    var isDivided: Bool { family.isDivided }
    var workers: Int { gauges.count }

    func idleServers(of worker: Int) -> Int { gauges[worker].idle.load(ordering: .sequentiallyConsistent) }

    func oldestWaiter(of worker: Int) -> Int64 { gauges[worker].oldestWaiter.load(ordering: .sequentiallyConsistent) }
}
