import Authentication
import Bytes
import Configuration
import EventLoop
import PoolCore
import PostgresWire
import Statistics
import Synchronization
import Telemetry

/// From an accepted socket to a client that may ask something.
final class LoginCoordinator: WorkerPart {
    unowned let worker: WorkerCore
    var saltedPasswords = SaltedPasswordCache()
    private var templates = LoginTemplates()
    /// Unknown users are to look like those of the user list, and most of these have plain passwords.
    private(set) var pretendsToDerive: Bool
    /// Goes up with each configuration.
    private(set) var configurationNumber = 0
    /// Runs of PBKDF2 under way, and who waits for them.
    var derivations: [KeyDerivation: [DerivationWaiter]] = [:]
    /// Clients that have not logged in.
    private(set) var underWay = 0

    init(of worker: WorkerCore) {
        self.worker = worker
        pretendsToDerive = worker.configuration.userList.isMostlyPlain
    }

    /// Nothing that was found out about startup packets holds any more.
    func configurationChanged() {
        configurationNumber &+= 1
        pretendsToDerive = configuration.userList.isMostlyPlain
        templates.removeAll()
    }

    /// Pools that templates lead to are gone.
    func forgetTemplates() { templates.removeAll() }

    /// A client has logged in, or left before.
    func isOver() { underWay -= 1 }

    /// Serves a client that this worker or another one has accepted.
    func adopt(client descriptor: Int32, isUnix: Bool) {
        let slot = worker.clients.reserve()
        let client = ClientConnection(slot: slot, id: shared.nextID(), descriptor: descriptor, loop: worker.loop, now: now)
        worker.clients.set(slot, client)
        underWay += 1
        worker.snapshots.counters.accepted &+= 1
        // With TCP_DEFER_ACCEPT the startup packet is here already: no event is needed to tell.
        if settings.tcpDeferAccept > 0, !isUnix { worker.read(client, toEnd: false) }
    }

    /// PostgreSQL's own limit on a startup packet is 10,000 bytes.
    private static let startupLimit = 10_004
    /// A password message holds at most 65,535 bytes of password.
    private static let passwordLimit = 66_000

    // MARK: Bytes

    /// Handles bytes of a client that is not logged in; returns up to where.
    func login(_ client: ClientConnection, _ bytes: Span<UInt8>, from offset: Int) -> Int {
        client.preliminaries.insert(.anything)
        if case .startup = client.phase { return startup(client, bytes, from: offset) }
        // Somebody else is asked about this client; what it sends meanwhile waits.
        if client.login?.isSuspended == true { return offset }
        switch peekFrame(bytes, at: offset) {
        case .short:
            return offset
        case .malformed:
            // A startup packet begins with its length, of which the first byte is 0: no message type.
            let isStartup = bytes[offset] == 0
            worker.fail(client, isStartup ? .repeatedStartup : .badHeader(headerDigits(bytes, at: offset)))
            return bytes.count
        case .frame(let frame):
            if frame.type == Frontend.terminate {
                worker.close(client, .terminated)
                return bytes.count
            }
            guard frame.type == Frontend.password, frame.length <= Self.passwordLimit else {
                let isStartup = bytes[offset] == 0
                worker.fail(client, isStartup ? .repeatedStartup : .unknownMessage)
                return bytes.count
            }
            guard bytes.count - offset >= frame.length else { return offset }
            if worker.opener.isOwnProbe(bytes.extracting(offset..<offset + frame.length)) {
                worker.close(client, .probeReturned)
                return bytes.count
            }
            guard let login = client.login, let step = login.exchange?.receivedPassword(bytes.extracting(frame.body(at: offset)))
            else { return bytes.count }
            take(step, client, login)
            return offset + frame.length
        }
    }

