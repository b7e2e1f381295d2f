import EventLoop
import PoolCore
import PostgresWire

/// What a client with `replication` in its startup packet wants.
enum ReplicationMode: String, Sendable {
    /// The whole cluster; the database's name does not matter to PostgreSQL.
    case physical
    /// One database.
    case logical

    enum Reading {
        case value(ReplicationMode?)
        case invalid
    }

    /// Reads the parameter as PostgreSQL does: `database`, or any beginning of a word for true or false.
    static func read(_ text: String?) -> Reading {
        guard let word = text?.lowercased() else { return .value(nil) }
        if text == "database" { return .value(.logical) }
        func begins(_ whole: String, atLeast count: Int) -> Bool { word.utf8.count >= count && whole.hasPrefix(word) }
        if word == "1" || begins("true", atLeast: 1) || begins("yes", atLeast: 1) || word == "on" { return .value(.physical) }
        if word == "0" || begins("false", atLeast: 1) || begins("no", atLeast: 1) || begins("off", atLeast: 2) { return .value(nil) }
        return .invalid
    }
}

/// Replication: each client gets a server of its own, which is told what the client's startup packet said and lives as long as the client.
extension ServerOpener {
    /// The client has shown who it is. Its login goes on when its server has logged in; AuthenticationOk goes out with the greeting.
    func requestDedicated(_ client: ClientConnection) {
        client.move(to: .awaitingGreeting)
        client.requestTime = now
        client.shard?.machine.awaitDedicated(client.slot, since: now)
        client.shard.map(serveDedicated)
    }

    /// Opens servers for those who wait for one of their own.
    func serveDedicated(_ shard: PoolShard) {
        let isStopping = shared.isStopping
        while let slot = shard.machine.nextDedicated(isStopping: isStopping) {
            guard let client = worker.clients[slot], let login = client.login else {
                shard.machine.dedicatedIsOver(for: slot)
                continue
            }
            guard grantDedicated(shard) else { return }
            shard.machine.dedicatedIsOver(for: slot)
            shard.machine.openingBegan(isDedicated: true)
            var opening = Opening(shard: shard, generation: shard.generation, started: now)
            opening.lease = ReplicationLease(client: slot, id: client.id, startup: startup(of: client, login))
            _ = start(opening)
        }
    }

    /// Room for one more server. False: the client has to wait, or has been served meanwhile by the room that an idle server made.
    private func grantDedicated(_ shard: PoolShard) -> Bool {
        let key = shard.shared.key
        let verdict = shared.capacity.withLock { $0.openServer(key, limits: shard.settings.limits) }
        switch verdict {
        case .granted, .grantedFromReserve: return true
        case .poolFull, .databaseFull, .userFull:
            room.makeRoom(for: shard, verdict)
            return false
        }
    }

    /// What the server is told: the client's own words, and the database entry's where the client is silent.
    private func startup(of client: ClientConnection, _ login: ClientLoginState) -> [(name: String, value: String)] {
        guard let shard = client.shard else { return [] }
        var result = [(name: "user", value: shard.shared.key.user), (name: "database", value: shard.database.serverName)]
        let given = Set(login.template.parameters.map { $0.name.lowercased() })
        for parameter in shard.database.serverParameters where !given.contains(parameter.name) {
            result.append((parameter.name, parameter.value))
        }
        return result + login.template.parameters.map { ($0.name, $0.value) }
    }

    /// The server of a replication client has logged in: what it said is the client's greeting.
    func dedicatedIsReady(_ server: ServerConnection, _ dedication: ReplicationLease, _ login: ServerLogin) {
        let shard = server.shard
        guard let client = worker.clients[dedication.client], client.id == dedication.id, let clientLogin = client.login else {
            worker.close(server, .clientDisconnected(isMidMessage: false))
            return
        }
        client.session.parameters = server.session.settings.adjustedTo
        var writer = MessageWriter()
        writer.bytes = clientLogin.answer
        for parameter in login.parameters { writer.parameterStatus(name: parameter.name, value: parameter.value) }
        worker.logins.writeOwnParameters(&writer, shard)
        worker.cancels.giveCancelKey(to: client, &writer)
        writer.readyForQuery(.idle)
        client.login = nil
        worker.logins.isOver()
        shard.counters.totals.logins &+= 1
        shard.counters.serversOpened &+= 1
        client.requestTime = now
        // Its login was no query.
        server.queryStart = 0
        worker.link(client, server)
        worker.send(writer.bytes, to: client)
        worker.carryOn(client)
    }

    /// Nobody else waits for this server: its client hears what went wrong, and comes again if it wants to.
    func dedicatedFailed(_ opening: Opening, _ dedication: ReplicationLease, _ fields: ErrorFields) {
        opening.shard.machine.openingFailed(isDedicated: true)
        shared.capacity.withLock { $0.closeServer(opening.shard.shared.key) }
        if let client = worker.clients[dedication.client], client.id == dedication.id { worker.fail(client, .serverLoginFailed(fields)) }
    }
}

/// Whose server it is that is being made.
struct ReplicationLease {
    /// The client's slot, and its id: the slot may have been given to somebody else since.
    let client: UInt32
    let id: UInt64
    /// The startup packet for the server.
    let startup: [(name: String, value: String)]
}
