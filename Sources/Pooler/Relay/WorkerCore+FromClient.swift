import Bytes
import EventLoop
import PoolCore
import PostgresWire

/// From the client's socket to the server's.
extension WorkerCore {
    func ready(_ client: ClientConnection, _ readiness: Readiness) {
        if readiness.contains(.writable), client.channel.hasPendingOutput {
            transport.flush(client, self)
            guard client.isOpen else { return }
        }
        if readiness.contains(.readable) || readiness.contains(.closed) {
            read(client, toEnd: readiness.contains(.closed))
        }
    }

    /// Whether bytes of this client may be taken now. If not, they stay in the kernel.
    func mayRead(_ client: ClientConnection) -> Bool {
        if client.channel.hasPendingOutput || client.isLeaving { return false }
        if let server = client.server, server.channel.hasPendingOutput { return false }
        switch client.phase {
        case .waiting, .awaitingGreeting: return client.held.count < Transport.receiveSize
        case .linked:
            let isWaiting = client.server.map { $0.phase != .linked || $0.session.gate != .open } ?? false
            return !isWaiting || client.held.count < Transport.receiveSize
        case .authenticating: return client.login?.isSuspended != true || client.held.count < Transport.receiveSize
        case .canceling, .closed: return false
        case .console: return client.console?.session.isBusy != true || client.held.count < Transport.receiveSize
        default: return true
        }
    }

    /// What held back the reading of a client is gone.
    func resumeReading(_ client: ClientConnection) {
        guard client.hasUnread, client.isOpen else { return }
        client.hasUnread = false
        postponeReading(client)
    }

    func received(_ client: ClientConnection, _ bytes: Span<UInt8>) {
        if client.held.isEmpty {
            let used = consume(client, bytes)
            guard used < bytes.count, client.isOpen else { return }
            if !client.held.append(bytes.extracting(used...), from: chunks) { fail(client, .outOfMemory) }
        } else if client.held.append(bytes, from: chunks) {
            consumeHeld(client)
        } else {
            fail(client, .outOfMemory)
        }
    }

    /// Handles what is held, as far as it goes.
    func consumeHeld(_ client: ClientConnection) {
        guard !client.held.isEmpty else {
            if client.isLeaving { departures.finishLeaving(client) }
            return
        }
        // Taken out meanwhile, so that nobody handles the same bytes twice.
        var held = client.held.take()
        client.isConsuming = true
        let used = consume(client, held.bytes)
        client.isConsuming = false
        held.removeFirst(client.isOpen ? used : held.count, chunks)
        client.held = held
        if client.isLeaving { departures.finishLeaving(client) }
    }

    /// Handles bytes of a client. Returns how many are used up; the rest waits for more, or for a server.
    private func consume(_ client: ClientConnection, _ bytes: Span<UInt8>) -> Int {
        var at = 0
        while at < bytes.count {
            let before = at
            switch client.phase {
            case .linked:
                // What puts the server's settings right leaves with the message behind it: not before that may go.
                guard let server = client.server, !server.channel.hasPendingOutput, server.session.mayGoOn(), isAdjusted(server, client),
                    server.phase == .linked
                else { return at }
                at = relay(client, server, bytes, from: at)
                if at == before { return at }
            case .idle:
                at = request(client, bytes, from: at)
                // A server that was found takes the message in the next round.
                if at == before, client.server == nil { return at }
            case .startup, .authenticating:
                at = logins.login(client, bytes, from: at)
                if at == before { return at }
            case .console:
                at = admin.console.receive(client, bytes, from: at)
                if at == before { return at }
            case .skipping:
                at = cancels.skip(client, bytes, from: at)
                if at == before { return at }
            case .waiting, .awaitingGreeting, .canceling, .closed:
                return at
            }
            guard client.isOpen else { return bytes.count }
        }
        return at
    }

    // MARK: Without a server

