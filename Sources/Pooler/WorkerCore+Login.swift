import Authentication
import Configuration
import EventLoop
import PoolCore
import PostgresWire
import Synchronization

/// From an accepted socket to a client that may ask something.
extension WorkerCore {
    /// PostgreSQL's own limit on a startup packet is 10,000 bytes.
    private static let startupLimit = 10_004
    /// A password message holds at most 65,535 bytes of password.
    private static let passwordLimit = 66_000

    // MARK: Bytes

    /// Handles bytes of a client that is not logged in; returns up to where.
    func login(_ client: ClientConnection, _ bytes: Span<UInt8>, from offset: Int) -> Int {
        if case .startup = client.phase { return startup(client, bytes, from: offset) }
        switch peekFrame(bytes, at: offset) {
        case .short:
            return offset
        case .malformed:
            // A startup packet begins with its length, of which the first byte is 0: no message type.
            let isStartup = bytes[offset] == 0
            fail(
                client,
                isStartup ? .unexpectedMessageDuringLogin("client re-sent startup pkt") : .badHeader(hexadecimal(bytes, from: offset)))
            return bytes.count
        case .frame(let frame):
            if frame.type == Frontend.terminate {
                close(client, .clientEnded("client close request"))
                return bytes.count
            }
            guard frame.type == Frontend.password, frame.length <= Self.passwordLimit else {
                let isStartup = bytes[offset] == 0
                fail(client, isStartup ? .unexpectedMessageDuringLogin("client re-sent startup pkt") : .unknownMessage)
                return bytes.count
            }
            guard bytes.count - offset >= frame.length else { return offset }
            guard let login = client.login else { return bytes.count }
            let body = [UInt8](copying: bytes, in: frame.body(at: offset))
            take(login.exchange.receivedPassword(body), client, login)
            return offset + frame.length
        }
    }

    private func startup(_ client: ClientConnection, _ bytes: Span<UInt8>, from offset: Int) -> Int {
        switch StartupRequest.parse(bytes.extracting(offset...), limit: Self.startupLimit) {
        case .needMore:
            return offset
        case .malformed(let reason):
            fail(client, .malformedStartup(reason))
            return bytes.count
        case .complete(let request, let length):
            switch request {
            case .ssl:
                tlsRequested(client, isAloneInPacket: offset + length == bytes.count)
                guard client.isOpen else { return bytes.count }
            case .gssEncryption:
                // What follows in the same packet is as unencrypted as the client was just told it would be.
                send([UInt8(ascii: "N")], to: client)
            case .directTLS:
                if tlsBegun(client) { return client.isOpen ? offset : bytes.count }
                fail(client, .malformedStartup("bad packet header: '\(hexadecimal(bytes, from: offset))'"))
                return bytes.count
            case .oldProtocol:
                fail(client, .unsupportedProtocol)
                return bytes.count
            case .cancel(let key):
                cancelRequested(client, key)
                return bytes.count
            case .startup(let packet):
                begin(client, packet)
            }
            return offset + length
        }
    }

    // MARK: Startup packet

    private func begin(_ client: ClientConnection, _ packet: StartupPacket) {
        guard let user = packet["user"], !user.isEmpty else {
            fail(client, .missingUser)
            return
        }
        guard user.utf8.count < 128 else {
            fail(client, .nameTooLong("username"))
            return
        }
        client.user = user
        let database = packet["database"].flatMap { $0.isEmpty ? nil : $0 } ?? user
        guard database.utf8.count < 64 else {
            fail(client, .noSuchDatabase(String(database.prefix(63))))
            return
        }
        if shared.shutdown.load(ordering: .relaxed) != .none {
            fail(client, .shuttingDown)
            return
        }
        if settings.clientTlsSslmode.isRequired, client.tls == nil, !isUnix(client) {
            fail(client, .tlsRequired)
            return
        }
        if shared.capacity.withLock({ $0.clients }) > settings.maxClientConn {
            fail(client, .tooManyClients)
            return
        }
        switch ReplicationMode.read(packet["replication"]) {
        case .value(let mode): client.replication = mode
        case .invalid:
            fail(client, .malformedStartup("invalid value for parameter \"replication\": \"\(packet["replication"] ?? "")\""))
            return
        }
        guard let parameters = startupParameters(client, packet) else { return }
        let entry = configuration.database(named: database)
        let method = LoginMethod(rawValue: settings.authType.rawValue)
        let secret = secret(of: user)
        guard let method, method != .any || entry?.forcedUser != nil else {
            fail(client, .authenticationFailed("bouncer config error"))
            return
        }
        var negotiation = MessageWriter()
        if packet.minor > 0 || !packet.protocolOptions.isEmpty {
            negotiation.negotiateProtocolVersion(newestMinor: 0, unrecognized: packet.protocolOptions.map(\.name))
        }
        let login = ClientLoginState(
            exchange: ClientLogin(
                method: method, user: user, secret: secret, derivedSecret: derivedSecret(user, secret),
                randomness: .fresh(processKey: shared.processKey), iterations: settings.scramIterations,
                endPoint: client.tls?.endPoint),
            database: database, entry: entry, secret: secret, parameters: parameters)
        send(negotiation.bytes, to: client)
        client.login = login
        client.phase = .authenticating
        take(login.exchange.start(), client, login)
    }

