import Authentication
import Configuration
import EventLoop
import Logging
import PoolCore
import PostgresWire
import Synchronization

/// A server connection that is being made.
struct Opening {
    let shard: PoolShard
    let generation: UInt32
    let started: Int64
    /// Where to try, in this order.
    var addresses: [SocketAddress]

    func to(_ addresses: [SocketAddress]) -> Opening {
        Opening(shard: shard, generation: generation, started: started, addresses: addresses)
    }
}

/// New server connections: when, where to, and how they log in.
extension WorkerCore {
    // MARK: When

    /// Opens as many servers as clients wait for and limits allow.
    func serve(_ shard: PoolShard) {
        // One connection answers for all that wait for the greeting.
        while shard.queue.waiting + shard.lookups.count + (shard.awaitingGreeting.isEmpty ? 0 : 1) > shard.opening + shard.borrowing
            + shard.testing
        {
            if shared.parallel, shard.borrowing < shard.queue.waiting, borrow(shard) { continue }
            guard openServer(shard) else { return }
        }
    }

    /// All pools of this worker in which somebody waits.
    func serveDemand() {
        for shard in shards.values {
            shard.isFull = false
            if shard.hasDemand { serve(shard) }
        }
    }

    /// A server connection was closed: somebody may be waiting for the room, in whichever pool and worker.
    func capacityFreed(_ shard: PoolShard) {
        shard.isFull = false
        serveDemand()
        guard shared.parallel else { return }
        for (number, peer) in peers.enumerated() where number != index {
            Task { await peer.capacityChanged() }
        }
    }

    /// Keeps min_pool_size servers open, as long as somebody uses the pool or its user is forced.
    func keepMinimum(_ shard: PoolShard) {
        guard shard.settings.minPoolSize > 0, shard.opening == 0, !shard.shared.key.isForLookups else { return }
        guard shard.clients > 0 || shard.database.forcedUser != nil else { return }
        if totalServers(shard) < shard.settings.minPoolSize { openServer(shard) }
    }

    /// Pools that are to be warm before anybody comes.
    func openMinimum() {
        for database in configuration.databases.values where configuration.minPoolSize(database: database) > 0 {
            guard let user = database.forcedUser else { continue }
            keepMinimum(shard(of: database, user: user))
        }
    }

    /// Starts one server connection. False: a limit, the pause after a failure, or an address that fails at once stands in the way.
    @discardableResult
    private func openServer(_ shard: PoolShard) -> Bool {
        guard shared.shutdown.load(ordering: .relaxed) != .waitForServers else { return false }
        let oldest = shard.queue.head?.since ?? now
        let mayUseReserve =
            shard.settings.limits.reserve > 0 && settings.reservePoolTimeout > 0 && now - oldest >= settings.reservePoolTimeout
        if shard.isFull, !mayUseReserve { return false }
        if let failure = shard.shared.failure {
            // While the server can't be reached, one try at a time, and a pause after each.
            guard now >= failure.time + settings.serverLoginRetry, shard.opening == 0 else { return false }
        }
        let verdict = shared.capacity.withLock {
            $0.openServer(shard.shared.key, limits: shard.settings.limits, mayUseReserve: mayUseReserve)
        }
        switch verdict {
        case .granted: break
        case .grantedFromReserve: shared.log.warning("\(mark(shard)) taking connection from reserve_pool")
        case .poolFull:
            shard.isFull = true
            return false
        case .databaseFull:
            makeRoom(database: shard.shared.key.database, user: nil)
            return false
        case .userFull:
            makeRoom(database: nil, user: shard.shared.key.user)
            return false
        }
        shard.opening += 1
        shard.servers += 1
        return findHost(Opening(shard: shard, generation: shard.generation, started: now, addresses: []))
    }

    private func mark(_ shard: PoolShard) -> String {
        "C-0x0: \(shard.databaseName)/\(shard.shared.key.user)@pool"
    }

    // MARK: Where to

