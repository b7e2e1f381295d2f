import Authentication
import Bytes
import EventLoop
import PoolCore
import PostgresWire
import Synchronization
import Telemetry

/// New server connections: when, where to, and how they log in.
final class ServerOpener: WorkerPart {
    unowned let worker: WorkerCore
    /// When `tryLogins` is due; `Int64.max`: nobody waits for it.
    var loginsDue = Int64.max
    /// Server connections that wait for their passwords, and how many passwords have been asked for: their numbers.
    var passwordWaiters: [UInt64: PasswordWaiter] = [:]
    var passwordsAsked: UInt64 = 0
    let hosts: HostResolver
    let room: RoomMaker
    let exchange: ServerExchange

    init(of worker: WorkerCore) {
        self.worker = worker
        room = RoomMaker(of: worker)
        exchange = ServerExchange(of: worker)
        hosts = HostResolver(loop: worker.loop, shared: worker.shared, settings: worker.settings) { [unowned worker] in
            worker.refreshClock()
            return worker.now
        }
    }

    // MARK: When

    /// Gets servers for those who wait: idle ones of other workers, if `borrows`, and new ones as far as limits allow.
    func serve(_ shard: PoolShard, borrows: Bool = true) {
        if !shard.machine.awaitingDedicated.isEmpty { serveDedicated(shard) }
        while true {
            switch shard.machine.provide(now: now, borrows: borrows, shard.shared) {
            case .borrow(let lender): worker.tell(lender, .lend(shard.shared.key, to: worker.index))
            case .open: guard openServer(shard, isWanted: true) else { return }
            case .nothing: return
            }
        }
    }

    /// Tests more idle servers for those who wait. Not while bytes of a client are handled: it serves others.
    func takeMoreIdle(_ shard: PoolShard) {
        while shard.machine.wantsMoreIdle(now: now) {
            if let server = worker.takeIdle(shard) { worker.returnToPool(server) }
        }
    }

    /// All pools of this worker in which somebody waits.
    func serveDemand() {
        var wanting: [PoolShard] = []
        for shard in worker.shards.values {
            shard.machine.roomChanged()
            if shard.machine.hasDemand { wanting.append(shard) }
        }
        if wanting.count > 1 { wanting.sort { ($0.machine.queue.head?.since ?? 0) < ($1.machine.queue.head?.since ?? 0) } }
        for shard in wanting { serve(shard) }
    }

    /// A server connection was closed: somebody may be waiting for the room, in whichever pool and worker.
    func capacityFreed() {
        serveDemand()
        worker.tellOthersOfRoom()
    }

    /// Keeps min_pool_size servers open, as long as somebody uses the pool or its user is forced.
    func keepMinimum(_ shard: PoolShard) {
        guard shard.settings.minPoolSize > 0, !shard.isOrphaned, !shard.shared.key.isForLookups, shard.shared.key.startup.isEmpty else {
            return
        }
        guard shard.clients > 0 || shard.database.forcedUser != nil else { return }
        if shard.machine.lacksMinimum(total: worker.totalServers(shard)) { openServer(shard, isWanted: false) }
    }

    /// Pools that are to be warm before anybody comes.
    func openMinimum() {
        for database in configuration.databases.values where configuration.minPoolSize(database: database) > 0 {
            guard let user = database.forcedUser else { continue }
            keepMinimum(worker.pools.shard(of: database, user: user))
        }
    }

    /// Starts one server connection. False: a limit, the pause after a failure, or an address that fails at once stands in the way.
    /// `isWanted`: somebody waits for it. No server is closed, and no login that was refused tried again, where nobody does.
    @discardableResult
    func openServer(_ shard: PoolShard, isWanted: Bool, probe: StartProbe? = nil) -> Bool {
        if room.isKept(from: shard.shared.key) { return false }
        let isStopping = shared.isStopping
        let mayUseReserve: Bool
        let retryAfter: Int64?
        switch shard.machine.mayOpen(isWanted: isWanted, now: now, isStopping: isStopping, shard.shared) {
        case .no: return false
        case .later(let moment):
            wakeForLogins(at: moment)
            return false
        case .ask(let reserve, let pause): (mayUseReserve, retryAfter) = (reserve, pause)
        }
        let verdict = shared.capacity.withLock {
            $0.openServer(shard.shared.key, limits: shard.settings.limits, mayUseReserve: mayUseReserve)
        }
        switch shard.machine.granted(verdict, isWanted: isWanted, shard.shared) {
        case .open: break
        case .openFromReserve: shared.log.warning("taking connection from reserve_pool", about: subject(shard))
        case .claimRoom:
            room.claim(for: shard)
            return false
        case .makeRoom:
            room.makeRoom(for: shard, verdict)
            return false
        case .giveUp:
            return false
        }
        if let retryAfter, !takeTry(shard, after: retryAfter) {
            shared.capacity.withLock { $0.closeServer(shard.shared.key) }
            if isWanted { wakeForLogins(at: now + PoolFailure.refusalPause) }
            return false
        }
        shard.machine.openingBegan()
        var opening = Opening(shard: shard, generation: shard.generation, started: now)
        opening.probe = probe
        return start(opening)
    }

