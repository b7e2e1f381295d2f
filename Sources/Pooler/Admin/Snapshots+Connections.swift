import Bytes
import Console
import EventLoop
import PoolCore
import Statistics
import Synchronization

/// What the worker knows of its connections, for SHOW and WHY.
extension Snapshots {
    /// So many slots are looked at in one go; queries come between.
    private static let factsPerTurn = 256

    func clientFacts(from slot: Int) -> (facts: [ConnectionFacts], next: Int?) {
        let (slice, next) = worker.clients.slice(from: slot, count: Self.factsPerTurn)
        return (slice.map(facts), next)
    }

    private func facts(_ client: ClientConnection) -> ConnectionFacts {
        let state: ConnectionFacts.State =
            switch client.phase {
            case .startup, .authenticating, .closed: .login
            case .awaitingGreeting, .waiting: .waiting
            case .canceling: .activeCancelRequest
            case .linked, .console: .active
            case .idle, .skipping: .idle
            }
        var facts = ConnectionFacts(
            isServer: false, id: client.id, state: state, connectTime: client.connectTime, requestTime: client.requestTime)
        facts.user = client.user.isEmpty ? nil : client.user
        facts.database = client.shard?.databaseName ?? client.console.map { _ in ShowTopic.consoleDatabase }
        facts.peer = SocketAddress.peer(of: client.channel.descriptor)
        facts.local = SocketAddress.local(of: client.channel.descriptor)
        if facts.peer?.isUnix == true { facts.remotePID = PeerIdentity(of: client.channel.descriptor).map { Int($0.processID) } ?? 0 }
        switch client.phase {
        case .waiting, .awaitingGreeting: facts.queryStart = client.requestTime
        case .console where client.console?.session.isBusy == true: facts.queryStart = client.console?.commandStart ?? 0
        default: facts.queryStart = client.server?.queryStart ?? 0
        }
        facts.link = client.server?.id
        facts.tls = client.tls?.summary ?? ""
        facts.replication = client.replication?.rawValue ?? "none"
        facts.applicationName = client.console?.applicationName ?? client.session.parameters?["application_name"]
        facts.preparedStatements = client.session.statements.count
        facts.remaining = client.passThrough
        facts.held = client.held.count
        facts.unsent = client.channel.pendingOutput
        if case .canceling = client.phase { facts.request = .init(worker: worker.index, slot: client.slot) }
        return facts
    }

    /// Servers, and the connections of cancel requests to servers and peers. `lent` is what all of the worker's pools have lent to other
    /// workers, less what they got.
    func serverFacts() -> (facts: [ConnectionFacts], lent: Int) {
        var all: [ConnectionFacts] = []
        worker.servers.visit { all.append(facts($0)) }
        worker.cancels.connections.visit { all.append(facts($0)) }
        worker.servers.visit { server in
            // No connection, but somebody to be shown as waiting.
            for requester in server.cancels?.requesters ?? [] {
                var facts = ConnectionFacts(
                    isServer: true, id: 0, state: .waitingCancelRequest, connectTime: now, requestTime: now)
                facts.request = .init(worker: requester.worker, slot: requester.slot)
                all.append(facts)
            }
        }
        worker.cancels.peers.visit { all.append(facts($0)) }
        let lent =
            worker.shards.values.reduce(0) { $0 + $1.machine.serversLent }
            + worker.pools.forgotten.values.reduce(0) { $0 + $1.statistics.gauges.serversLent }
        return (all, lent)
    }

    private func facts(_ server: ServerConnection) -> ConnectionFacts {
        let state = ConnectionFacts.State(rawValue: server.state(now: now, checkDelay: checkDelay).rawValue) ?? .new
        var facts = ConnectionFacts(
            isServer: true, id: server.id, state: state, connectTime: server.connectTime,
            requestTime: server.client?.requestTime ?? server.lastActivity)
        facts.user = server.shard.shared.key.user
        facts.database = server.shard.databaseName
        facts.peer = server.address
        facts.local = SocketAddress.local(of: server.channel.descriptor)
        facts.queryStart = server.client != nil ? server.queryStart : 0
        facts.closeNeeded = worker.isObsolete(server)
        facts.link = server.client?.id
        facts.tls = server.tls?.summary ?? ""
        facts.replication = server.client?.replication?.rawValue ?? "none"
        facts.remotePID = server.cancelKey.map { Int($0.processID) } ?? 0
        facts.applicationName = server.session.settings.current["application_name"]
        facts.preparedStatements = server.session.statements.count
        facts.remaining = server.passThrough
        facts.held = server.held.count
        facts.unsent = server.channel.pendingOutput
        return facts
    }

    private func facts(_ connection: CancelConnection) -> ConnectionFacts {
        var facts = ConnectionFacts(
            isServer: true, id: connection.id, state: connection.isSent ? .activeCancel : .waitingCancelRequest,
            connectTime: connection.startTime,
            requestTime: connection.startTime)
        if let requester = connection.requesters.first { facts.request = .init(worker: requester.worker, slot: requester.slot) }
        facts.user = connection.server.shard.shared.key.user
        facts.database = connection.server.shard.databaseName
        facts.peer = connection.server.address
        facts.local = SocketAddress.local(of: connection.socket.descriptor)
        return facts
    }