    /// The first step towards a server. False: it failed at once.
    private func findHost(_ opening: Opening) -> Bool {
        let shard = opening.shard
        let hosts = shard.database.hosts
        let port = UInt16(clamping: shard.database.port)
        guard !hosts.isEmpty else {
            return connect(opening, unixDirectory: settings.unixSocketDir.isEmpty ? "/tmp" : settings.unixSocketDir, port)
        }
        let isSticky = shard.database.loadBalanceHosts == .disable
        let host = hosts[shard.shared.hostIndex(of: hosts.count, isSticky: isSticky)]
        if host.hasPrefix("/") || host.hasPrefix("@") { return connect(opening, unixDirectory: host, port) }
        if let address = SocketAddress(numeric: host, port: port) { return connect(opening.to([address])) }
        let me = peers[index]
        let question = shared.nextID()
        lookups[question] = opening
        Task {
            let result = await Resolver.resolve(host, port: port)
            await me.resolved(question, host, result)
        }
        return true
    }

    private func connect(_ opening: Opening, unixDirectory: String, _ port: UInt16) -> Bool {
        guard let address = SocketAddress(unixPath: "\(unixDirectory)/.s.PGSQL.\(port)") else {
            openingFailed(opening.shard, ServerLogin.error("Unix socket path is too long: \(unixDirectory)"))
            return false
        }
        return connect(opening.to([address]))
    }

    func resolved(_ question: UInt64, _ host: String, _ result: Result<[SocketAddress], Resolver.Failure>) {
        guard let opening = lookups.removeValue(forKey: question) else { return }
        switch result {
        case .success(let addresses):
            _ = connect(opening.to(addresses))
        case .failure(let failure):
            leaveHost(opening.shard)
            openingFailed(opening.shard, ServerLogin.error("server DNS lookup failed: \(host): \(failure.reason)"))
        }
    }

    /// Starts connecting to the first address; those after it are tried if it fails.
    private func connect(_ opening: Opening) -> Bool {
        let shard = opening.shard
        var left = opening.addresses[...]
        while let address = left.popFirst() {
            do {
                let descriptor = try Connector.start(to: address, options: socketOptions)
                let slot = servers.reserve()
                let server = ServerConnection(
                    slot: slot, id: shared.nextID(), descriptor: descriptor, loop: loop, shard: shard, address: address,
                    connectTime: opening.started, now: now,
                    parameters: shard.shared.greeting?.defaults ?? shard.shared.parameters.empty, generation: opening.generation)
                server.otherAddresses = Array(left)
                servers.set(slot, server)
                return true
            } catch {
                shared.log.warning("\(mark(shard)) connect to \(address.description) failed: \(error.reason)")
            }
        }
        leaveHost(shard)
        openingFailed(shard, ServerLogin.error("connect failed"))
        return false
    }

    var socketOptions: SocketOptions { SocketOptions(settings) }

    // MARK: Login

    /// The socket is connected, or it is not.
    func connected(_ server: ServerConnection) {
        if let error = server.socket.connectError() {
            connectFailed(server, error)
            return
        }
        let shard = server.shard
        let user = shard.shared.key.user
        let credential = credential(shard)
        server.login = ServerLogin(user: user, secret: credential?.secret ?? .none, passThrough: credential?.keys)
        server.phase = .authenticating
        if settings.logConnections {
            let local = SocketAddress.local(of: server.socket.descriptor)?.description ?? "?"
            shared.log.info("\(server.label) new connection to server (from \(local))")
        }
        var writer = MessageWriter()
        var parameters = [(name: "user", value: user), (name: "database", value: shard.database.serverName)]
        for parameter in shard.database.serverParameters { parameters.append((parameter.name, parameter.value)) }
        writer.startup(parameters: parameters)
        send(writer.bytes.span, to: server)
    }