    /// Looks at the next message of a client that has no server, and gets it one if the message is whole.
    private func request(_ client: ClientConnection, _ bytes: Span<UInt8>, from offset: Int) -> Int {
        if client.passThrough > 0 {
            // The rest of a late COPY message.
            let take = min(client.passThrough, bytes.count - offset)
            client.passThrough -= take
            return offset + take
        }
        switch header(of: client, bytes, at: offset) {
        case .more:
            return offset
        case .refused:
            return bytes.count
        case .frame(let frame):
            let available = bytes.count - offset
            switch frame.type {
            case Frontend.terminate where available >= frame.length:
                departures.leave(client, .terminated)
                return bytes.count
            case Frontend.flush where available >= frame.length:
                return offset + frame.length
            case Frontend.copyDone where available < frame.length, Frontend.copyFail where available < frame.length:
                return offset
            case Frontend.copyData, Frontend.copyDone, Frontend.copyFail:
                // A COPY that an error has ended; the server is long with somebody else.
                let take = min(frame.length, available)
                client.passThrough = frame.length - take
                client.dropsPassThrough = true
                return offset + take
            case Frontend.query, Frontend.parse, Frontend.bind, Frontend.describe, Frontend.execute, Frontend.close, Frontend.sync,
                Frontend.functionCall, Frontend.flush, Frontend.terminate:
                break
            default:
                fail(client, .unknownMessage)
                return bytes.count
            }
            guard isComplete(frame, available) else { return offset }
            client.requestTime = now
            requestServer(client)
            return offset
        }
    }

    /// What stands at the beginning of the next message of a client without a server.
    enum Header {
        case frame(Frame)
        /// Some of it is missing.
        case more
        /// It is that of no message, and the client has been told and closed.
        case refused
    }

    /// Looks at the next message of a client without a server: nobody else would find out what is wrong with it.
    func header(of client: ClientConnection, _ bytes: Span<UInt8>, at offset: Int) -> Header {
        guard startsKnown(bytes, at: offset) else {
            fail(client, .unknownMessage)
            return .refused
        }
        switch peekFrame(bytes, at: offset) {
        case .short:
            return .more
        case .malformed:
            fail(client, .badHeader(headerDigits(bytes, at: offset)))
        case .frame(let frame) where !isAllowed(frame):
            fail(client, .messageTooLarge(frame.length))
        case .frame(let frame) where bytes.count - offset >= frame.length && SmallMessages.hasSurplus(frame, bytes, at: offset):
            fail(client, .surplusBytes(frame.type))
        case .frame(let frame):
            return .frame(frame)
        }
        return .refused
    }

    /// Whether the first byte of a message, if it is there, is one. The rest of another one would be waited for in vain.
    private func startsKnown(_ bytes: Span<UInt8>, at offset: Int) -> Bool { offset >= bytes.count || Frontend.isKnown(bytes[offset]) }

    /// Whether enough of a message is here to send it on: all of it, or a good part of one that can be streamed. What a client that
    /// froze in the middle of a small message has sent, costs nobody a server.
    @inline(__always)
    private func isComplete(_ frame: Frame, _ available: Int) -> Bool {
        available >= frame.length || (available >= Self.streamingThreshold && frame.type != Frontend.parse)
    }

    /// Whether a message may be as long as its header says; before the rest of it is waited for.
    @inline(__always)
    func isAllowed(_ frame: Frame) -> Bool {
        frame.length <= limits.message && frame.length <= Frontend.maximumLength(frame.type)
    }

    // MARK: With a server

    /// Sends on whole messages, as many as there are, in one `send`. Returns up to where.
    private func relay(_ client: ClientConnection, _ server: ServerConnection, _ bytes: Span<UInt8>, from start: Int) -> Int {
        var at = start
        /// Bytes from here to `at` leave as they are.
        var run = start
        let isRest = client.passThrough > 0
        if !isRest { passRun(client, server, bytes, from: &at) }
        if at < bytes.count, !judge(client, server, bytes, from: &at, run: &run) {
            if client.isLeaving {
                noteBurst(server, bytes, start..<at, isRest: isRest)
                departures.finishLeaving(client)
            }
            return bytes.count
        }
        client.requestTime = now
        noteBurst(server, bytes, start..<at, isRest: isRest)
        sendBurst(client, server, bytes, run..<at)
        // The end of a message that outlived its transaction, or nothing but what the pooler answers itself.
        if server.session.ledger.count == 0 { advance(server) }
        return at
    }

    /// Messages about which there is nothing to decide.
    @inline(__always)
    private func passRun(_ client: ClientConnection, _ server: ServerConnection, _ bytes: Span<UInt8>, from at: inout Int) {
        let limit = min(limits.message, Self.longestBurst)
        let ordinary = server.session.passRun(bytes, from: at, limit: limit, client: &client.session, rules: server.rules)
        at = ordinary.end
        if ordinary.binds > 0 { server.shard.counters.totals.binds &+= Int64(ordinary.binds) }
        if ordinary.parses > 0 {
            server.shard.counters.totals.clientParses &+= Int64(ordinary.parses)
            server.shard.counters.totals.serverParses &+= Int64(ordinary.parses)
        }
    }

