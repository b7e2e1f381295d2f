import EventLoop
import PoolCore
import PostgresWire
import Synchronization

/// Who gets which server, and when it is free again.
extension WorkerCore {
    // MARK: A client asks

    /// Gives the client an idle server, or a place in the queue.
    func requestServer(_ client: ClientConnection) {
        guard var shard = client.shard else { return }
        if shard.isOrphaned {
            pools.rehome(client)
            guard let home = client.shard else { return }
            shard = home
        }
        if shared.isStopping {
            fail(client, .serverShuttingDown)
            return
        }
        if let server = takeIdle(shard) {
            link(client, server)
            return
        }
        switch shard.machine.clientAsks(client.slot, now: now, shard.shared) {
        case .refuse(let error):
            fail(client, error)
        case .wait(let ticket):
            client.move(to: .waiting(ticket))
            opener.serve(shard)
        }
    }

    /// Servers of the pool in all workers.
    func totalServers(_ shard: PoolShard) -> Int {
        shared.capacity.withLock { $0.servers(of: shard.shared.key) }
    }

    /// The next idle server that is fit for use. `isTested`: one that has rested for long is tested instead, and more are opened if it hangs.
    /// Those that are not to be used any more are closed.
    func takeIdle(_ shard: PoolShard, isTested: Bool = true) -> ServerConnection? {
        while true {
            switch shard.machine.takeIdle(now: now, generation: shard.shared.presentGeneration, isTested: isTested) {
            case .take(let slot):
                if let server = idleServer(slot) { return server }
            case .close(let slot):
                if let server = idleServer(slot) { close(server, .obsolete) }
            case .test(let slot):
                if let server = idleServer(slot) { test(server) }
                return nil
            case .none:
                return nil
            }
        }
    }

    private func idleServer(_ slot: UInt32) -> ServerConnection? {
        if let server = servers[slot], server.phase == .idle { return server }
        Faults.note("slot \(slot) is on the idle list and has no idle server")
        return nil
    }

    func isObsolete(_ server: ServerConnection) -> Bool { server.generation != server.shard.shared.presentGeneration }

    /// Tests a server; its pool's state machine knows of it.
    func test(_ server: ServerConnection) {
        server.move(to: .testing)
        let query = settings.serverCheckQuery == "<empty>" ? "" : settings.serverCheckQuery
        run(.checkQuery, query, on: server)
    }

    /// Sends a query of the pooler's own.
    func run(_ errand: ServerSession.Errand, _ query: String, on server: ServerConnection) {
        server.session.owe(errand)
        var writer = MessageWriter()
        writer.query(query)
        server.lastActivity = now
        send(writer.bytes.span, to: server)
    }

    // MARK: Linking

    /// Connects a client with a server and sees to the server's settings; the client's messages are the caller's business.
    func link(_ client: ClientConnection, _ server: ServerConnection, waited: Int64 = 0) {
        client.move(to: .linked)
        client.server = server
        client.wasNotified = false
        server.client = client
        server.move(to: .linked)
        server.uses &+= 1
        server.lastActivity = now
        server.waited = waited
        server.shard.counters.assigned(waited: waited)
        server.trialsRepeated = 0
        server.isFlushed = false
        server.rules = server.isDedicated ? ServerSession.Rules(mapsStatements: false, statementLimit: 0) : server.shard.settings.rules
        server.session.begin(isShared: server.policy.sharesServers)
        if client.login == nil { tellDefaults(of: server, to: client) }
        if let wanted = client.session.parameters, wanted !== server.session.settings.adjustedTo || server.session.settings.isDoubtful {
            adjust(server, client, to: wanted, waits: client.login != nil)
        }
        // A login that waited for this may find that there is nothing to be tried: another one with the same values was faster.
        if client.login != nil, client.session.parameters != nil, server.phase == .linked { finishTrial(server) }
    }

    /// RESET and DISCARD ALL take what a client brought away while it keeps its server: it is put back before the client goes on. False:
    /// the client has to wait for that.
    func isAdjusted(_ server: ServerConnection, _ client: ClientConnection) -> Bool {
        guard let wanted = client.session.parameters, wanted !== server.session.settings.adjustedTo, !server.isDedicated else {
            return true
        }
        // It is being reset, and what that leads to is not known yet.
        if server.explanationsLeft > 0 { return false }
        guard server.session.mayBeAdjusted, server.isClean || server.session.status == .inTransaction else { return true }
        // It would hit the settings.
        if server.cancels?.connection != nil { return false }
        adjust(server, client, to: wanted)
        return server.phase == .linked
    }