    /// The secret of the pool's user: of the database entry, or of the user list.
    private func credential(_ shard: PoolShard) -> Credential? {
        let user = shard.shared.key.user
        if !shard.shared.key.isForLookups, shard.database.forcedUser != nil, let password = shard.database.password {
            return shared.credentials.credential(of: user, text: password)
        }
        return configuration.userList.secrets[user].map { shared.credentials.credential(of: user, text: $0) } ?? shard.shared.credential
    }

    /// Handles bytes of a server that is not logged in; returns up to where.
    func login(_ server: ServerConnection, _ bytes: Span<UInt8>) -> Int {
        var at = 0
        while at < bytes.count {
            // While its password is being hashed it has nothing to say.
            guard server.phase == .authenticating, server.login?.isDeriving != true else { return at }
            guard case .frame(let frame) = peekFrame(bytes, at: at), frame.length <= 1 << 20 else {
                if case .short = peekFrame(bytes, at: at) { return at }
                loginFailed(server, ServerLogin.error("server login failed: malformed message"))
                return bytes.count
            }
            guard bytes.count - at >= frame.length, var login = server.login else { return at }
            let step = login.receive(frame, bytes, at: at, cache: &saltedPasswords)
            server.login = login
            at += frame.length
            switch step {
            case .wait: break
            case .send(let message): send(message.span, to: server)
            case .derive(let derivation):
                if !derive(derivation, for: .server(slot: server.slot, id: server.id)) {
                    loginFailed(server, ServerLogin.error("server login failed: too many passwords are being hashed"))
                    return bytes.count
                }
                return at
            case .done: loggedIn(server)
            case .failed(let fields):
                loginFailed(server, fields)
                return bytes.count
            }
        }
        return at
    }

    /// The password has been hashed.
    func continueLogin(_ server: ServerConnection) {
        guard server.phase == .authenticating, var login = server.login, login.isDeriving else { return }
        let step = login.derived(cache: &saltedPasswords)
        server.login = login
        switch step {
        case .send(let message): send(message.span, to: server)
        case .failed(let fields): loginFailed(server, fields)
        case .wait, .done, .derive: break
        }
        if server.isOpen { postponeReading(server) }
    }

    private func loggedIn(_ server: ServerConnection) {
        guard let login = server.login else { return }
        let shard = server.shard
        let isFirst = shard.shared.greeting == nil
        let greeting = shard.shared.loggedIn(login.parameters, generation: server.generation)
        let tracked = login.parameters.filter { ParameterTable.isTracked($0.name) }
        server.session.parameters =
            tracked == greeting.parameters.filter { ParameterTable.isTracked($0.name) }
            ? greeting.defaults : shard.shared.parameters.intern(reported: tracked, unreported: [], byServer: true)
        server.cancelKey = login.cancelKey
        server.login = nil
        server.lastActivity = now
        shard.shared.connected.add(1, ordering: .relaxed)
        shard.counters.serversOpened &+= 1
        if let query = shard.database.connectQuery, !query.isEmpty {
            server.phase = .settingUp
            run(.connectQuery, query, on: server)
        } else {
            opened(server)
        }
        if isFirst || !shard.awaitingGreeting.isEmpty { announceGreeting(shard) }
    }

    /// A new server is fit for use.
    func opened(_ server: ServerConnection) {
        server.shard.opening -= 1
        server.phase = .idle
        free(server)
    }

    private func announceGreeting(_ shard: PoolShard) {
        greetingArrived(shard.shared.key)
        guard shared.parallel else { return }
        let key = shard.shared.key
        for (number, peer) in peers.enumerated() where number != index {
            Task { await peer.greetingArrived(key) }
        }
    }

    // MARK: Failure

    private func loginFailed(_ server: ServerConnection, _ fields: ErrorFields) {
        let message = fields.message ?? "unknown error"
        shared.log.warning("\(server.label) server login failed: \(fields.severity ?? "FATAL") \(message)")
        let shard = server.shard
        discard(server, "login failed")
        openingFailed(shard, fields, isLogin: true)
    }