    private func startup(_ client: ClientConnection, _ bytes: Span<UInt8>, from offset: Int) -> Int {
        if let known = templates.find(bytes.extracting(offset...)) {
            begin(client, known.template)
            return offset + known.length
        }
        switch StartupRequest.parse(bytes.extracting(offset...), limit: Self.startupLimit) {
        case .needMore:
            return offset
        case .malformed(let reason):
            let isPassword = bytes[offset] == Frontend.password
            worker.fail(client, isPassword ? .passwordBeforeStartup : .malformedStartup(reason))
            return bytes.count
        case .brokenCancel:
            worker.close(client, .cancelRefused(.wrongLength))
            return bytes.count
        case .complete(let request, let length):
            switch request {
            case .ssl where !mayAsk(client, for: .tls): return bytes.count
            case .gssEncryption where !mayAsk(client, for: .gssEncryption): return bytes.count
            case .ssl:
                // Whoever sends on without waiting for the answer may have had bytes put in by somebody in between.
                guard offset + length == bytes.count else {
                    worker.fail(client, .unencryptedData(after: .tls))
                    return bytes.count
                }
                worker.tlsRequested(client)
                guard client.isOpen else { return bytes.count }
            case .gssEncryption:
                guard offset + length == bytes.count else {
                    worker.fail(client, .unencryptedData(after: .gss))
                    return bytes.count
                }
                worker.send([UInt8(ascii: "N")], to: client)
            case .directTLS:
                if worker.tlsBegun(client) { return client.isOpen ? offset : bytes.count }
                worker.fail(client, .malformedStartup("bad packet header: '\(headerDigits(bytes, at: offset))'"))
                return bytes.count
            case .oldProtocol:
                worker.fail(client, .unsupportedProtocol)
                return bytes.count
            case .unknownProtocol(let major, let minor):
                worker.fail(client, .unknownProtocol(major: major, minor: minor))
                return bytes.count
            case .cancel(let key):
                worker.cancels.requested(client, key)
                return bytes.count
            case .startup(let packet):
                if let template = template(client, packet) {
                    // An address in the parameters is this client's own.
                    if !settings.applicationNameAddHost { templates.remember(template, for: bytes.extracting(offset...)) }
                    begin(client, template)
                }
            }
            return offset + length
        }
    }

    /// As in PostgreSQL each kind of encryption is asked for once, and none inside TLS; beyond that, the request is a protocol unheard of.
    private func mayAsk(_ client: ClientConnection, for request: ClientConnection.Preliminaries) -> Bool {
        guard client.tls == nil, client.preliminaries.insert(request).inserted else {
            worker.fail(client, .unknownProtocol(major: 1234, minor: request == .tls ? 5679 : 5680))
            return false
        }
        return true
    }

    // MARK: Startup packet

    /// Reads a startup packet; nil when the client was refused.
    private func template(_ client: ClientConnection, _ packet: StartupPacket) -> LoginTemplate? {
        var negotiation = MessageWriter()
        if packet.needsNegotiation {
            negotiation.negotiateProtocolVersion(newestMinor: packet.spokenMinor, unrecognized: packet.protocolOptions.map(\.name))
        }
        guard let user = packet["user"], !user.isEmpty else {
            worker.send(negotiation.bytes, to: client)
            worker.fail(client, .missingUser)
            return nil
        }
        guard user.utf8.count < 128 else {
            worker.fail(client, .nameTooLong(.user))
            return nil
        }
        client.user = user
        let database = Self.cut(packet["database"].flatMap { $0.isEmpty ? nil : $0 } ?? user)
        switch ReplicationMode.read(packet["replication"]) {
        case .value(let mode): client.replication = mode
        case .invalid:
            worker.fail(client, .invalidReplication(packet["replication"] ?? ""))
            return nil
        }
        var parameters: [Parameter] = []
        var refusal: PoolerError?
        do throws(PoolerError) { parameters = try startupParameters(client, packet) } catch { refusal = error }
        let entry = configuration.database(named: database)
        return LoginTemplate(
            user: user, databaseName: database, database: entry, replication: client.replication, parameters: parameters,
            refusal: refusal, negotiation: negotiation.bytes,
            takesLongKeys: packet.spokenMinor >= ProtocolVersion.firstMinorOfLongKeys, limits: limits(entry, user: user),
            configurationNumber: configurationNumber,
            credential: configuration.userList.secrets[user].map { shared.credentials.credential(of: user, text: $0) })
    }