    /// The pool, for the log, where no connection is meant in particular.
    func subject(_ shard: PoolShard) -> LogSubject { .pool(database: shard.databaseName, user: shard.shared.key.user) }

    // MARK: Login

    /// The socket is connected, or it is not.
    func connected(_ server: ServerConnection) {
        if let error = server.channel.connectError() {
            openingFailed(server, .connectFailed(error.reason))
            return
        }
        // An event may be that of a socket which had the slot before.
        if server.channel.isConnecting() { return }
        if isProbeOfOneself(server) {
            probed(server.opening, .isThisPooler)
            return
        }
        encrypt(server)
    }

    /// Sends the startup packet, on whatever the settings made of the connection.
    func logIn(_ server: ServerConnection) {
        let shard = server.shard
        let user = shard.shared.key.user
        let (secret, keys) = secret(server.opening)
        let minors = shard.database.protocolLimits.minors
        server.login = ServerLogin(
            user: user, secret: secret, passThrough: keys, endPoint: server.tls?.endPoint, binding: shard.database.channelBinding,
            minors: minors)
        server.move(to: .authenticating)
        if settings.logConnections {
            let local = SocketAddress.local(of: server.channel.descriptor)?.description ?? "?"
            shared.log.info("new connection to server (from \(local))", about: server.subject)
        }
        var writer = MessageWriter()
        var parameters = [(name: "user", value: user), (name: "database", value: shard.database.serverName)]
        for parameter in shard.database.serverParameters { parameters.append((parameter.name, parameter.value)) }
        for parameter in shard.shared.key.startup.given { parameters.append((parameter.name, parameter.value)) }
        if let dedication = server.opening.lease { parameters = dedication.startup }
        writer.startup(minor: minors.upperBound, parameters: parameters)
        worker.send(writer.bytes.span, to: server)
    }

    /// What the pool's user logs in with. A file or a command comes first: it was asked for this login.
    private func secret(_ opening: Opening) -> (StoredSecret, SCRAMKeys?) {
        if let password = opening.password { return (.plain(password.text), nil) }
        let credential = credential(opening.shard)
        return (credential?.secret ?? .none, credential?.keys)
    }

    /// The secret of the pool's user: of the database entry, or of the user list.
    private func credential(_ shard: PoolShard) -> Credential? {
        let user = shard.shared.key.user
        if !shard.shared.key.isForLookups, shard.database.forcedUser != nil, let password = shard.database.password {
            return shared.credentials.credential(of: user, text: password)
        }
        let learnt = shard.shared.credential
        if let learnt, learnt.isTyped { return learnt }
        return configuration.userList.secrets[user].map { shared.credentials.credential(of: user, text: $0) } ?? learnt
    }

    /// Handles bytes of a server that is not logged in; returns up to where.
    func login(_ server: ServerConnection, _ bytes: Span<UInt8>) -> Int {
        var at = 0
        while at < bytes.count {
            // While its password is being hashed it has nothing to say.
            guard server.phase == .authenticating, server.login?.isDeriving != true else { return at }
            guard case .frame(let frame) = peekFrame(bytes, at: at), frame.length <= 1 << 20 else {
                if case .short = peekFrame(bytes, at: at) { return at }
                loginFailed(server, .login("malformed message"))
                return bytes.count
            }
            guard bytes.count - at >= frame.length, var login = server.login else { return at }
            let step = login.receive(frame, bytes, at: at, cache: &worker.logins.saltedPasswords)
            server.login = login
            at += frame.length
            switch step {
            case .wait: break
            case .send(let message):
                if isProbeWithoutPassword(server) {
                    probed(server.opening, .lacksPassword)
                    return bytes.count
                }
                noteProbe(server, says: message)
                worker.send(message.span, to: server)
            case .derive(let derivation):
                if !worker.logins.derive(derivation, for: .server(slot: server.slot, id: server.id)) {
                    loginFailed(server, .login("too many passwords are being hashed"))
                    return bytes.count
                }
                return at
            case .done: loggedIn(server)
            case .failed(let failure):
                loginFailed(server, failure)
                return bytes.count
            }
        }
        return at
    }

    /// The password has been hashed.
    func continueLogin(_ server: ServerConnection) {
        guard server.phase == .authenticating, var login = server.login, login.isDeriving else { return }
        let step = login.derived(cache: &worker.logins.saltedPasswords)
        server.login = login
        switch step {
        case .send(let message): worker.send(message.span, to: server)
        case .failed(let failure): loginFailed(server, failure)
        case .wait, .done, .derive: break
        }
        if server.isOpen { worker.postponeReading(server) }
    }