    /// A server's own values may be others than those that the client was told at its login, or by the server that it had before.
    private func tellDefaults(of server: ServerConnection, to client: ClientConnection) {
        let defaults = server.session.settings.defaults
        guard let told = client.session.told, told !== defaults else { return }
        client.session.told = defaults
        var writer = MessageWriter()
        for parameter in defaults.reported
        where told[parameter.name] != parameter.value && client.session.parameters?[parameter.name] == nil {
            writer.parameterStatus(name: parameter.name, value: parameter.value)
        }
        if !writer.bytes.isEmpty { send(writer.bytes, to: client) }
    }

    private func adjust(_ server: ServerConnection, _ client: ClientConnection, to wanted: ParameterSet, waits: Bool = false) {
        let changes = server.session.settings.changes(to: wanted)
        if changes.isEmpty {
            server.session.settings.adjust(to: wanted, by: [])
            return
        }
        let startup = server.shard.shared.key.startup
        let sql = changes.map { $0.spelt(by: startup).sql }.joined(separator: ";")
        shared.log.trace("varcache_apply: \(sql)", about: server.subject)
        // Values are bytes to PostgreSQL, as they were in the startup packet: they must not be taken for text in the last client's encoding.
        let isText = sql.utf8.allSatisfy { $0 < 0x80 }
        var writer = MessageWriter()
        if wanted.isProven, isText, !server.mayBeHit, !waits, !changes.contains(where: \.isUncertain),
            server.shard.shared.parameters.knowsResets(of: changes)
        {
            // Same send as the query: nothing is waited for.
            writer.query(sql)
            server.session.owe(.parameter(changes[0], isTrial: false))
            server.session.settings.adjust(to: wanted, by: changes)
            toServer.append(writer.bytes)
            return
        }
        let steps = isText ? changes : asBytes(changes, wanted, server)
        for change in steps {
            writer.query(change.spelt(by: startup).sql)
            server.session.owe(.parameter(change, isTrial: true))
        }
        // Until the trial is over, any of these may have any value.
        server.session.settings.doubt(steps)
        server.move(to: .trying)
        server.trialsLeft = steps.count
        server.trialFailed = nil
        send(writer.bytes.span, to: server)
    }

    /// The changes, made while the server converts nothing.
    private func asBytes(_ changes: [ParameterChange], _ wanted: ParameterSet, _ server: ServerConnection) -> [ParameterChange] {
        let encoding = "client_encoding"
        let plain = server.session.settings.defaults["server_encoding"] ?? "SQL_ASCII"
        let last = wanted.reported.first { $0.name.lowercased() == encoding }.map { ParameterChange.set($0) } ?? .reset(encoding)
        return [.set(Parameter(name: encoding, value: plain))] + changes.filter { $0.name.lowercased() != encoding } + [last]
    }

    /// One step of a trial has been answered.
    func tried(_ change: ParameterChange, _ server: ServerConnection) {
        server.trialsLeft -= 1
        if case .reset(let name) = change, server.trialFailed == nil { server.shard.shared.parameters.noteReset(name) }
    }

    /// How often settings that a cancel has hit are tried again for one client.
    private static let mostRepeats = 3

    /// All trials have been answered.
    private func finishTrial(_ server: ServerConnection) {
        guard let client = server.client else { return }
        if server.trialFailed?.fields.code == SQLState.queryCanceled, server.trialsRepeated < Self.mostRepeats,
            let wanted = client.session.parameters
        {
            // Not refused, but hit by a cancel that was meant for something else, or cut off by the last client's timeout.
            server.trialFailed = nil
            server.trialsRepeated += 1
            adjust(server, client, to: wanted, waits: true)
            if server.phase == .trying, server.trialsLeft > 0 { return }
        }
        if let (change, refused) = server.trialFailed {
            server.trialFailed = nil
            trialFailed(server, client, change, refused)
            return
        }
        settleParameters(server, client)
        if server.phase == .trying { server.move(to: .linked) }
        if client.login != nil {
            logins.admitTried(client)
            // It has asked for nothing yet, and in session mode would keep the server.
            guard server.isOpen else { return }
            if server.client === client { release(client, server) } else if server.client == nil { free(server) }
            return
        }
        carryOn(client)
        // It may have had nothing to say after all.
        if server.isOpen, server.phase == .linked, server.client === client, server.session.ledger.isEmpty { settle(server) }
    }

