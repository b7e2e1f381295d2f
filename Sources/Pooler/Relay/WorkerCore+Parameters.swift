import EventLoop
import PoolCore
import PostgresWire

/// The parameters of a server are made its client's: before the client's messages where the server takes them for certain, and by trials where
/// nobody knows yet what it says.
extension WorkerCore {
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
    func tellDefaults(of server: ServerConnection, to client: ClientConnection) {
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

    func adjust(_ server: ServerConnection, _ client: ClientConnection, to wanted: ParameterSet, waits: Bool = false) {
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
        if wanted.isProven, isText, !server.hasStrayCancel, !waits, !changes.contains(where: \.isUncertain),
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
        server.alsoRefused = []
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
    func finishTrial(_ server: ServerConnection) {
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
            server.alsoRefused = []
            return
        }
        adoptSpellings(server, client)
        if server.phase == .trying { server.move(to: .linked) }
        if client.login != nil {
            logins.admitTried(client)
            // It has asked for nothing yet, and in session mode would keep the server.
            guard server.isOpen else { return }
            if server.client === client { release(client, server) } else if server.client == nil { returnToPool(server) }
            return
        }
        carryOn(client)
        // It may have had nothing to say after all.
        if server.isOpen, server.phase == .linked, server.client === client, server.session.ledger.isEmpty { advance(server) }
    }

    /// The server has taken the client's values: they are known from now on, in the server's spelling.
    private func adoptSpellings(_ server: ServerConnection, _ client: ClientConnection) {
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
                unlink(client, server)
                if !logins.triesLogin(client, with: [change] + server.alsoRefused) { fail(client, .invalidServerParameter(fields)) }
                if server.isOpen { returnToPool(server) }
                return
            }
            fail(client, .invalidServerParameter(fields))
            return
        }
        // Nothing that this client asked for, or something that another server has taken: it gets another one.
        unlink(client, server)
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
                // The first one is why the others fail, if they do. Which of them PostgreSQL names, a login with all of them tells.
                if server.trialFailed == nil {
                    server.trialFailed = (change, fields)
                } else if fields.code != SQLState.queryCanceled {
                    server.alsoRefused.append(change)
                }
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
    func explains(_ server: ServerConnection) -> Bool {
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
        // What it has set itself beside that stays.
        var isServersOwn = startup.isEmpty
        if case .name(let name) = reset, !startup.has(name), server.session.settings.adjustedTo === own { isServersOwn = true }
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
        if isServersOwn, let left = client.session.parameters {
            server.session.settings.follow(left)
        } else {
            server.session.settings.wasReset(reset)
        }
    }
}
