#if DEBUG
    import PoolCore
    import Statistics

    @testable import EventLoop
    @testable import Pooler

    /// Looks after each turn of a worker whether what must hold does (docs/invariants.md). Replies are looked at by the clients.
    final class Checker {
        private unowned let world: World
        /// Those who waited after the last turn, by worker and pool.
        private var queues: [QueueKey: [PoolQueue.Waiter]] = [:]
        /// Since when something is so that should not last, in microseconds.
        private var since: [String: Int64] = [:]
        private var ledgerBefore: [CapacityLedger.PoolKey: Int] = [:]
        private var databasesBefore: [String: Int] = [:]
        private var usersBefore: [String: Int] = [:]
        /// All connections that there were.
        private var clients: [UInt64: WeakClient] = [:]
        private var servers: [UInt64: WeakServer] = [:]
        private var totalsBefore = PoolTotals()
        private var turns = 0

        private struct QueueKey: Hashable {
            let worker: Int
            let pool: CapacityLedger.PoolKey
        }
        private struct WeakClient { weak var object: ClientConnection? }
        private struct WeakServer { weak var object: ServerConnection? }

        /// Nobody waits for longer beside an idle server, or beside room for one (microseconds): less than the janitor's tick, so that what it
        /// would put right shows.
        private static let patience: Int64 = 300_000

        init(world: World) { self.world = world }

        // MARK: After each turn

        /// A worker has had its turn.
        func afterTurn(of index: Int) {
            turns += 1
            world.look(at: index) { core in
                checkConnections(core)
                checkPools(core)
                checkQueues(core)
                if turns % 16 == 0 { checkGauges(core) }
            }
            checkLedger()
            checkWaiting()
            if turns % 64 == 0 { checkTotals() }
        }

        private func fail(_ text: String) { world.fail(text) }

        private func checkConnections(_ core: WorkerCore) {
            var loggingIn = 0
            core.clients.visit { client in
                if clients[client.id] == nil { clients[client.id] = WeakClient(object: client) }
                if !client.isLoggedIn { loggingIn += 1 }
                switch client.phase {
                case .linked:
                    guard let server = client.server else { return fail("client \(client.id) is linked and has no server") }
                    if server.client !== client { fail("client \(client.id) is linked with a server that is not linked with it") }
                case .closed: fail("client \(client.id) is closed and in the table")
                default: if client.server != nil { fail("client \(client.id) has a server and is \(client.phase)") }
                }
            }
            if loggingIn != core.logins.underWay { fail("\(loggingIn) clients log in, and \(core.logins.underWay) are counted") }
            core.servers.visit { server in
                if servers[server.id] == nil { servers[server.id] = WeakServer(object: server) }
                switch server.phase {
                case .linked, .trying:
                    if server.client?.server !== server {
                        fail("server \(server.id) is \(server.phase) with a client that is not linked with it")
                    }
                case .closed: fail("server \(server.id) is closed and in the table")
                case .freed: fail("server \(server.id) was freed and not placed")
                default: if server.client != nil { fail("server \(server.id) is \(server.phase) and has a client") }
                }
                if server.phase == .idle, !server.session.isReusable { fail("server \(server.id) is idle and owes something") }
            }
        }

        private func checkPools(_ core: WorkerCore) {
            struct Count {
                var all = 0
                var opening = 0
                var idle = 0
                var testing = 0
                var waiting = 0
                var clients = 0
            }
            var counts: [ObjectIdentifier: Count] = [:]
            core.servers.visit { server in
                let pool = ObjectIdentifier(server.shard)
                counts[pool, default: Count()].all += 1
                switch server.phase {
                case .connecting, .encrypting, .authenticating, .settingUp:
                    if !server.isDedicated { counts[pool]?.opening += 1 }
                case .idle: counts[pool]?.idle += 1
                case .testing: counts[pool]?.testing += 1
                default: break
                }
            }
            core.clients.visit { client in
                guard let shard = client.shard else { return }
                counts[ObjectIdentifier(shard), default: Count()].clients += 1
                if case .waiting = client.phase { counts[ObjectIdentifier(shard)]?.waiting += 1 }
            }
            for (key, shard) in core.shards {
                let count = counts.removeValue(forKey: ObjectIdentifier(shard)) ?? Count()
                func compare(_ what: String, _ is: Int, _ counted: Int) {
                    if `is` != counted {
                        fail("pool \(key.database)/\(key.user) of worker \(core.index): \(what) is \(counted), and there are \(`is`)")
                    }
                }
                compare("servers", count.all, shard.machine.servers)
                compare("opening", count.opening, shard.machine.opening)
                compare("idle", count.idle, shard.machine.queue.idleCount)
                compare("testing", count.testing, shard.machine.testing)
                compare("waiting", count.waiting, shard.machine.queue.waiting)
                compare("clients", count.clients, shard.clients)
            }
            if !counts.isEmpty { fail("worker \(core.index) has connections of a pool that it has forgotten") }
        }

        /// First come, first served, within a worker.
        private func checkQueues(_ core: WorkerCore) {
            var seen: Set<QueueKey> = []
            for (pool, shard) in core.shards {
                let key = QueueKey(worker: core.index, pool: pool)
                seen.insert(key)
                let now = shard.machine.queue.allWaiting
                let before = queues.updateValue(now, forKey: key) ?? []
                guard !before.isEmpty else { continue }
                let left = Set(now.map(\.ticket))
                guard let oldest = before.filter({ left.contains($0.ticket) }).map(\.since).min() else { continue }
                for waiter in before where waiter.since > oldest && !left.contains(waiter.ticket) {
                    // Who has left the queue by itself was not served.
                    guard let client = core.clients[waiter.client], client.server?.waited ?? 0 > 0 else { continue }
                    fail("client \(client.id) was served before another one that has waited longer")
                }
            }
            for key in queues.keys where key.worker == core.index && !seen.contains(key) { queues[key] = nil }
        }

        private func checkGauges(_ core: WorkerCore) {
            for pool in core.snapshots.statistics().pools {
                let gauges = pool.gauges
                for (name, value) in [
                    ("clientsLinked", gauges.clientsLinked), ("clientsIdleInTransaction", gauges.clientsIdleInTransaction),
                    ("clientsIdle", gauges.clientsIdle), ("clientsWaiting", gauges.clientsWaiting),
                    ("cancelRequests", gauges.cancelRequests),
                    ("cancelRequestsWaiting", gauges.cancelRequestsWaiting), ("serversActive", gauges.serversActive),
                    ("serversIdle", gauges.serversIdle), ("serversLogin", gauges.serversLogin), ("longestWait", Int(gauges.longestWait)),
                ] where value < 0 {
                    fail("pool \(pool.database)/\(pool.user) of worker \(core.index): \(name) is \(value)")
                }
            }
        }

        // MARK: Limits

        private func checkLedger() {
            var families: [CapacityLedger.PoolKey: (servers: Int, limit: Int)] = [:]
            var limits: (database: [String: Int], user: [String: Int]) = ([:], [:])
            var clients = 0
            /// No limit is the highest.
            func highest(_ left: Int?, _ right: Int) -> Int { left == 0 || right == 0 ? 0 : max(left ?? 1, right) }
            world.lookAtAll { core in
                clients += core.clients.count
                for (key, shard) in core.shards {
                    let family = key.family
                    let limit = shard.settings.limits
                    let known = families[family]
                    families[family] = (
                        (known?.servers ?? 0) + shard.machine.servers + shard.machine.serversLent,
                        highest(known?.limit, limit.pool == 0 ? 0 : limit.pool + limit.reserve)
                    )
                    limits.database[key.database] = highest(limits.database[key.database], limit.database)
                    limits.user[key.user] = highest(limits.user[key.user], limit.user)
                }
                for (key, forgotten) in core.pools.forgotten where forgotten.isNeeded {
                    let known = families[key.family] ?? (0, 0)
                    families[key.family] = (known.servers + forgotten.statistics.gauges.serversLent, known.limit)
                }
            }
            let ledger = world.process.shared.capacity.withLock { $0 }
            // Those on their way to another worker are counted, too.
            let expected = world.process.shared.clientsOfWorkers.reduce(0) { $0 + $1.load() }
            if ledger.clients != expected || clients > expected {
                fail("\(clients) clients are connected, \(expected) with those on their way, and \(ledger.clients) are counted")
            }
            var now: [CapacityLedger.PoolKey: Int] = [:]
            for (family, (servers, limit)) in families {
                let counted = ledger.servers(of: family)
                now[family] = counted
                if counted != servers {
                    fail("pool \(family.database)/\(family.user) has \(servers) servers, and \(counted) are counted against its size")
                }
                // What a reload has made too many goes by itself.
                if limit > 0, counted > limit, counted > ledgerBefore[family] ?? 0 {
                    fail("pool \(family.database)/\(family.user) has opened server \(counted) of \(limit)")
                }
            }
            ledgerBefore = now
            check(ledger.counts.servers.map { ($0.key, $0.value) }, limits.database, &databasesBefore, "database")
            check(ledger.counts.userServers.map { ($0.key, $0.value) }, limits.user, &usersBefore, "user")
        }

        private func check(_ counts: [(String, Int)], _ limits: [String: Int], _ before: inout [String: Int], _ what: String) {
            var now: [String: Int] = [:]
            for (name, count) in counts {
                now[name] = count
                if count < 0 { fail("\(what) \(name) has \(count) servers") }
                if let limit = limits[name], limit > 0, count > limit, count > before[name] ?? 0 {
                    fail("\(what) \(name) has got server \(count) of \(limit)")
                }
            }
            before = now
        }

        // MARK: Waiting

        /// Nobody waits beside an idle server that could serve, nor beside room for another one.
        private func checkWaiting() {
            struct Pool {
                var waiting = 0
                var idle = 0
                var testing = 0
                var opening = 0
                var isHeld = false
                var limits: CapacityLedger.ServerLimits?
                var hasFailed = false
            }
            var pools: [CapacityLedger.PoolKey: Pool] = [:]
            world.lookAtAll { core in
                for (key, shard) in core.shards {
                    var pool = pools[key] ?? Pool()
                    pool.waiting += shard.machine.queue.waiting
                    pool.idle += shard.machine.queue.idleCount
                    pool.testing += shard.machine.testing
                    pool.opening += shard.machine.opening
                    if shard.machine.isPaused { pool.isHeld = true }
                    if shard.machine.queue.waiting > 0 { pool.limits = shard.settings.limits }
                    if shard.shared.failure != nil { pool.hasFailed = true }
                    pools[key] = pool
                }
            }
            let isStopping = world.process.shared.shutdown.load(ordering: .relaxed) == .waitForServers
            for (key, pool) in pools {
                let name = "\(key.database)/\(key.user)"
                let isBeside = pool.waiting > pool.testing && pool.idle > 0 && !pool.isHeld && !isStopping
                lasts(isBeside, "idle \(name)") { "\(pool.waiting) clients of pool \(name) wait beside \(pool.idle) idle servers" }
                var hasRoom =
                    pool.waiting > 0 && pool.idle + pool.testing + pool.opening == 0 && !pool.isHeld && !isStopping && !pool.hasFailed
                if hasRoom, let limits = pool.limits {
                    hasRoom = world.process.shared.capacity.withLock { $0.verdict(on: key, limits: limits) } == .granted
                }
                lasts(hasRoom, "room \(name)") { "\(pool.waiting) clients of pool \(name) wait though there is room for a server" }
            }
        }

        /// Something that should not last.
        private func lasts(_ isSo: Bool, _ what: String, _ text: () -> String) {
            guard isSo else {
                since[what] = nil
                return
            }
            let start = since[what] ?? world.now
            since[what] = start
            // A worker that does not get its turn for a while is no fault of the pooler's.
            if world.now - start > Self.patience + 2 * world.kernel.wakeUp.rare + 2 * world.kernel.dispatch.rare { fail(text()) }
        }

        // MARK: Totals

        private var poolsBefore: [CapacityLedger.PoolKey: SharedPool] = [:]

        /// Counters never go back while their pool is there.
        private func checkTotals() {
            var totals = PoolTotals()
            var pools: [CapacityLedger.PoolKey: SharedPool] = [:]
            world.lookAtAll { core in
                for pool in core.snapshots.statistics().pools { totals += pool.counters.totals }
                for (key, shard) in core.shards { pools[key] = shard.shared }
            }
            // One that was forgotten and made anew begins at 0.
            if poolsBefore.allSatisfy({ pools[$0.key] === $0.value }) {
                for (name, path) in [
                    ("assignments", \PoolTotals.assignments), ("transactions", \.transactions), ("queries", \.queries),
                    ("bytes received", \.bytesReceived), ("bytes sent", \.bytesSent), ("transaction time", \.transactionTime),
                    ("query time", \.queryTime), ("wait time", \.waitTime), ("logins", \.logins),
                ] where totals[keyPath: path] < totalsBefore[keyPath: path] {
                    fail("the total of \(name) went from \(totalsBefore[keyPath: path]) to \(totals[keyPath: path])")
                }
            }
            (totalsBefore, poolsBefore) = (totals, pools)
        }

        // MARK: In the end

        /// All clients have left, and so have their cancel requests.
        func atRest() {
            world.lookAtAll { core in
                func empty(_ count: Int, _ what: String) {
                    if count != 0 { fail("all clients have left, and worker \(core.index) has \(count) \(what)") }
                }
                empty(core.clients.count, "clients")
                empty(core.logins.underWay, "logins")
                empty(core.admin.console.count, "clients of the console")
                empty(core.departures.count, "leaving clients")
                empty(core.janitor.slowMessages.count, "unfinished messages")
                empty(core.cancels.waiting, "cancel requests in a queue")
                empty(core.cancels.connections.count, "cancel requests")
                for shard in core.shards.values {
                    empty(shard.machine.queue.waiting, "waiting clients")
                    empty(shard.machine.awaitingGreeting.count, "clients that wait for a greeting")
                    empty(shard.clients, "clients in a pool")
                }
                core.servers.visit { server in
                    if server.phase == .linked || server.phase == .abandoned || server.phase == .resetting {
                        fail("all clients have left, and server \(server.id) is \(server.phase)")
                    }
                }
            }
            let shared = world.process.shared
            let left = shared.capacity.withLock { ($0.clients, $0.counts.clients.map(\.value).reduce(0, +)) }
            if left != (0, 0) { fail("all clients have left, and \(left) are counted") }
            if shared.cancels.count > 0 { fail("all clients have left, and \(shared.cancels.count) cancel keys are known") }
            if shared.clientsOfWorkers.contains(where: { $0.load() != 0 }) {
                fail("all clients have left, and workers have \(shared.clientsOfWorkers.map { $0.load() })")
            }
            for (id, client) in clients where client.object != nil { fail("client \(id) has left, and is still in memory") }
            checkSessions()
        }

        /// Nothing of a client is left on a server.
        private func checkSessions() {
            for process in world.servers.flatMap(\.all) where process.isLoggedIn {
                if !process.session.isAtRest { fail("all clients have left, and session \(process.key.processID) is not at rest") }
            }
        }

        /// The pooler has ended.
        func atEnd() {
            world.lookAtAll { core in
                if core.servers.count > 0 { fail("the pooler has ended, and worker \(core.index) has \(core.servers.count) servers") }
                // A server that is opened because a pool keeps some may still have logged in when the last client had left.
                let logins = core.logins.derivations.count + core.opener.passwordWaiters.count
                if logins > 0 { fail("the pooler has ended, and worker \(core.index) has \(logins) logins that wait") }
            }
            for (id, server) in servers where server.object != nil { fail("server \(id) is closed, and still in memory") }
            let left = world.process.shared.capacity.withLock { $0.servers }
            if left != 0 { fail("the pooler has ended, and \(left) servers are counted") }
            let sockets = world.network.poolerSockets.filter { $0.state != .listening }
            if !sockets.isEmpty { fail("the pooler has ended, and \(sockets.count) of its descriptors are open: \(sockets.map(\.number))") }
        }

        func forget() {
            clients = [:]
            servers = [:]
        }
    }

#endif