    /// The server has taken the client's values: they are known from now on, in the server's spelling.
    private func settleParameters(_ server: ServerConnection, _ client: ClientConnection) {
        guard let wanted = client.session.parameters else { return }
        let table = server.shard.shared.parameters
        var writer = MessageWriter()
        var reported: [Parameter] = []
        for parameter in wanted.reported {
            let value = server.session.settings.current[parameter.name] ?? parameter.value
            reported.append(Parameter(name: parameter.name, value: value))
            guard value != parameter.value else { continue }
            table.noteSpelling(value, of: parameter)
            writer.parameterStatus(name: parameter.name, value: value)
        }
        noteSpelling(wanted, server)
        let family = server.shard.shared.family
        let unreported = wanted.unreported.filter { !family.isUnknown($0.name) }
        table.accept(wanted)
        let settled = table.intern(reported: reported, unreported: unreported, byServer: false)
        table.accept(settled)
        if client.session.startup === wanted { client.session.startup = settled }
        client.session.parameters = settled
        server.session.settings.settle(settled)
        if client.login == nil, !writer.bytes.isEmpty { send(writer.bytes, to: client) }
    }

    private func trialFailed(
        _ server: ServerConnection, _ client: ClientConnection, _ change: ParameterChange, _ fields: ErrorFields
    ) {
        let isOwn: Bool
        switch change {
        case .reset: isOwn = false
        // What a server refuses that nobody has used is refused.
        case .set(let parameter): isOwn = server.uses <= 1 || !server.shard.shared.parameters.isAccepted(parameter)
        }
        if isOwn {
            if client.login != nil {
                part(client, server)
                if !logins.triesLogin(client, with: change) { fail(client, .invalidServerParameter(fields)) }
                if server.isOpen { free(server) }
                return
            }
            fail(client, .invalidServerParameter(fields))
            return
        }
        // Nothing that this client asked for, or something that another server has taken: it gets another one.
        part(client, server)
        close(server, .settingFailed(sql: change.sql, fields.message ?? "unknown error"))
        requestServer(client)
        if client.isOpen, client.server != nil { carryOn(client) }
    }

    /// The server writes some values in a way of its own.
    private func noteSpelling(_ wanted: ParameterSet, _ server: ServerConnection) {
        guard shared.log.level == .trace else { return }
        for parameter in wanted.reported {
            guard let value = server.session.settings.current[parameter.name], value != parameter.value else { continue }
            shared.log.trace(
                "varcache_set_canonical: setting \(parameter.name) to its canonical version \(parameter.value) -> \(value)",
                about: server.subject)
        }
    }

    func errandFailed(_ server: ServerConnection, _ errand: ServerSession.Errand, _ fields: ErrorFields) {
        let reason = fields.message ?? "unknown error"
        switch errand {
        case .parameter(let change, let isTrial):
            if isTrial, case .set = change { server.session.settings.refused(change.name) }
            if isTrial, Self.isUnknownParameter(fields) {
                shared.log.warning("ignoring startup parameter \"\(change.name)\": \(reason)", about: server.subject)
                server.shard.shared.family.noteUnknown(change.name)
            } else if isTrial {
                // The first one is why the others fail, if they do.
                if server.trialFailed == nil { server.trialFailed = (change, fields) }
            } else {
                // Accepted once and refused now: the server is not in the state that the query behind it expects.
                if let client = server.client, !server.isMidMessage { fail(client, .invalidServerParameter(fields)) }
                close(server, .parameterRefused)
            }
        case .connectQuery:
            shared.log.warning("connect_query failed: \(reason)", about: server.subject)
        case .checkQuery, .resetQuery, .rollback:
            close(server, .queryFailed(errand, reason))
        case .explain, .resynchronise:
            break
        }
    }

    /// PostgreSQL has no parameter of that name. (The field R of an error names the function which raised it: the second one from version 16 on.)
    static func isUnknownParameter(_ fields: ErrorFields) -> Bool {
        fields.code == SQLState.undefinedObject
            && ["find_option", "assignable_custom_variable_name"].contains(fields[UInt8(ascii: "R")])
    }

    // MARK: A value that nobody has set

    /// Asks whether what changed without a SET is the server's own value now, or a function has set it for this client. False: there is nothing
    /// to ask.
    private func explains(_ server: ServerConnection) -> Bool {
        guard !server.session.settings.unexplained.isEmpty, server.session.isReusable, !server.reportsTooMuch else { return false }
        for name in server.session.settings.takeUnexplained() {
            server.session.settings.wasReset(name)
            server.explanationsLeft += 1
            run(.explain(name: name), ParameterChange.reset(name).sql, on: server)
        }
        return true
    }