    /// Goes through the messages one by one, up to the end or one that has to wait. False: the client is gone.
    private func judge(
        _ client: ClientConnection, _ server: ServerConnection, _ bytes: Span<UInt8>, from at: inout Int, run: inout Int
    ) -> Bool {
        messages: while at < bytes.count {
            // What a full socket does not take stays where it is, in place of being copied.
            if at - run + toServer.count >= Self.longestBurst || server.channel.hasPendingOutput { break }
            if client.passThrough > 0 {
                var take = min(client.passThrough, bytes.count - at)
                if !client.dropsPassThrough { take = min(take, Self.longestBurst) }
                if client.dropsPassThrough { keep(bytes, run..<at) }
                client.passThrough -= take
                at += take
                if client.dropsPassThrough { run = at }
                if client.passThrough == 0 { janitor.slowMessages.remove(client.slot) }
                continue
            }
            passRun(client, server, bytes, from: &at)
            if at == bytes.count { break }
            guard startsKnown(bytes, at: at) else {
                sendBurst(client, server, bytes, run..<at)
                fail(client, .unknownMessage)
                return false
            }
            let frame: Frame
            switch peekFrame(bytes, at: at) {
            case .frame(let found):
                frame = found
            case .short:
                break messages
            case .malformed:
                sendBurst(client, server, bytes, run..<at)
                fail(client, .badHeader(headerDigits(bytes, at: at)))
                return false
            }
            let available = bytes.count - at
            guard isAllowed(frame) else {
                sendBurst(client, server, bytes, run..<at)
                fail(client, .messageTooLarge(frame.length))
                return false
            }
            if available < frame.length {
                guard isComplete(frame, available) || frame.type == Frontend.copyData else { break }
            }
            var take = min(frame.length, available)
            let piece = min(take, Self.longestBurst)
            if frame.type == Frontend.bind,
                let bind = server.session.passesBind(frame, bytes, at: at, client: &client.session, rules: server.rules)
            {
                keep(bytes, run..<at)
                writeBind(bytes, bind.portal, bind.serverName, restLength: frame.length - (bind.rest - at))
                run = bind.rest
                server.shard.counters.totals.binds &+= 1
                sent(max(piece, bind.rest - at), of: frame, &at, client, drops: false)
                continue
            }
            let action = server.session.judge(
                frame, bytes, at: at, client: &client.session, rules: server.rules, table: server.shard.statements)
            switch action {
            case .forward:
                take = piece
            case .forwardAndFlush:
                keep(bytes, run..<at + take)
                toServer.append(type: Frontend.flush, length: 4)
                run = at + take
            case .forwardBehind(let messages):
                keep(bytes, run..<at)
                run = at
                toServer.append(messages)
                take = piece
            case .wait(let now):
                keep(bytes, run..<at)
                run = at
                toServer.append(now)
                break messages
            case .ahead(let closed, let statement, let name, let describes):
                keep(bytes, run..<at)
                run = at
                for name in closed { writeTarget(Frontend.close, name) }
                if let statement { writeParse(name, statement, server) }
                if describes { writeTarget(Frontend.describe, name) }
                continue messages
            case .within(let before, let statement, let name, let after):
                keep(bytes, run..<at)
                run = at
                toServer.append(before)
                writeParse(name, statement, server)
                toServer.append(after)
                continue messages
            case .send(let messages):
                keep(bytes, run..<at)
                toServer.append(messages)
                run = at + take
            case .drop:
                keep(bytes, run..<at)
                run = at + take
            case .bind(let serverName, let portal, let rest):
                keep(bytes, run..<at)
                writeBind(bytes, portal, serverName, restLength: frame.length - (rest - at))
                run = rest
                take = max(piece, rest - at)
            case .describe(let serverName):
                keep(bytes, run..<at)
                writeTarget(Frontend.describe, serverName)
                run = at + take
            case .parse(let serverName, let tail, let more):
                keep(bytes, run..<at)
                server.shard.counters.totals.serverParses &+= 1
                toServer.append(type: Frontend.parse, length: 4 + serverName.count + 1 + frame.length - (tail - at))
                toServer.append(terminated: serverName.span)
                run = tail
                if more.isEmpty {
                    take = max(piece, tail - at)
                } else {
                    keep(bytes, run..<at + take)
                    toServer.append(more)
                    run = at + take
                }
            case .terminate:
                sendBurst(client, server, bytes, run..<at)
                departures.beginLeaving(client, .terminated)
                return false
            case .refuse(let error):
                sendBurst(client, server, bytes, run..<at)
                fail(client, error)
                return false
            }
            count(frame.type, action, server)
            if frame.type == Frontend.flush { server.isFlushed = true }
            var drops = false
            if case .drop = action { drops = true }
            sent(take, of: frame, &at, client, drops: drops)
            if server.session.gate != .open { break }
        }
        return true
    }