    /// Everything of the startup packet that is a run-time parameter; nil when the client was refused.
    private func startupParameters(_ client: ClientConnection, _ packet: StartupPacket) -> [Parameter]? {
        var pairs = packet.parameters
        let ignored = settings.ignoreStartupParameters.map { $0.lowercased() }
        if client.replication != nil {
            // The server is the client's alone, and is told what the client told us.
            let own = pairs.filter { $0.name != "user" && $0.name != "database" && !ignored.contains($0.name.lowercased()) }
            var parameters = (own + (packet.options.map { [("options", $0)] } ?? [])).map { Parameter(name: $0.0, value: $0.1) }
            if settings.applicationNameAddHost { addHost(client, &parameters) }
            return parameters
        }
        if let options = packet.options {
            do {
                // A parameter in its own right beats one in options, as with PostgreSQL.
                pairs = try StartupOptions.parse(options) + pairs
            } catch {
                fail(client, .invalidOptions(error.message))
                return nil
            }
        }
        var parameters: [Parameter] = []
        for (name, value) in pairs {
            let key = name.lowercased()
            switch key {
            case "user", "database", "replication": continue
            default: break
            }
            if ignored.contains(key) || StartupLeftovers.contains(key) { continue }
            parameters.append(Parameter(name: key, value: key == "client_encoding" ? Self.encoding(value) : value))
        }
        if settings.applicationNameAddHost { addHost(client, &parameters) }
        return parameters
    }

    /// Drivers spell UTF-8 in many ways, some with quotes; the server calls it UTF8.
    private static func encoding(_ value: String) -> String {
        let letters = value.lowercased().filter { $0.isLetter || $0.isNumber }
        return letters == "utf8" || letters == "unicode" ? "UTF8" : value.filter { $0 != "'" && $0 != "\"" }
    }

    private func addHost(_ client: ClientConnection, _ parameters: inout [Parameter]) {
        let index = parameters.lastIndex { $0.name == "application_name" }
        let name = index.map { parameters[$0].value } ?? "app"
        let address = SocketAddress.peer(of: client.socket.descriptor)?.description ?? "?"
        let parameter = Parameter(name: "application_name", value: "\(name) - \(address)")
        if let index { parameters[index] = parameter } else { parameters.append(parameter) }
    }

    // MARK: Who is it?

    private func secret(of user: String) -> StoredSecret? {
        guard let text = configuration.userList.secrets[user] else { return nil }
        return StoredSecret(text: text)
    }

    private func derivedSecret(_ user: String, _ secret: StoredSecret?) -> SCRAMSecret? {
        guard case .plain(let password) = secret else { return nil }
        return shared.derivedSecrets.withLock { $0[user].flatMap { $0.password == password ? $0.secret : nil } }
    }

    private func take(_ step: ClientLogin.Step, _ client: ClientConnection, _ login: ClientLoginState) {
        if let password = login.plainPassword, let secret = login.exchange.derivedSecret {
            shared.derivedSecrets.withLock { secrets in
                if secrets[client.user]?.password != password {
                    secrets[client.user] = SharedState.DerivedSecret(password: password, secret: secret)
                }
            }
        }
        switch step {
        case .send(let request):
            var writer = MessageWriter()
            switch request {
            case .ok: writer.authentication(.ok)
            case .cleartextPassword: writer.authentication(.cleartextPassword)
            case .md5Password(let salt):
                writer.authentication(.md5Password(salt: salt.reduce(0) { $0 << 8 | UInt32($1) }))
            case .sasl(let mechanisms): writer.authentication(.sasl(mechanisms: mechanisms))
            case .saslContinue(let data): writer.authentication(.saslContinue(data))
            case .saslFinal(let data): writer.authentication(.saslFinal(data))
            }
            send(writer.bytes, to: client)
        case .rejected(let rejection):
            shared.log.info("\(client.label) login failed: \(rejection.logReason)")
            fail(client, .authenticationFailed(rejection.clientText))
        case .accepted(let saslFinal, let keys):
            if let keys, case .scram(let secret) = login.secret {
                shared.passThroughKeys.withLock { $0[client.user] = SharedState.PassThroughKeys(secret: secret, keys: keys) }
            }
            var writer = MessageWriter()
            if let saslFinal { writer.authentication(.saslFinal(saslFinal)) }
            writer.authentication(.ok)
            accepted(client, login, writer)
        }
    }

