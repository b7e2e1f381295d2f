import Bytes
import EventLoop
import PoolCore
import PostgresWire

/// From the server's socket to the client's.
extension WorkerCore {
    /// Errors and notices up to this size are looked at; larger ones are passed on in pieces.
    private static let wholeLimit = 256 * 1024

    func ready(_ server: ServerConnection, _ readiness: Readiness) {
        if server.phase == .connecting {
            opener.connected(server)
            guard server.isOpen, server.phase != .connecting else { return }
        }
        if readiness.contains(.writable), server.channel.hasPendingOutput {
            transport.flush(server, self)
            guard server.isOpen else { return }
        }
        if readiness.contains(.readable) || readiness.contains(.closed) {
            read(server, toEnd: readiness.contains(.closed))
        }
    }

    func received(_ server: ServerConnection, _ bytes: Span<UInt8>) {
        if server.held.isEmpty {
            let used = interpret(server, bytes)
            if used < bytes.count, server.isOpen, !server.held.append(bytes.extracting(used...), from: chunks) {
                close(server, .outOfMemory)
            }
        } else {
            var held = server.held.take()
            guard held.append(bytes, from: chunks) else {
                held.clear(to: chunks)
                close(server, .outOfMemory)
                return
            }
            let used = interpret(server, held.bytes)
            held.removeFirst(server.isOpen ? used : held.count, chunks)
            server.held = held
        }
        finish(server)
    }

    /// All bytes are in their places; now the server may change hands.
    private func finish(_ server: ServerConnection) {
        guard server.isOpen else { return }
        if server.client == nil, !nobody.statements.isEmpty { nobody = ClientSession() }
        advance(server)
        if let client = server.client, client.isLeaving { departures.finishLeaving(client) }
    }

    private func interpret(_ server: ServerConnection, _ bytes: Span<UInt8>) -> Int {
        switch server.phase {
        case .encrypting: opener.answeredTLSRequest(server, bytes)
        case .authenticating: opener.login(server, bytes)
        case .lookingUp: logins.lookUp(server, bytes)
        default: relay(server, bytes)
        }
    }

    /// Passes on what the server sent, as far as somebody is owed it, in one `send`. Returns how many bytes are used up.
    private func relay(_ server: ServerConnection, _ bytes: Span<UInt8>) -> Int {
        var at = 0
        /// Bytes from here to `at` go to the client as they are.
        var run = 0
        if server.passThrough == 0, Self.isOrdinary(server) { passRuns(server, bytes, from: &at) }
        if at < bytes.count, !classifyReply(server, bytes, from: &at, run: &run) { return bytes.count }
        inventFirst(server, bytes, run: &run, at)
        sendBurst(server, bytes, run..<at)
        server.shard.counters.totals.bytesSent &+= Int64(truncatingIfNeeded: at)
        server.lastActivity = now
        return at
    }

    /// Answers in which there is nothing to be judged: they go to the client.
    @inline(__always)
    private func passRuns(_ server: ServerConnection, _ bytes: Span<UInt8>, from at: inout Int) {
        while at < bytes.count {
            let ordinary = server.session.passRun(bytes, from: at)
            at = ordinary.end
            guard ordinary.isReady else { return }
            readyForQuery(server, isClients: true)
        }
    }