    /// The value has been reset.
    func explained(_ name: String, _ server: ServerConnection) {
        guard let client = server.client, let own = client.session.parameters else { return }
        let shared = server.shard.shared
        guard let value = server.session.settings.current[name], own[name] == value else {
            // It was the client's: the next message, or the next server, finds it missing.
            server.session.settings.wasReset(name)
            return
        }
        server.session.settings.acceptDefault(name, in: shared.parameters)
        shared.changed(Parameter(name: server.session.settings.defaults.spelling(of: name), value: value), generation: server.generation)
        let left = shared.parameters.removing(name, from: own, inFavourOf: client.session.startup)
        client.session.parameters = left
        if left[name] == nil { server.session.settings.follow(left) } else { server.session.settings.wasReset(name) }
        client.session.told = server.session.settings.defaults
    }

    /// What a query that is answered now has reset is again what the client brought. Returns what it has to hear of that: the server tells
    /// values of its own.
    @inline(__always)
    func lookForReset(_ client: ClientConnection, _ server: ServerConnection) -> [UInt8] {
        if client.session.isOrdinary { return [] }
        recogniseReset(client, server)
        _ = client.session.takeSet()
        guard let reset = client.session.takeReset(), let startup = client.session.startup else {
            _ = client.session.takeBefore()
            return []
        }
        applyReset(reset == .unknown ? resetOfLastStatement(client, server) ?? .unknown : reset, client, server)
        let before = client.session.takeBefore()
        var writer = MessageWriter()
        for parameter in startup.reported {
            let name = parameter.name
            guard client.session.parameters?[name] == parameter.value, before?[name] != parameter.value,
                server.session.settings.current[name] != parameter.value
            else { continue }
            writer.parameterStatus(name: name, value: parameter.value)
        }
        return writer.bytes
    }

    /// A SET may turn out to be one to DEFAULT, once its text is looked at.
    func recogniseReset(_ client: ClientConnection, _ server: ServerConnection) {
        if client.session.hasSet, let reset = resetOfLastStatement(client, server) { client.session.hasReset(reset) }
    }

    /// What the last statement resets, as far as its beginning is known.
    private func resetOfLastStatement(_ client: ClientConnection, _ server: ServerConnection) -> ResetStatement? {
        guard let text = StatementExcerpt.text(of: server.lastStatement.bytes, statements: client.session.statements) else { return nil }
        let bytes = Array(text.utf8)
        return ResetStatement.parse(bytes.span, 0..<bytes.count)
    }

    /// RESET or DISCARD ALL has run: what the client brought is its own again.
    private func applyReset(_ reset: ResetStatement, _ client: ClientConnection, _ server: ServerConnection) {
        guard let own = client.session.parameters, let startup = client.session.startup else { return }
        let table = server.shard.shared.parameters
        switch reset {
        case .all:
            client.session.parameters = startup
        case .name(let name):
            client.session.parameters = table.removing(name, from: own, inFavourOf: startup)
        case .unknown:
            // What is the server's own value now, and was not before.
            let settings = server.session.settings
            for parameter in own.reported where startup[parameter.name] != parameter.value {
                guard let value = settings.current[parameter.name], value == settings.defaults[parameter.name] else { continue }
                client.session.parameters = client.session.parameters.map {
                    table.removing(parameter.name, from: $0, inFavourOf: startup)
                }
            }
        }
        if startup.isEmpty, let left = client.session.parameters {
            server.session.settings.follow(left)
        } else {
            server.session.settings.wasReset(reset)
        }
    }

    // MARK: A server is done

    /// Looks at a server after something has happened to it, and lets it go on.
    func settle(_ server: ServerConnection) {
        if server.cancels != nil { cancels.sendNext(about: server) }
        switch server.phase {
        case .linked:
            settleLinked(server)
        case .trying:
            if server.trialsLeft == 0 { finishTrial(server) }
        case .testing:
            if server.session.isReusable {
                server.shard.machine.testPassed()
                free(server)
            }
        case .resetting:
            if server.session.isReusable { free(server) }
        case .settingUp:
            if server.session.isReusable { opener.opened(server) }
        case .abandoned:
            continueAbandoned(server)
        default:
            break
        }
    }