    /// The password was right; now the rest may be told.
    private func accepted(_ client: ClientConnection, _ login: ClientLoginState, _ answer: MessageWriter) {
        guard let database = login.entry else {
            fail(client, .noSuchDatabase(login.database))
            return
        }
        let limits = CapacityLedger.ClientLimits(
            database: configuration.maxDatabaseClientConnections(database: database),
            user: configuration.maxUserClientConnections(user: client.user))
        let refusal = shared.capacity.withLock { $0.admitClient(database: database.name, user: client.user, limits: limits) }
        if let refusal {
            fail(client, refusal)
            return
        }
        let shard = shard(of: database, user: database.forcedUser ?? client.user)
        client.shard = shard
        shard.clients += 1
        if settings.logConnections {
            shared.log.info(
                "\(client.label) login attempt: db=\(login.database) user=\(client.user) tls=\(client.tls?.summary ?? "no") replication=\(client.replication?.rawValue ?? "no")"
            )
        }
        if client.replication != nil {
            login.answer = answer.bytes
            requestDedicated(client)
            return
        }
        if let greeting = shard.shared.greeting {
            welcome(client, login, greeting, answer)
            return
        }
        // Nobody knows yet what a server of this pool says of itself. AuthenticationOk goes out with it, or an error does.
        client.phase = .awaitingGreeting
        login.answer = answer.bytes
        shard.awaitingGreeting.append(client.slot)
        if let failure = shard.shared.failure, shard.shared.connected.load(ordering: .relaxed) == 0,
            now < failure.time + settings.serverLoginRetry
        {
            fail(client, .serverLoginFailing(String((failure.fields.message ?? "connect failed").prefix(99))))
            return
        }
        serve(shard)
    }

    /// The shard of this worker for a pool, made on first use.
    func shard(of database: Database, user: String) -> PoolShard {
        let key = CapacityLedger.PoolKey(database: database.name, user: user)
        if let shard = shards[key] { return shard }
        if configuration.databases[database.name] == nil, shared.isNewAutoDatabase(database.name) {
            shared.log.info("registered new auto-database: db=\(database.name)")
        }
        let settings = PoolSettings(configuration, database: database, user: user)
        let shard = PoolShard(
            shared: shared.pool(key, workers: shared.clientsOfWorkers.count), worker: index, database: database, settings: settings)
        shards[key] = shard
        return shard
    }

    // MARK: Welcome

    /// Sends all that a client needs before its first query, in one go.
    private func welcome(
        _ client: ClientConnection, _ login: ClientLoginState, _ greeting: SharedPool.Greeting, _ answer: MessageWriter
    ) {
        guard let shard = client.shard else { return }
        let wanted = parameters(of: login, greeting, shard.shared.parameters)
        client.session.parameters = wanted
        client.session.startup = wanted
        var writer = answer
        for parameter in greeting.parameters {
            writer.parameterStatus(name: parameter.name, value: wanted[parameter.name] ?? parameter.value)
        }
        writeOwnParameters(&writer, shard)
        client.cancelKey = shared.cancels.register(CancelDirectory.Address(worker: UInt16(index), slot: client.slot))
        writer.backendKeyData(CancelDirectory.wire(client.cancelKey))
        if !settings.loginNotifyMessage.isEmpty {
            writer.notice(
                ErrorFields(severity: "NOTICE", code: SQLState.successfulCompletion, message: settings.loginNotifyMessage))
        }
        writer.readyForQuery(.idle)
        client.login = nil
        loggingIn -= 1
        shard.counters.totals.logins &+= 1
        client.phase = .idle
        client.requestTime = now
        send(writer.bytes, to: client)
    }

    /// What the pooler says of itself, as PgBouncer 1.26 does; drivers may look at it.
    func writeOwnParameters(_ writer: inout MessageWriter, _ shard: PoolShard) {
        writer.parameterStatus(name: "pgbouncer.version", value: Version.pgbouncer)
        writer.parameterStatus(name: "pgbouncer.pool_mode", value: shard.settings.mode.rawValue)
        writer.parameterStatus(name: "pgbouncer.max_prepared_statements", value: String(settings.maxPreparedStatements))
    }

    /// The pool's values with the client's own in their places. What the server does not report is kept apart.
    private func parameters(of login: ClientLoginState, _ greeting: SharedPool.Greeting, _ table: ParameterTable) -> ParameterSet {
        guard !login.parameters.isEmpty else { return greeting.defaults }
        var reported = greeting.defaults.reported
        var unreported: [Parameter] = []
        for parameter in login.parameters {
            if let index = reported.firstIndex(where: { $0.name.lowercased() == parameter.name }) {
                reported[index] = Parameter(name: reported[index].name, value: parameter.value)
            } else if ParameterTable.isTracked(parameter.name), !table.isRefused(parameter.name) {
                unreported.removeAll { $0.name == parameter.name }
                unreported.append(parameter)
            }
        }
        return table.intern(reported: reported, unreported: unreported, byServer: false)
    }

    /// A server of the pool has logged in somewhere: the clients that waited for it are let in.
    func greetingArrived(_ key: CapacityLedger.PoolKey) {
        guard let shard = shards[key], let greeting = shard.shared.greeting else { return }
        let waiting = shard.awaitingGreeting
        shard.awaitingGreeting = []
        for slot in waiting {
            guard let client = clients[slot], let login = client.login else { continue }
            var writer = MessageWriter()
            writer.bytes = login.answer
            welcome(client, login, greeting, writer)
            consumeHeld(client)
            if client.isOpen { resumeReading(client) }
        }
    }
}
