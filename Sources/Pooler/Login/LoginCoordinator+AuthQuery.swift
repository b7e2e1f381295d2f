import Authentication
import Bytes
import Configuration
import PoolCore
import PostgresWire
import Synchronization

/// How a lookup ended.
enum LookupAnswer: Sendable {
    case outcome(UserLookup.Outcome)
    /// The settings don't let anybody be asked.
    case refused(LoginFailure)
    /// No server can be asked; this is what the client is told.
    case unavailable(PoolerError)
}

/// `auth_query`: users who are not in the user list are looked up in PostgreSQL, at each login anew.
///
/// Each database has a pool of `auth_user` for it, which no client ever gets a server of: whatever a client asks for in its startup
/// packet can't reach the connection that the query runs on. All workers ask through the same one of them, so that idle servers need
/// not be looked for elsewhere.
extension LoginCoordinator {
    /// Where and how a user is looked up.
    struct LookupPlan {
        let authUser: String
        let query: String
        let database: String
    }

    /// Nil when unknown users are not looked up, or the database is not known either.
    func lookupPlan(_ template: LoginTemplate) -> LookupPlan? {
        // The console has no entry, even if `*` would make one.
        let isConsole = worker.admin.console.isConsole(template.databaseName)
        let database = isConsole ? nil : template.database
        guard isConsole || database != nil else { return nil }
        guard let user = Self.nonEmpty(database?.authUser) ?? Self.nonEmpty(settings.authUser) else { return nil }
        let home = Self.nonEmpty(database?.authDatabase) ?? Self.nonEmpty(settings.authDbname) ?? template.databaseName
        return LookupPlan(authUser: user, query: Self.nonEmpty(database?.authQuery) ?? settings.authQuery, database: home)
    }

    private static func nonEmpty(_ text: String?) -> String? { text.flatMap { $0.isEmpty ? nil : $0 } }

    // MARK: Asking

    func lookUp(_ client: ClientConnection, _ plan: LookupPlan) {
        guard !worker.admin.console.isConsole(plan.database) else {
            return refuse(client, .reservedAuthDatabase)
        }
        guard configuration.database(named: plan.database) != nil else {
            return refuse(client, .unknownAuthDatabase(plan.database))
        }
        guard !worker.admin.state.disabledDatabases.contains(plan.database) else {
            return refuse(client, .disabledAuthDatabase(plan.database))
        }
        let pending = PendingLookup(
            user: client.user, query: plan.query, worker: worker.index, client: client.slot, clientID: client.id, since: now)
        let name = Array(plan.database.utf8)
        let home = Int(BytesHash.of(name.span) % UInt64(worker.peers.count))
        if home == worker.index {
            lookUp(pending, database: plan.database, authUser: plan.authUser)
        } else {
            worker.tell(home, .lookUp(pending, database: plan.database, authUser: plan.authUser))
        }
    }

    func lookUp(_ pending: PendingLookup, database name: String, authUser: String) {
        guard let database = configuration.database(named: name) else {
            answer(pending, .refused(.unknownAuthDatabase(name)))
            return
        }
        let shard = worker.pools.shard(of: database, user: authUser, isForLookups: true)
        if let server = worker.takeIdle(shard) {
            run(pending, on: server)
            return
        }
        if let failing = shard.machine.refusal(now: now, shard.shared) {
            answer(pending, .unavailable(failing))
            return
        }
        shard.machine.awaitLookup(pending)
        worker.opener.serve(shard)
    }

    func run(_ pending: PendingLookup, on server: ServerConnection) {
        server.move(to: .lookingUp)
        server.uses &+= 1
        server.lookup = pending
        server.lastActivity = now
        worker.send(pending.lookup.request(query: pending.query).span, to: server)
    }

    // MARK: Answers

    /// Handles bytes of a server that answers a lookup; returns up to where.
    func lookUp(_ server: ServerConnection, _ bytes: Span<UInt8>) -> Int {
        var at = 0
        while at < bytes.count, server.phase == .lookingUp, var pending = server.lookup {
            guard case .frame(let frame) = peekFrame(bytes, at: at), frame.length <= UserLookup.messageLimit else {
                if case .short = peekFrame(bytes, at: at) { return at }
                worker.close(server, .authQueryMalformed)
                return bytes.count
            }
            guard bytes.count - at >= frame.length else { return at }
            let outcome = pending.lookup.receive(frame, bytes, at: at)
            server.lookup = pending
            at += frame.length
            guard let outcome else { continue }
            server.lookup = nil
            if case .failed(let reason) = outcome {
                shared.log.error("S: error in auth_query: \(reason)", about: server.subject)
            }
            if pending.lookup.isBroken {
                worker.close(server, .authQueryInTransaction)
            } else {
                worker.returnToPool(server)
            }
            answer(pending, .outcome(outcome))
        }
        return server.isOpen ? at : bytes.count
    }

    /// Tells the worker that asked.
    func answer(_ pending: PendingLookup, _ answer: LookupAnswer) {
        if pending.worker == worker.index {
            lookedUp(pending.client, pending.clientID, answer)
        } else {
            worker.tell(pending.worker, .lookedUp(slot: pending.client, id: pending.clientID, answer))
        }
    }

    /// Those who wait for a server hear of an error, if there is one for them.
    func failLookups(_ shard: PoolShard, _ error: (PendingLookup) -> PoolerError?) {
        for (pending, error) in shard.machine.endLookups(error) { answer(pending, .unavailable(error)) }
    }

    /// The server that was asked is gone. An idle one that had died unnoticed is no reason to refuse anybody: another one is asked, once.
    func lookupLost(_ pending: PendingLookup, _ shard: PoolShard, _ reason: ServerCloseReason) {
        guard reason.ending == .lost, let again = pending.repeated else { return answer(pending, .unavailable(reason.clientError)) }
        shard.machine.awaitLookup(again)
    }

    func lookedUp(_ slot: UInt32, _ id: UInt64, _ answer: LookupAnswer) {
        guard let (client, login) = suspended(slot, id) else { return }
        resume(client, login) {
            switch answer {
            case .unavailable(let error): worker.fail(client, error)
            case .refused(let failure): refuse(client, failure)
            case .outcome(.failed(let reason)): refuse(client, .authQueryFailed(reason))
            case .outcome(.noSuchUser): lookedUp(client, login, nil)
            case .outcome(.found(let user, let secret)): lookedUp(client, login, (user, secret))
            }
        }
    }
}