    /// Names end where PostgreSQL's end, in the middle of a character if need be.
    private static func cut(_ name: String) -> String {
        if name.utf8.count <= Identifier.significantBytes { return name }
        let bytes = name.messageBytes
        return String(decoding: bytes.span, in: 0..<min(bytes.count, Identifier.significantBytes))
    }

    private func limits(_ database: Database?, user: String) -> CapacityLedger.ClientLimits {
        CapacityLedger.ClientLimits(
            database: database.map { configuration.maxDatabaseClientConnections(database: $0) } ?? 0,
            user: configuration.maxUserClientConnections(user: user))
    }

    private func begin(_ client: ClientConnection, _ template: LoginTemplate) {
        client.user = template.user
        client.takesLongKeys = template.takesLongKeys
        let isConsole = worker.admin.console.isConsole(template.databaseName)
        if isConsole, worker.admin.console.isOwnOperator(client) {
            var writer = MessageWriter()
            writer.bytes = template.negotiation
            writer.authentication(.ok)
            worker.admin.console.enter(
                client, database: template.databaseName, applicationName: template.applicationName, writer, isOwnOperator: true)
            return
        }
        // Whatever is said next, PostgreSQL says this before.
        worker.send(template.negotiation, to: client)
        if !isConsole, shared.shutdown.load(ordering: .relaxed) != .none {
            worker.fail(client, .shuttingDown)
            return
        }
        if settings.clientTlsSslmode.isRequired, client.tls == nil, !worker.isUnix(client) {
            worker.fail(client, .tlsRequired)
            return
        }
        if !isConsole, shared.capacity.withLock({ $0.clients }) > settings.maxClientConn {
            worker.fail(client, .tooManyClients)
            return
        }
        client.replication = template.replication
        judge(client, template)
    }

    /// Everything of the startup packet that is a run-time parameter. What is wrong with it is told after the password, as in PostgreSQL.
    private func startupParameters(_ client: ClientConnection, _ packet: StartupPacket) throws(PoolerError) -> [Parameter] {
        var pairs = packet.parameters
        let ignored = settings.ignoreStartupParameters.map { $0.lowercased() }
        // What PgBouncer follows it takes from `options`, too, where it swallows the rest.
        let kept = ignored.contains("options") ? Self.followedByPgBouncer.union(settings.trackExtraParameters.map { $0.lowercased() }) : nil
        var options: [(name: String, value: String)] = []
        if let text = packet.options, client.replication == nil || kept != nil {
            do throws(StartupOptions.Failure) {
                options = try StartupOptions.parse(text).filter { kept?.contains($0.name.lowercased()) ?? true }
            } catch {
                throw .invalidOptions(error)
            }
        }
        if client.replication != nil {
            // The server is the client's alone, and is told what the client told us.
            let own = pairs.filter { $0.name != "user" && $0.name != "database" && !ignored.contains($0.name.lowercased()) }
            if kept == nil, let text = packet.options { options = [("options", text)] }
            var parameters = (own + options).map { Parameter(name: $0.name, value: $0.value) }
            if settings.applicationNameAddHost { addHost(client, &parameters) }
            return parameters
        }
        // A parameter in its own right beats one in options, as with PostgreSQL.
        pairs = options + pairs
        var parameters: [Parameter] = []
        for (index, (name, value)) in pairs.enumerated() {
            let key = name.lowercased()
            switch key {
            case "user", "database", "replication": continue
            default: break
            }
            // Whoever wrote a command line meant PostgreSQL.
            if ignored.contains(key) || (index >= options.count && IgnoredStartupParameters.contains(key)) { continue }
            if key == "session_authorization" {
                guard value.hasSameBytes(as: client.user) else { throw .foreignAuthorization(value) }
                continue
            }
            if !ParameterTable.isTracked(key) { throw .fixedParameter(name) }
            parameters.append(Parameter(name: name, value: key == "client_encoding" ? Self.encoding(value) : value))
        }
        if settings.applicationNameAddHost { addHost(client, &parameters) }
        return parameters
    }

    private static let followedByPgBouncer: Set<String> = [
        "application_name", "client_encoding", "datestyle", "timezone", "standard_conforming_strings",
    ]