    /// The address can't be reached: the host may have another one.
    private func connectFailed(_ server: ServerConnection, _ error: SystemError) {
        guard !server.otherAddresses.isEmpty else {
            openingFailed(server, "connect failed", detail: error.reason)
            return
        }
        shared.log.warning("\(server.label) connect failed: \(error.reason), trying the next address")
        let opening = Opening(
            shard: server.shard, generation: server.generation, started: server.connectTime, addresses: server.otherAddresses)
        discard(server, "connect failed")
        _ = connect(opening)
    }

    /// A list of hosts that is not balanced is gone through from failure to failure.
    private func leaveHost(_ shard: PoolShard) {
        if shard.database.loadBalanceHosts == .disable { shard.shared.advanceHost() }
    }

    /// The connection could not be made, or broke before the login was done.
    func openingFailed(_ server: ServerConnection, _ reason: String, detail: String? = nil) {
        let shard = server.shard
        if let detail { shared.log.warning("\(server.label) \(reason): \(detail)") }
        leaveHost(shard)
        discard(server, reason)
        openingFailed(shard, ServerLogin.error(reason))
    }

    /// Takes a server out that never served; the counters are `openingFailed`'s.
    private func discard(_ server: ServerConnection, _ reason: String) {
        if settings.logDisconnections {
            shared.log.info("\(server.label) closing because: \(reason) (age=\((now - server.connectTime) / 1_000_000)s)")
        }
        server.phase = .closed
        server.socket.close()
        servers.remove(server.slot)
    }

    private func openingFailed(_ shard: PoolShard, _ fields: ErrorFields, isLogin: Bool = false) {
        shard.opening -= 1
        shard.servers -= 1
        shared.capacity.withLock { $0.closeServer(shard.shared.key) }
        shard.shared.loginFailed(fields, now: now)
        shard.counters.serversFailed &+= 1
        defer { shard.isFull = false }
        // A server that is starting up will be there soon: those who wait go on waiting.
        guard isLogin, fields.code != SQLState.cannotConnectNow else { return }
        loginFailed(shard.shared.key)
        guard shared.parallel else { return }
        let key = shard.shared.key
        for (number, peer) in peers.enumerated() where number != index {
            Task { await peer.loginFailed(key) }
        }
    }

    /// The server refuses this pool: with no server left that could serve them, waiting clients hear why at once.
    func loginFailed(_ key: CapacityLedger.PoolKey) {
        guard let shard = shards[key], let failure = shard.shared.failure, shard.shared.connected.load(ordering: .relaxed) == 0 else {
            return
        }
        for waiter in shard.queue.allWaiting {
            if let client = clients[waiter.client] { fail(client, .serverLoginFailed(failure.fields)) }
        }
        for slot in shard.awaitingGreeting {
            if let client = clients[slot] { fail(client, .serverLoginFailed(failure.fields)) }
        }
        failLookups(shard, .serverLoginFailed(failure.fields))
    }

    // MARK: Room

    /// A limit across pools is reached: the server that has been idle longest makes room. With none here, one other worker is asked, a
    /// different one each time.
    private func makeRoom(database: String?, user: String?) {
        if evictIdle(database: database, user: user) || !shared.parallel { return }
        guard now - lastPlea > 50_000 else { return }
        lastPlea = now
        nextPlea = (nextPlea + 1) % peers.count
        if nextPlea == index { nextPlea = (nextPlea + 1) % peers.count }
        let peer = peers[nextPlea]
        Task { await peer.evictIdle(database: database, user: user) }
    }

    @discardableResult
    func evictIdle(database: String?, user: String?) -> Bool {
        let candidates = servers.all.filter { server in
            server.phase == .idle && !server.shard.hasDemand
                && (database == nil || server.shard.shared.key.database == database)
                && (user == nil || server.shard.shared.key.user == user)
        }
        guard let victim = candidates.min(by: { $0.lastActivity < $1.lastActivity }) else { return false }
        close(victim, .obsolete(database != nil ? "evicted for max_db_connections" : "evicted for max_user_connections"))
        return true
    }
}