    private func facts(_ request: PeerCancel) -> ConnectionFacts {
        var facts = ConnectionFacts(
            isServer: true, id: request.id, state: request.isUnderWay ? .activeCancel : .waitingCancelRequest,
            connectTime: request.startTime, requestTime: request.startTime)
        facts.request = .init(worker: worker.index, slot: request.client.slot)
        if let descriptor = request.socket?.descriptor {
            facts.peer = SocketAddress.peer(of: descriptor)
            facts.local = SocketAddress.local(of: descriptor)
        }
        return facts
    }

    // MARK: Why

    /// Pools that share a size are one to those who wait.
    func waitFacts(_ key: CapacityLedger.PoolKey) -> WaitFacts? {
        var sum: WaitFacts?
        for shard in worker.shards.values where shard.shared.key.family == key {
            let part = facts(of: shard)
            guard sum != nil else {
                sum = part
                continue
            }
            sum! += part
            sum!.connected += part.connected
        }
        return sum
    }

    func waitFacts(_ shard: PoolShard) -> WaitFacts {
        shard.shared.family.isDivided ? waitFacts(shard.shared.key.family) ?? facts(of: shard) : facts(of: shard)
    }

    private func facts(of shard: PoolShard) -> WaitFacts {
        let key = shard.shared.key.family
        var facts = WaitFacts(pool: key, limits: shard.settings.limits)
        facts.usesReserve = shard.machine.mayUseReserve(now: now)
        (facts.servers, facts.databaseServers, facts.userServers) = shared.capacity.withLock {
            ($0.servers(of: key), $0.servers(ofDatabase: key.database), $0.servers(ofUser: key.user))
        }
        facts.connected = shard.shared.connected
        facts.policy = shard.settings.policy
        facts.isPaused = shard.machine.isPaused
        facts.isWholePaused = worker.admin.state.isPaused
        facts.isDatabasePaused = worker.admin.state.pausedDatabases.contains(key.database)
        facts.isShuttingDown = shared.isStopping
        if let failure = shard.shared.failure {
            facts.failure = failure.text
            facts.failureCode = failure.fields.code
        }
        facts.awaitsPassword = worker.opener.passwordWaiters.values.contains { $0.opening.shard === shard }
        facts.waiting = shard.machine.waitingSince
        worker.servers.visit { server in
            guard server.shard === shard else { return }
            if server.phase == .idle { facts.idle += 1 } else if let holder = holder(server) { facts.holders.append(holder) }
        }
        let totals = shard.tally.last.totals.transactions >= 10 ? shard.tally.last.totals : shard.counters.totals
        (facts.transactions, facts.transactionTime) = (totals.transactions, totals.transactionTime)
        return facts
    }

    /// Who has servers of other pools that count against this limit.
    func rivals(of key: CapacityLedger.PoolKey, under limit: WaitDiagnosis.Limit) -> [ServerHolder] {
        var rivals: [ServerHolder] = []
        worker.servers.visit { server in
            let other = server.shard.shared.key
            let counts =
                switch limit {
                case .database: other.database.hasSameBytes(as: key.database) && !other.user.hasSameBytes(as: key.user)
                case .user: other.user.hasSameBytes(as: key.user) && !other.database.hasSameBytes(as: key.database)
                default: false
                }
            guard counts, var holder = holder(server) else { return }
            holder.pool = other
            rivals.append(holder)
        }
        return rivals
    }

    /// Who has a server, or what is done to it; nil when it is free.
    private func holder(_ server: ServerConnection) -> ServerHolder? {
        let client = server.client
        let state: ServerHolder.State
        var since = server.lastActivity
        switch server.phase {
        case .linked:
            if server.session.ledger.isRunning {
                state = .running
                since = server.queryStart
            } else {
                state = server.session.status == .idle ? .idle : .idleInTransaction
                since = max(server.lastActivity, client?.requestTime ?? 0)
            }
        case .trying, .testing, .resetting, .settingUp, .lookingUp, .abandoned: state = .preparing
        case .connecting, .encrypting, .authenticating:
            state = .opening
            since = server.connectTime
        case .beingCanceled: state = .beingCanceled
        case .idle, .freed, .closed: return nil
        }
        let statement = client.flatMap { StatementExcerpt.text(of: server.lastStatement.bytes, statements: $0.session.statements) }
        let start = server.transactionStart > 0 ? server.transactionStart : state == .running ? server.queryStart : 0
        return ServerHolder(
            server: server.id, client: client?.id, applicationName: client?.session.parameters?["application_name"], state: state,
            age: since > 0 ? max(0, now - since) : 0, transactionAge: start > 0 ? now - start : 0, statement: statement)
    }

    func clientStanding(_ id: UInt64) -> ClientStanding? {
        guard let client = worker.admin.client(withID: id) else { return nil }
        var standing = ClientStanding(pool: client.shard?.shared.key.family)
        switch client.phase {
        case .waiting, .awaitingGreeting: standing.since = client.requestTime
        case .startup, .authenticating: standing.text = "it is logging in"
        case .idle, .skipping: standing.text = "it has asked nothing for \(WaitDiagnosis.duration(now - client.requestTime))"
        case .linked: standing.text = "it has server \(client.server?.id ?? 0)"
        case .console: standing.text = "it talks to the console"
        case .canceling: standing.text = "it carries a cancel request"
        case .closed: return nil
        }
        if let server = client.server { standing.holder = holder(server) }
        return standing
    }
}