    /// Goes through the messages one by one, up to the end or one that is not all here. False: the server is gone, or about to be.
    private func classifyReply(_ server: ServerConnection, _ bytes: Span<UInt8>, from at: inout Int, run: inout Int) -> Bool {
        while at < bytes.count {
            if server.passThrough > 0 {
                let take = min(server.passThrough, bytes.count - at)
                if server.dropsPassThrough { keepForClient(bytes, run..<at) }
                server.passThrough -= take
                at += take
                if server.dropsPassThrough { run = at }
                continue
            }
            if Self.isOrdinary(server) {
                passRuns(server, bytes, from: &at)
                if at == bytes.count { break }
            }
            guard case .frame(let frame) = peekFrame(bytes, at: at) else {
                if case .short = peekFrame(bytes, at: at) { break }
                sendBurst(server, bytes, run..<at)
                violate(server, .malformedMessage)
                return false
            }
            let available = bytes.count - at
            if available < frame.length, frame.length <= Self.wholeLimit,
                ServerSession.needsWhole(frame.type) || server.session.needsDescription
            {
                break
            }
            var take = min(frame.length, available)
            var length = frame.length
            var forwards: Bool
            switch frame.type {
            case Backend.dataRow, Backend.copyData:
                inventFirst(server, bytes, run: &run, at)
                // Asked once for a run of rows.
                switch classifyReply(server, frame, bytes, at) {
                case .forward: forwards = true
                case .swallow: forwards = false
                default:
                    sendBurst(server, bytes, run..<at)
                    violate(server, .unaskedRow)
                    return false
                }
                if take == length { take = Self.rows(bytes, from: at, of: frame.type, &length) }
            case Backend.parameterStatus:
                inventFirst(server, bytes, run: &run, at)
                forwards = parameterStatus(server, bytes, frame.body(at: at))
            case Backend.noticeResponse:
                inventFirst(server, bytes, run: &run, at)
                forwards = server.session.ledger.head?.disposition != .swallow
            case Backend.notificationResponse:
                inventFirst(server, bytes, run: &run, at)
                forwards = server.client.map { server.listeners.contains($0.id) } ?? false
            default:
                if frame.type == Backend.errorResponse { noteFarewell(server, bytes, frame.body(at: at)) }
                if server.session.ledger.isEmpty {
                    // An error that nothing provoked: the server is about to end the connection. Any other one answers something that
                    // the pooler does not know of.
                    if frame.type == Backend.errorResponse, server.farewell != nil {
                        forwards = true
                        server.farewellWasForwarded = server.client != nil
                        break
                    }
                    sendBurst(server, bytes, run..<at)
                    violate(server, .unasked(type: frame.type))
                    return false
                }
                inventFirst(server, bytes, run: &run, at)
                switch classifyReply(server, frame, bytes, at) {
                case .forward:
                    forwards = true
                    if server.farewell != nil { server.farewellWasForwarded = server.client != nil }
                case .swallow:
                    forwards = false
                case .replace(let replacement):
                    keepForClient(bytes, run..<at)
                    run = at
                    if server.client != nil { toClient.append(replacement) }
                    forwards = false
                case .ready(let owed):
                    forwards = owed
                    readyForQuery(server, isClients: owed)
                    if let client = server.client, case let news = lookForReset(client, server), !news.isEmpty {
                        keepForClient(bytes, run..<at)
                        run = at
                        toClient.append(news)
                    }
                case .resolved(let readies):
                    forwards = false
                    keepForClient(bytes, run..<at)
                    run = at
                    var writer = MessageWriter()
                    for _ in 0..<readies { writer.readyForQuery(server.session.status) }
                    if server.client != nil { toClient.append(writer.bytes) }
                    readyForQuery(server, isClients: readies > 0)
                case .again(let messages):
                    forwards = false
                    readyForQuery(server, isClients: false)
                    if let client = server.client { judgeAgain(messages, client) }
                case .endClient(let messages, let error):
                    keepForClient(bytes, run..<at)
                    run = at
                    toClient.append(messages)
                    sendBurst(server, bytes, run..<at)
                    if let client = server.client { fail(client, error) }
                    guard server.isOpen else { return false }
                    forwards = false
                case .errandFailed(let errand, let fields):
                    forwards = false
                    // It may end the connection: what came before goes out first.
                    sendBurst(server, bytes, run..<at)
                    run = at
                    errandFailed(server, errand, fields)
                    guard server.isOpen else { return false }
                case .errandDone(let errand):
                    forwards = false
                    if case .parameter(let change, true) = errand { tried(change, server) }
                    if errand == .resetQuery { noteDefaults(of: server) }
                    if case .explain(let name) = errand {
                        server.explanationsLeft -= 1
                        server.isExplained = server.explanationsLeft == 0
                        explained(name, server)
                    }
                case .violation:
                    sendBurst(server, bytes, run..<at)
                    violate(server, .outOfOrder(type: frame.type))
                    return false
                }
            }
            if server.client == nil { forwards = false }
            if !forwards {
                keepForClient(bytes, run..<at)
                run = at + take
            }
            at += take
            if take < length {
                server.passThrough = length - take
                server.dropsPassThrough = !forwards
            } else if frame.type == Backend.errorResponse, let farewell = server.farewell {
                // The server will close the connection, or should have.
                sendBurst(server, bytes, run..<at)
                close(server, .said(farewell))
                return false
            }
        }
        return true
    }