    /// Drivers spell UTF-8 in many ways, some with quotes; the server calls it UTF8.
    private static func encoding(_ value: String) -> String {
        let letters = value.lowercased().filter { $0.isLetter || $0.isNumber }
        return letters == "utf8" || letters == "unicode" ? "UTF8" : value.filter { $0 != "'" && $0 != "\"" }
    }

    private func addHost(_ client: ClientConnection, _ parameters: inout [Parameter]) {
        let index = parameters.lastIndex { $0.key == "application_name" }
        let name = index.map { parameters[$0].value } ?? "app"
        let address = SocketAddress.fullName(ofPeerOf: client.channel.descriptor)
        let parameter = Parameter(name: "application_name", value: "\(name) - \(address)")
        if let index { parameters[index] = parameter } else { parameters.append(parameter) }
    }

    // MARK: The pool

    /// The password was right; now the rest may be told.
    func accepted(_ client: ClientConnection, _ login: ClientLoginState, _ answer: inout MessageWriter) {
        let template = login.template
        if worker.admin.console.isConsole(template.databaseName) {
            worker.admin.console.enter(client, database: template.databaseName, applicationName: template.applicationName, answer)
            return
        }
        if worker.admin.state.disabledDatabases.contains(template.databaseName) {
            worker.fail(client, .databaseDisabled(template.databaseName))
            return
        }
        // What a reload has changed meanwhile counts, or the client would get into a pool of the time before, which nobody looks after.
        let isCurrent = template.configurationNumber == configurationNumber
        // Where somebody with the same packet has got in before, the pool is known, and its database's entry need not be copied.
        let known = login.isRenamed ? nil : template.shard.flatMap { isCurrent && !$0.isForgotten ? $0 : nil }
        let database = known != nil ? nil : isCurrent ? template.database : configuration.database(named: template.databaseName)
        guard let name = known?.databaseName ?? database?.name else {
            worker.fail(client, .noSuchDatabase(template.databaseName))
            return
        }
        if let refusal = template.refusal {
            worker.fail(client, refusal)
            return
        }
        let limits = isCurrent && !login.isRenamed ? template.limits : limits(database, user: client.user)
        let refusal = shared.capacity.withLock { $0.admitClient(database: name, user: client.user, limits: limits) }
        if let refusal {
            worker.fail(client, refusal)
            return
        }
        guard let shard = known ?? database.map({ self.shard(of: $0, user: $0.forcedUser ?? client.user, template) }) else { return }
        if !login.isRenamed { template.shard = shard }
        // Users whom the user list does not know bring the pool's credential with them, and so do those whom PAM or a directory knows.
        if shard.database.forcedUser == nil, let credential = login.credential { shard.shared.learn(credential) }
        client.shard = shard
        shard.clients += 1
        if settings.logConnections {
            shared.log.info(loginEvent(client, database: template.databaseName), about: client.subject)
        }
        if client.replication != nil {
            login.answer = answer.bytes
            worker.opener.requestDedicated(client)
            return
        }
        greet(client, login, &answer)
    }

    func loginEvent(_ client: ClientConnection, database: String) -> LogEvent {
        .login(database: database, user: client.user, tls: client.tls?.summary, replication: client.replication?.rawValue)
    }

    /// Lets a client in, as soon as its pool has got a server that says what it is.
    private func greet(_ client: ClientConnection, _ login: ClientLoginState, _ answer: inout MessageWriter) {
        guard let shard = client.shard else { return }
        if let greeting = shard.shared.greeting {
            welcome(client, login, greeting, &answer)
            return
        }
        // Nobody knows yet what a server of this pool says of itself. AuthenticationOk goes out with it, or an error does.
        client.move(to: .awaitingGreeting)
        client.requestTime = now
        login.answer = answer.bytes
        shard.machine.awaitGreeting(client.slot, since: now)
        if let failing = shard.machine.refusal(now: now, shard.shared) {
            worker.fail(client, failing)
            return
        }
        worker.opener.serve(shard)
    }

    /// The pool whose servers bring from their logins what this startup packet asks for.
    private func shard(of database: Database, user: String, _ template: LoginTemplate) -> PoolShard {
        let plain = worker.pools.shard(of: database, user: user)
        if template.replication != nil || template.parameters.isEmpty { return plain }
        let startup = plain.shared.family.startup(of: template.parameters, isExclusive: plain.settings.policy.logsInForStartupValues)
        return startup.isEmpty ? plain : worker.pools.shard(of: database, user: user, startup: startup)
    }