    private func loggedIn(_ server: ServerConnection) {
        guard let login = server.login else { return }
        server.tls?.remember()
        let shard = server.shard
        if let password = server.opening.password { shared.serverPasswords.accepted(password.key) }
        if let dedication = server.opening.lease {
            server.session.settings = ServerParameters(reported: login.parameters, in: shard.shared.parameters)
            server.cancelKey = login.cancelKey
            server.login = nil
            server.lastActivity = now
            server.move(to: .freed)
            shard.shared.countLogin(server.generation, 1, isDedicated: true)
            dedicatedIsReady(server, dedication, login)
            return
        }
        let version = login.parameters.first { $0.name == "server_version" }?.value
        probed(server.opening, .answered(version: version ?? "of an unknown version"))
        let isFirst = shard.shared.greeting == nil
        let wasFailing = shard.shared.failure != nil
        server.session.settings = ServerParameters(reported: login.parameters, in: shard.shared.parameters)
        shard.shared.loggedIn(login.parameters, server.session.settings.defaults, generation: server.generation)
        server.cancelKey = login.cancelKey
        server.login = nil
        server.lastActivity = now
        shard.shared.countLogin(server.generation, 1)
        shard.counters.serversOpened &+= 1
        if let query = shard.database.connectQuery, !query.isEmpty {
            server.move(to: .settingUp)
            worker.run(.connectQuery, query, on: server)
        } else {
            opened(server)
        }
        if isFirst || !shard.machine.awaitingGreeting.isEmpty { announceGreeting(shard) }
        // One login was tried for all.
        if wasFailing { capacityFreed() }
    }

    /// A new server is fit for use.
    func opened(_ server: ServerConnection) {
        server.shard.machine.serverOpened()
        worker.returnToPool(server)
    }

    private func announceGreeting(_ shard: PoolShard) {
        worker.logins.greetingArrived(shard.shared.key)
        worker.tellOthers { .greetingArrived(shard.shared.key) }
    }

    // MARK: Failure

    private func loginFailed(_ server: ServerConnection, _ failure: OpeningFailure) {
        let fields = failure.fields
        if triesAnotherPassword(server, fields) { return }
        let message = fields.message ?? "unknown error"
        shared.log.warning("server login failed: \(fields.severity ?? "FATAL") \(message)", about: server.subject)
        discard(server, failure)
        openingFailed(server.opening, failure)
    }

    /// The connection could not be made, or broke before the login was done. If the address can't be reached, the host may have another
    /// one, or the list another host.
    func openingFailed(_ server: ServerConnection, _ failure: OpeningFailure) {
        let opening = server.opening
        let text = failure.detail.map { "\(failure.message): \($0)" } ?? failure.message
        if server.phase == .connecting {
            shared.hosts.withLock { $0.couldNotReach(server.address.with(port: 0), now: now) }
            if opening.isToGoOn {
                shared.log.warning("\(text), trying the next address", about: server.subject)
                discard(server, failure)
                _ = goOn(opening)
                return
            }
        }
        if failure.detail != nil { shared.log.warning("\(text)", about: server.subject) }
        leaveHost(opening)
        discard(server, failure)
        openingFailed(opening, failure)
    }

    /// Takes a server out that never served; the counters are `openingFailed`'s.
    func discard(_ server: ServerConnection, _ failure: OpeningFailure) {
        if settings.logDisconnections {
            shared.log.info(worker.closing(.notOpened(failure) as ServerCloseReason, since: server.connectTime), about: server.subject)
        }
        server.move(to: .closed)
        worker.endTLS(server)
        server.channel.close()
        server.held.clear(to: worker.chunks)
        worker.servers.remove(server.slot)
        server.shard.shared.countServer(server.generation, -1)
    }

    func openingFailed(_ opening: Opening, _ failure: OpeningFailure) {
        defer { worker.admin.tellThoseWhoAwaitCloses() }
        let fields = failure.fields
        opening.shard.counters.openingFailures.add(failure.cause)
        if let dedication = opening.lease {
            dedicatedFailed(opening, dedication, fields)
            return
        }
        let shard = opening.shard
        shard.machine.openingFailed()
        shared.capacity.withLock { $0.closeServer(shard.shared.key) }
        if opening.probe == nil {
            shard.shared.openingFailed(fields, started: opening.started, now: now, isRefusal: failure.isFinal)
        } else {
            // The first client is worth another try at once: by then a server that starts together with the pooler may be there.
            probed(opening, .failed(failure))
        }
        // Where no server answers, those who wait go on waiting.
        guard failure.isFinal else { return }
        loginFailed(shard.shared.key)
        worker.tellOthers { .loginFailed(shard.shared.key) }
    }
}