    /// What a client has sent is judged once more, ahead of what it has sent since.
    private func judgeAgain(_ messages: [UInt8], _ client: ClientConnection) {
        var later = client.held.take()
        let isKept = client.held.append(messages.span, from: chunks) && client.held.append(later.bytes, from: chunks)
        later.clear(to: chunks)
        if !isKept { fail(client, .outOfMemory) }
    }

    /// Somebody is there to whom answers may belong, and nothing of what happens is taken note of.
    @inline(__always)
    private static func isOrdinary(_ server: ServerConnection) -> Bool {
        server.client?.session.isOrdinary ?? false
    }

    /// Rows come in long runs, all of them owed to the same request. Returns how many bytes of the run are here; `length` becomes what
    /// it has in all, with the last row's missing end.
    @inline(__always)
    private static func rows(_ bytes: Span<UInt8>, from start: Int, of type: UInt8, _ length: inout Int) -> Int {
        var end = start + length
        while case .frame(let next) = peekFrame(bytes, at: end), next.type == type { end += next.length }
        length = end - start
        return min(end, bytes.count) - start
    }

    @inline(__always)
    private func classifyReply(_ server: ServerConnection, _ frame: Frame, _ bytes: Span<UInt8>, _ at: Int) -> BackendAction {
        if let client = server.client {
            let action = server.session.receive(frame, bytes, at: at, client: &client.session, table: server.shard.statements)
            if server.session.hasListened {
                server.session.hasListened = false
                // Most of those who listen in transaction mode are long gone.
                if server.listeners.count >= 100 {
                    server.listeners = server.listeners.filter { id in clients.all.contains { $0.id == id } }
                }
                server.listeners.insert(client.id)
            }
            return action
        }
        return server.session.receive(frame, bytes, at: at, client: &nobody, table: server.shard.statements)
    }

    /// What the pooler itself has to answer by now goes ahead of what is at `at`.
    @inline(__always)
    private func inventFirst(_ server: ServerConnection, _ bytes: Span<UInt8>, run: inout Int, _ at: Int) {
        guard server.session.hasInvented else { return }
        keepForClient(bytes, run..<at)
        run = at
        invent(server)
    }

    private func invent(_ server: ServerConnection) {
        if let client = server.client {
            toClient.append(server.session.takeInvented(client: &client.session))
        } else {
            _ = server.session.takeInvented(client: &nobody)
        }
    }

    @inline(__always)
    private func keepForClient(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        if !range.isEmpty { toClient.append(bytes.extracting(range)) }
    }

    /// Sends what is in `toClient`, then the run; in one call.
    private func sendBurst(_ server: ServerConnection, _ bytes: Span<UInt8>, _ run: Range<Int>) {
        guard let client = server.client else {
            toClient.clear()
            return
        }
        if toClient.isEmpty {
            if !run.isEmpty { send(bytes.extracting(run), to: client) }
        } else {
            keepForClient(bytes, run)
            let scratch = toClient
            send(scratch.bytes, to: client)
            toClient.clear()
        }
    }

    // MARK: What the pooler itself looks at