    /// A server has refused to be set to values that the client has brought. Whether PostgreSQL takes it at a login is seen by trying: the
    /// client gets a server with the value in its startup packet, or hears what PostgreSQL says to that. False: it has brought no such value.
    func triesLogin(_ client: ClientConnection, with refused: [ParameterChange]) -> Bool {
        guard let login = client.login, let shard = client.shard else { return false }
        var isFound = false
        for case .set(let value) in refused {
            guard let brought = login.template.parameters.last(where: { $0.key.hasSameBytes(as: value.key) }) else { continue }
            shard.shared.family.noteRefused(brought)
            isFound = true
        }
        return isFound && goesHome(client, login)
    }

    /// Moves a client that is logging in to the pool that it belongs to by what is known of its startup packet now. False: it is there.
    private func goesHome(_ client: ClientConnection, _ login: ClientLoginState) -> Bool {
        guard let shard = client.shard else { return false }
        let home = self.shard(of: shard.database, user: shard.shared.key.user, login.template)
        guard home !== shard else { return false }
        shard.machine.greetingIsOver(for: client.slot)
        shard.clients -= 1
        home.clients += 1
        client.shard = home
        client.session.parameters = nil
        client.session.startup = nil
        if !login.isRenamed { login.template.shard = home }
        var answer = MessageWriter()
        answer.bytes = login.answer
        greet(client, login, &answer)
        return true
    }

    /// A server was refused the login for a name in the startup packet that PostgreSQL does not know: whoever wrote it meant a driver. Those
    /// who wait go on without it. False: it was refused for something else.
    func forgetsName(_ shard: PoolShard, _ fields: ErrorFields) -> Bool {
        guard WorkerCore.isUnknownParameter(fields), let message = fields.message,
            let unknown = shard.shared.key.startup.given.first(where: { message.contains("\"\($0.name)\"") })
        else { return false }
        shard.shared.family.noteUnknown(unknown.name)
        shared.log.warning("ignoring startup parameter \"\(unknown.name)\": \(message)", about: worker.opener.subject(shard))
        for waiter in shard.machine.awaitingGreeting {
            if let client = worker.clients[waiter.client], client.shard === shard, let login = client.login { _ = goesHome(client, login) }
        }
        return true
    }

    // MARK: Welcome

    /// Sends all that a client needs before its first query, in one go, behind what `writer` holds.
    private func welcome(
        _ client: ClientConnection, _ login: ClientLoginState, _ greeting: SharedPool.Greeting, _ writer: inout MessageWriter
    ) {
        guard let shard = client.shard else { return }
        let template = login.template
        let known = template.welcome.flatMap { $0.greeting === greeting ? $0 : nil }
        let welcome = known ?? self.welcome(template, greeting, shard)
        guard welcome.parameters.isProven else {
            // No server has taken these values yet. One is asked, and the client hears how it writes them, or why it refuses them.
            login.answer = writer.bytes
            client.session.parameters = welcome.parameters
            client.session.startup = welcome.parameters
            client.requestTime = now
            worker.requestServer(client)
            return
        }
        if known == nil { template.welcome = welcome }
        client.session.parameters = welcome.parameters
        client.session.startup = welcome.parameters
        client.session.told = greeting.defaults
        client.idleSessionTimeout = welcome.idleSessionTimeout
        if welcome.idleSessionTimeout > 0 { worker.janitor.hasIdleSessionTimeouts = true }
        writer.bytes += welcome.messages
        worker.cancels.giveCancelKey(to: client, &writer)
        if !settings.loginNotifyMessage.isEmpty {
            writer.notice(
                ErrorFields(severity: "NOTICE", code: SQLState.successfulCompletion, message: settings.loginNotifyMessage))
        }
        writer.readyForQuery(.idle)
        client.login = nil
        underWay -= 1
        shard.counters.totals.logins &+= 1
        client.move(to: .idle)
        client.requestTime = now
        worker.send(writer.bytes, to: client)
    }