    @inline(__always)
    private func keep(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        if !range.isEmpty { toServer.append(bytes.extracting(range)) }
    }

    /// Goes on behind a message of which `taken` bytes were here; the rest is passed on, or dropped, as it comes.
    @inline(__always)
    private func sent(_ taken: Int, of frame: Frame, _ at: inout Int, _ client: ClientConnection, drops: Bool) {
        at += taken
        guard taken < frame.length else { return }
        client.passThrough = frame.length - taken
        client.dropsPassThrough = drops
        janitor.slowMessages.insert(client.slot)
    }

    /// A Bind up to and with its statement's name; what is behind that leaves as it is.
    private func writeBind(_ bytes: Span<UInt8>, _ portal: Range<Int>, _ serverName: [UInt8], restLength: Int) {
        toServer.append(type: Frontend.bind, length: 4 + portal.count + 1 + serverName.count + 1 + restLength)
        toServer.append(terminated: bytes.extracting(portal))
        toServer.append(terminated: serverName.span)
    }

    /// A Describe or Close of a statement.
    private func writeTarget(_ type: UInt8, _ name: [UInt8]) {
        toServer.append(type: type, length: 4 + 1 + name.count + 1)
        toServer.append(Target.statement.rawValue)
        toServer.append(terminated: name.span)
    }

    /// What SHOW STATS says of Parse and Bind: nothing where statements pass untouched, as in PgBouncer.
    @inline(__always)
    private func count(_ type: UInt8, _ action: FrontendAction, _ server: ServerConnection) {
        guard server.rules.mapsStatements else { return }
        if type == Frontend.bind {
            server.shard.counters.totals.binds &+= 1
        } else if type == Frontend.parse {
            server.shard.counters.totals.clientParses &+= 1
            if case .forward = action { server.shard.counters.totals.serverParses &+= 1 }
        }
    }

    /// Counts a burst, and keeps the beginning of one that begins with a statement: what a server is busy with is asked when it is too
    /// late to look. `isRest`: it begins in the middle of a message.
    @inline(__always)
    private func noteBurst(_ server: ServerConnection, _ bytes: Span<UInt8>, _ burst: Range<Int>, isRest: Bool) {
        guard !burst.isEmpty else { return }
        server.shard.counters.totals.bytesReceived &+= Int64(truncatingIfNeeded: burst.count)
        server.isStatementLatest = false
        if isRest { return }
        switch bytes[burst.lowerBound] {
        case Frontend.query, Frontend.parse, Frontend.bind:
            server.lastStatement.keep(bytes.extracting(burst))
            server.isStatementLatest = true
        default: break
        }
    }

    private func writeParse(_ name: [UInt8], _ statement: Statement, _ server: ServerConnection) {
        server.shard.counters.totals.serverParses &+= 1
        toServer.append(type: Frontend.parse, length: 4 + name.count + 1 + statement.definition.count)
        toServer.append(terminated: name.span)
        if statement.definition.count <= Self.longText {
            toServer.append(statement.definition)
            return
        }
        let scratch = toServer
        send(scratch.bytes, to: server)
        toServer.clear()
        send(statement, to: server)
    }

    /// A burst is not made longer than this: what a full socket has not taken is copied.
    private static let longestBurst = 256 * 1024
    /// A definition that the pooler sends on its own account is not copied when it is longer.
    private static let longText = 16 * 1024

    /// Sends what is in `toServer`, then the run; in one call.
    private func sendBurst(_ client: ClientConnection, _ server: ServerConnection, _ bytes: Span<UInt8>, _ run: Range<Int>) {
        if toServer.isEmpty {
            if !run.isEmpty { send(bytes.extracting(run), to: server) }
        } else {
            keep(bytes, run)
            let scratch = toServer
            send(scratch.bytes, to: server)
            toServer.clear()
        }
        guard server.isOpen, server.session.hasInvented else { return }
        // Nothing that the server has to answer comes first.
        let replies = server.session.takeInvented(client: &client.session)
        send(replies.span, to: client)
    }
}