    /// `isClients`: the linked client is owed it.
    @inline(__always)
    private func readyForQuery(_ server: ServerConnection, isClients: Bool) {
        let start = server.queryStart
        if isClients, start > 0 {
            let shard = server.shard
            shard.counters.answered(after: now - start)
            if server.session.status == .idle {
                let begin = server.transactionStart > 0 ? server.transactionStart : start
                shard.counters.ended(transactionOf: now - begin)
            }
            if now - start + server.waited > limits.slow { janitor.waits.logSlow(server, ran: now - start) }
            server.waited = 0
        }
        switch server.session.status {
        case .idle: server.transactionStart = 0
        default: if server.transactionStart == 0 { server.transactionStart = start }
        }
        // What else is in the pipeline runs from now on.
        server.queryStart = server.session.ledger.isEmpty ? 0 : now
    }

    /// Keeps both sides' settings up to date. Returns whether the client is to see it.
    private func parameterStatus(_ server: ServerConnection, _ bytes: Span<UInt8>, _ body: Range<Int>) -> Bool {
        guard let (name, value) = ParameterStatusMessage.read(bytes, body: body) else {
            // Too long to be looked at.
            server.reportsTooMuch = true
            return true
        }
        let parameter = Parameter(name: String(decoding: bytes, in: name), value: String(decoding: bytes, in: value))
        let table = server.shard.shared.parameters
        let cause = server.session.causeOfReport
        let before = server.session.settings.defaults
        if !server.session.settings.report(parameter, by: cause, in: table) { server.reportsTooMuch = true }
        let defaults = server.session.settings.defaults
        if defaults !== before { server.shard.shared.changed(parameter, generation: server.generation) }
        // Who is not let in yet hears it all with the greeting.
        guard let client = server.client, client.login == nil else { return false }
        let own = client.session.parameters
        guard cause == .client, let own, ParameterTable.isTracked(parameter.name) else {
            // Its own, or one that it knows, or (in a trial) one of which it will be told.
            if own?[parameter.name] != nil || client.session.told === defaults { return cause == .client }
            let isNews = client.session.told?[parameter.name] != parameter.value
            if defaults !== before { client.session.told = defaults }
            return isNews && (cause != .pooler || defaults[parameter.name] == parameter.value)
        }
        let startup = client.session.startup?[parameter.name]
        recogniseReset(client, server)
        if client.session.isResetting {
            // The server goes back to its own value, the client to what its startup packet said: that is put back behind it.
            let left = table.removing(parameter.name, from: own, inFavourOf: client.session.startup)
            client.session.parameters = left
            if startup == nil { server.session.settings.follow(left) }
            return startup == nil || startup == parameter.value
        }
        let isDefault = startup == nil && defaults[parameter.name] == parameter.value
        let changed =
            isDefault ? table.removing(parameter.name, from: own, inFavourOf: nil) : table.replacing(parameter, in: own) ?? own
        client.session.parameters = changed
        server.session.settings.follow(changed)
        // While the server is its client's alone it makes no difference whose value it is. What a SET has given a value for the session keeps it
        // whatever the server's own becomes.
        let mayBeServers = server.shard.settings.policy.sharesServers && own[parameter.name] == nil
        if mayBeServers, !server.session.hasSet, !isDefault, !server.session.settings.noteUnexplained(parameter.name) {
            server.reportsTooMuch = true
        }
        return true
    }

    /// The session has been reset: what a server reports now is its own.
    private func noteDefaults(of server: ServerConnection) {
        let shared = server.shard.shared
        for parameter in server.session.settings.acceptDefaults(in: shared.parameters) {
            shared.changed(parameter, generation: server.generation)
        }
    }

    private func noteFarewell(_ server: ServerConnection, _ bytes: Span<UInt8>, _ body: Range<Int>) {
        guard let fields = ErrorFields.read(bytes, body: body) else { return }
        if server.client != nil, server.session.ledger.head?.disposition != .swallow {
            server.shard.counters.errors.add(fields.code ?? "none")
        }
        let severity = fields.nonlocalizedSeverity ?? fields.severity
        if severity == "FATAL" || severity == "PANIC" { server.farewell = fields }
    }

    private func violate(_ server: ServerConnection, _ violation: ServerCloseReason.ProtocolViolation) {
        toClient.clear()
        close(server, .violation(violation))
    }
}