    private func settleLinked(_ server: ServerConnection) {
        guard let client = server.client else { return }
        let policy = server.policy
        if policy.refusesTransactionBlocks, server.session.status != .idle, server.session.ledger.isEmpty {
            fail(client, .transactionInStatementMode)
            return
        }
        // Not into a message of which a part was sent.
        if server.session.ledger.isUncertain, client.passThrough == 0 || client.dropsPassThrough, let probe = server.session.resyncProbe() {
            // How many ReadyForQuery are still to come after a COPY that failed. What the client has sent meanwhile waits for that.
            send(probe.span, to: server)
            return
        }
        let isOpened = server.session.gate != .open && server.session.mayGoOn()
        // What has waited goes on this server: another one would have to be put right for it again, and it would wait again. Behind a RESET
        // or DISCARD ALL it is this one that has to be put right: the next link sees to it.
        if isOpened, !client.held.isEmpty, !server.session.settings.isDoubtful,
            client.session.parameters.map({ $0 === server.session.settings.adjustedTo }) ?? true
        {
            carryOn(client)
            guard server.isOpen, server.phase == .linked, server.client === client else { return }
        }
        if explains(server) { return }
        let isExplained = server.isExplained
        server.isExplained = false
        if policy.release == .betweenTransactions, isDone(server) {
            release(client, server)
            return
        }
        if isOpened || isExplained { carryOn(client) }
    }

    /// Nothing of its client is left on the server, nor in the outbox. The end of a COPY that failed may be there: nothing is owed for it.
    func isDone(_ server: ServerConnection) -> Bool {
        guard server.isClean else { return false }
        guard server.channel.hasPosted else { return true }
        sendPosted()
        return server.isClean
    }

    /// The client may go on with what it has sent meanwhile.
    func carryOn(_ client: ClientConnection) {
        guard client.isOpen else { return }
        consumeHeld(client)
        if client.isOpen { resumeReading(client) }
    }

    func part(_ client: ClientConnection, _ server: ServerConnection) {
        client.server = nil
        client.move(to: .idle)
        server.client = nil
    }

    /// Parts a client and its server between two transactions.
    private func release(_ client: ClientConnection, _ server: ServerConnection) {
        part(client, server)
        if settings.serverResetQueryAlways, !settings.serverResetQuery.isEmpty {
            reset(server)
        } else {
            free(server)
        }
        carryOn(client)
    }

    /// Puts the session back to its beginning before another client sees it.
    func reset(_ server: ServerConnection) {
        cancels.forgetNext(about: server)
        server.resetsNext = server.cancels != nil
        if server.resetsNext {
            server.move(to: .beingCanceled)
            return
        }
        if settings.serverResetQuery.isEmpty {
            free(server)
            return
        }
        server.move(to: .resetting)
        run(.resetQuery, settings.serverResetQuery, on: server)
    }

    /// A server without a client, outside a transaction, owing nothing: the longest waiting client gets it, here or elsewhere.
    func free(_ server: ServerConnection) {
        server.move(to: .freed)
        server.lastActivity = now
        server.queryStart = 0
        server.transactionStart = 0
        guard placement.begins(server) else { return }
        place(server)
        while let next = placement.next() {
            if next.isOpen { place(next) }
        }
    }

    private func place(_ server: ServerConnection) {
        assert(server.isClean)
        let shard = server.shard
        if server.cancels != nil {
            // What is on its way may hit whatever runs; what is not, is about nothing any more.
            cancels.forgetNext(about: server)
            if server.cancels != nil {
                server.move(to: .beingCanceled)
                return
            }
        }
        let isStopping = shared.isStopping
        if let unfitness = shard.machine.unfitness(of: server.condition, now: now, isStopping: isStopping, shard.shared) {
            close(server, unfitness.closeReason)
            return
        }
        if server.hasUnread {
            server.hasUnread = false
            postponeReading(server)
        }
        server.move(to: .idle)
        if opener.room.isWanted, opener.room.takes(server) { return }
        assign(server, mayMigrate: shared.parallel)
    }

    /// Gives a server that is fit for use to whoever is to have it.
    private func assign(_ server: ServerConnection, mayMigrate: Bool) {
        let shard = server.shard
        switch shard.machine.serverFreed(
            server.slot, generation: server.generation, now: now, mayMigrate: mayMigrate, shard.shared)
        {
        case .lookUp:
            if let lookup = shard.machine.nextLookup() { logins.run(lookup, on: server) }
        case .migrate(let borrower):
            if opener.exchange.isPortable(server) {
                opener.exchange.migrate(server, to: borrower, isIdle: false)
            } else if server.isOpen {
                assign(server, mayMigrate: false)
            }
        case .link(let slot, let since):
            guard let client = clients[slot] else {
                Faults.note("slot \(slot) waits for a server and has no client")
                return assign(server, mayMigrate: mayMigrate)
            }
            link(client, server, waited: now - since)
            carryOn(client)
        case .parked:
            if shared.parallel { opener.exchange.offerIdleSoon(shard) }
        }
    }
}