    private func welcome(
        _ template: LoginTemplate, _ greeting: SharedPool.Greeting, _ shard: PoolShard
    ) -> LoginTemplate.Welcome {
        let wanted = parameters(of: template, greeting, shard.shared)
        var writer = MessageWriter()
        for parameter in greeting.parameters {
            writer.parameterStatus(name: parameter.name, value: wanted[parameter.name] ?? parameter.value)
        }
        writeOwnParameters(&writer, shard)
        return LoginTemplate.Welcome(
            greeting: greeting, parameters: wanted, messages: writer.bytes, idleSessionTimeout: template.idleSessionTimeout ?? 0)
    }

    /// What the pooler says of itself, as PgBouncer 1.26 does; drivers may look at it.
    func writeOwnParameters(_ writer: inout MessageWriter, _ shard: PoolShard) {
        writer.parameterStatus(name: "pgbouncer.version", value: Version.pgbouncer)
        writer.parameterStatus(name: "pgbouncer.pool_mode", value: shard.settings.policy.mode.rawValue)
        writer.parameterStatus(name: "pgbouncer.max_prepared_statements", value: String(settings.maxPreparedStatements))
    }

    /// What the client brought, and the pool's servers do not have from their logins. What the server does not report is kept apart.
    private func parameters(of template: LoginTemplate, _ greeting: SharedPool.Greeting, _ pool: SharedPool) -> ParameterSet {
        let table = pool.parameters
        var reported: [Parameter] = []
        var unreported: [Parameter] = []
        let keepsIdleTimeout = template.idleSessionTimeout != nil
        for parameter in template.parameters where ParameterTable.isTracked(parameter.name) && !pool.family.isUnknown(parameter.name) {
            if keepsIdleTimeout, LoginTemplate.isIdleSessionTimeout(parameter) { continue }
            let key = parameter.key
            if pool.key.startup.gives(key) { continue }
            if let known = greeting.parameters.first(where: { $0.key == key }) {
                reported.removeAll { $0.name == known.name }
                reported.append(table.canonical(Parameter(name: known.name, value: parameter.value)))
            } else {
                unreported.removeAll { $0.name.hasSameBytes(as: key) }
                unreported.append(Parameter(name: key, value: parameter.value))
            }
        }
        return table.intern(reported: reported, unreported: unreported, byServer: false)
    }

    /// A server of the pool has logged in somewhere: the clients that waited for it are let in.
    func greetingArrived(_ key: CapacityLedger.PoolKey) {
        guard let shard = worker.shards[key], let greeting = shard.shared.greeting else { return }
        for waiter in shard.machine.takeAwaitingGreeting() {
            // Nobody may be let in for having the slot of somebody who has shown who he is.
            guard let client = worker.clients[waiter.client], case .awaitingGreeting = client.phase, client.shard === shard,
                let login = client.login
            else { continue }
            admit(client, login, greeting)
        }
    }

    /// Lets a client in whose values a server has taken, the one that it is linked with.
    func admitTried(_ client: ClientConnection) {
        guard let login = client.login, let shard = client.shard, let own = client.session.parameters else { return }
        shard.shared.parameters.accept(own)
        guard let greeting = shard.shared.greeting else {
            // RECONNECT: the server belongs to the time before, and what the next one says is not known yet.
            if let server = client.server { worker.unlink(client, server) }
            client.move(to: .awaitingGreeting)
            shard.machine.awaitGreeting(client.slot, since: client.requestTime)
            return
        }
        var writer = MessageWriter()
        writer.bytes = login.answer
        welcome(client, login, greeting, &writer)
        if client.login == nil, client.server != nil { client.move(to: .linked) }
    }

    /// Lets a client in that has waited for the pool's greeting.
    func admit(_ client: ClientConnection, _ login: ClientLoginState, _ greeting: SharedPool.Greeting) {
        client.shard?.machine.greetingIsOver(for: client.slot)
        var writer = MessageWriter()
        writer.bytes = login.answer
        welcome(client, login, greeting, &writer)
        worker.consumeHeld(client)
        if client.isOpen { worker.resumeReading(client) }
    }
}
