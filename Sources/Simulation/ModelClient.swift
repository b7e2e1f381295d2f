#if DEBUG
    import Authentication
    import Glibc
    import ModelPostgres
    import PostgresWire

    @testable import EventLoop

    /// A client of the pooler, with a PostgreSQL of its own beside the pooled one: what that answers is what the client must get, frame for
    /// frame. Where the world is disturbed, it may get less, and the end of its connection; it never gets anything else.
    final class ModelClient {
        enum Phase {
            case connecting, loggingIn, talking
            /// It has sent its last message.
            case leaving
            case gone
        }

        let name: String
        let world: World
        let database: String
        let user: String
        /// Values of its startup packet.
        let startup: [(name: String, value: String)]
        var dice: Dice
        private(set) var phase = Phase.connecting
        private var socket: VirtualSocket?
        private var stream = MessageStream()
        private var scram: SCRAMClientExchange?
        private(set) var key: CancelKey?
        /// What a PostgreSQL of its own does.
        private(set) var own: ModelPostgres
        /// Messages that are not written yet, and how much of the first one is.
        private(set) var outbox: [Message] = []
        private var written = 0
        private var expected: [String] = []
        private var gotten = 0
        /// What it has asked for and been answered, since the beginning.
        private(set) var answers = 0
        /// Values that a ParameterStatus may tell it.
        private var knownValues: Set<String> = [""]
        /// What it does next, once it is logged in.
        var script: ClientScript?
        /// How its connection ended; nil: it has not, or by its own will.
        private(set) var farewell: String?
        /// Reads at most so many bytes at a time, and waits in between.
        var readsSlowly = false
        private var isReadingLater = false
        /// One of its statements may be cancelled.
        var mayBeCanceled = false
        private(set) var startedWaiting: Int64 = 0
        /// The last message, with the state before it: what it does is known once it is answered, for it may be cancelled.
        private var unsettled: (messages: [Message], own: ModelPostgres, due: Int)?
        /// A value of its startup packet is one that PostgreSQL refuses.
        var bringsNonsense = false
        /// It has ended a COPY by sending nothing more: what comes of that is no answer to a message.
        private var hasBrokenOff = false

        init(
            name: String, world: World, database: String, user: String, startup: [(name: String, value: String)], dice: Dice
        ) {
            self.name = name
            self.world = world
            self.database = database
            self.user = user
            self.startup = startup
            self.dice = dice
            var values: [String: String] = [:]
            for (name, value) in startup { values[name] = value }
            own = ModelPostgres(settings: ModelSettings(startup: values))
            for (_, value) in startup { knownValues.insert(value) }
        }

        var isGone: Bool { if case .gone = phase { true } else { false } }
        var isTalking: Bool { if case .talking = phase { true } else { false } }
        /// Everything is sent and answered.
        var isQuiet: Bool { outbox.isEmpty && gotten == expected.count }
        /// What it waits for; for people.
        var awaited: String {
            switch phase {
            case .connecting: "its connection"
            case .loggingIn: "its login"
            case .gone: "nothing"
            case .talking, .leaving: gotten < expected.count ? expected[gotten] : outbox.isEmpty ? "nothing" : "room to write"
            }
        }
        var descriptor: Int32? { socket?.peer?.descriptor }
        var socketNumber: Int { socket?.number ?? 0 }

        // MARK: The connection

        func connect(from local: SocketAddress, to address: SocketAddress) {
            world.note("client connects", self, local.description)
            world.network.connect(from: local, to: address) { [self] socket in
                guard let socket else {
                    ended("refused")
                    return
                }
                self.socket = socket
                socket.onEvent = { [weak self] in self?.wake() }
                phase = .loggingIn
                startedWaiting = world.now
                var parameters = [(name: "user", value: user), (name: "database", value: database)]
                parameters += startup
                put(compose { $0.startup(parameters: parameters) })
            }
        }

        /// Something has come, or there is room.
        func wake() {
            write()
            read()
        }

        /// Bytes that were meant for somebody else.
        func takeBytes(_ bytes: [UInt8]) { if let socket { world.network.deliver(bytes, to: socket) } }

        /// Reads later, as if the process did not get its turn.
        private func read() {
            guard let socket, !isGone else { return }
            if readsSlowly {
                guard !isReadingLater else { return }
                isReadingLater = true
                world.after(dice.delay(usually: 20_000, rarely: 400_000, percent: 5)) { [self] in
                    isReadingLater = false
                    consume(most: 1 + dice.below(4096))
                    if let socket = self.socket, socket.available > 0 || socket.hasEnded || socket.isReset { read() }
                }
            } else {
                _ = socket
                consume(most: .max)
            }
        }

        private func consume(most: Int) {
            guard let socket, !isGone else { return }
            stream.append(world.network.read(socket, most: most))
            do {
                while !isGone, let frame = try stream.next() { take(frame) }
            } catch {
                world.fail("client \(name) got what is no message: \(stream.start)")
            }
            guard !isGone, socket.available == 0 else { return }
            if socket.isReset || socket.hasEnded {
                // With cancel_on_disconnect the answers to who sends nothing more are given up.
                let givesUp = world.plan.configuration.settings.cancelOnDisconnect
                let isGivenUp = if case .leaving = phase { givesUp } else { false }
                if !stream.isEmpty, !world.isDisturbed, !isGivenUp {
                    world.fail("client \(name) got half a message and the end of the stream")
                }
                ended(socket.isReset ? "reset" : "end of stream")
            }
        }

        private func put(_ message: Message) {
            outbox.append(message)
            write()
        }

        /// Writes in pieces of any size.
        private func write() {
            guard let socket, !isGone, !isWritingLater else { return }
            while let first = outbox.first {
                let isCut = dice.chance(3)
                let count = isCut ? 1 + dice.below(first.count - written) : first.count - written
                let taken = first[written..<(written + count)].withUnsafeBytes { world.network.send(socket, $0) }
                if taken < 0 {
                    if taken != -Int(EAGAIN) {
                        // Whatever has come before can be read all the same.
                        outbox = []
                        written = 0
                    }
                    return
                }
                written += taken
                if written == first.count {
                    outbox.removeFirst()
                    written = 0
                }
                if isCut {
                    isWritingLater = true
                    world.after(dice.delay(usually: 200, rarely: 300_000, percent: 3)) { [self] in
                        isWritingLater = false
                        write()
                    }
                    return
                }
            }
            // The last of it may want no answer.
            if isTalking, isQuiet { script?.quiet(self) }
        }
        private var isWritingLater = false

        // MARK: Talking

        /// Sends messages; its own PostgreSQL tells what is due for them.
        func send(_ messages: Message...) {
            if mayBeCanceled { unsettled = (messages, own, expected.count) }
            for one in messages {
                if one[0] == Frontend.query || one[0] == Frontend.parse { noteValues(one) }
                startedWaiting = world.now
                world.note("client sends", self, readable(one))
                expected += own.receive(one).filter { $0[0] != Backend.parameterStatus }.map(comparable)
                put(one)
            }
            if expected.count > 2000, gotten > 1000, unsettled == nil {
                expected.removeFirst(gotten)
                gotten = 0
            }
        }

        private func noteValues(_ message: Message) {
            let text = String(decoding: message[5...], as: UTF8.self)
            guard text.contains("'") else { return }
            for part in text.split(separator: "'") where part.hasPrefix(name) { knownValues.insert(String(part)) }
        }

        private func take(_ frame: Message) {
            if frame[0] == Backend.parameterStatus {
                check(parameter: frame)
                return
            }
            switch phase {
            case .loggingIn: takeLogin(frame)
            case .talking, .leaving: takeAnswer(frame)
            case .connecting, .gone: break
            }
        }

        private func check(parameter frame: Message) {
            guard let (key, value) = parameterStatus(frame) else {
                world.fail("client \(name) got a broken ParameterStatus")
                return
            }
            if key == "application_name", !knownValues.contains(value) {
                world.fail("client \(name) was told application_name = \(value), which is another's")
            }
        }

        private func takeAnswer(_ frame: Message) {
            if frame[0] == Backend.noticeResponse { return }
            if hasBrokenOff, gotten == expected.count { return }
            let text = comparable(frame)
            world.note("client gets", self, text)
            let due = gotten < expected.count ? expected[gotten] : nil
            if text == due {
                gotten += 1
            } else if text == "E 25P02", due?.hasPrefix("E") == true {
                // In a failed transaction the pooler can't always find out which of several errors is due.
                gotten += 1
            } else if text == "E \(SQLState.queryCanceled)", let (messages, before, start) = unsettled, gotten >= start {
                // It was cancelled, as somebody has asked for: while it ran, or before any of it did.
                own = before
                unsettled = nil
                let replies = messages.flatMap { own.cancel($0) }.filter { $0[0] != Backend.parameterStatus }.map(comparable)
                guard let index = replies.firstIndex(of: text) else {
                    world.fail("client \(name) got \(text) for \(messages.map(readable))")
                    return
                }
                expected.removeSubrange(start...)
                expected += replies[index...]
                gotten = start + 1
            } else if frame[0] == Backend.errorResponse, let fields = errorFields(frame) {
                takeError(fields, due: due)
                return
            } else {
                world.fail("client \(name) got \(text) in place of \(due ?? "nothing")")
                return
            }
            answers += 1
            startedWaiting = world.now
            if isQuiet { script?.quiet(self) }
        }

        /// An error that its own PostgreSQL does not give.
        private func takeError(_ fields: ErrorFields, due: String?) {
            let severity = fields.nonlocalizedSeverity ?? fields.severity ?? ""
            let text = "\(severity) \(fields.code ?? "?") \(fields.message ?? "")"
            guard severity == "FATAL" || fields.code == SQLState.connectionFailure || world.mayBeTold(fields, self) else {
                world.fail("client \(name) got \(text) in place of \(due ?? "nothing")")
                return
            }
            guard world.mayBeTold(fields, self) else {
                world.fail("client \(name) was told \(text), and nothing had happened; due was \(due ?? "nothing")")
                return
            }
            farewell = text
        }

        // MARK: Login

        private func takeLogin(_ frame: Message) {
            switch frame[0] {
            case Backend.authentication: answer(frame)
            case Backend.backendKeyData: key = BackendKeyDataMessage.read(frame.span, body: 5..<frame.count)
            case Backend.readyForQuery:
                phase = .talking
                world.loggedIn(self)
                script?.quiet(self)
            case Backend.errorResponse:
                if let fields = errorFields(frame) { takeError(fields, due: "its login") }
            case Backend.noticeResponse, Backend.negotiateProtocolVersion: break
            default: world.fail("client \(name) got \(readable(frame)) during its login")
            }
        }

        private func answer(_ frame: Message) {
            let password = world.password(of: user)
            let data = frame.dropFirst(9)
            switch AuthenticationMessage.read(frame.span, body: 5..<frame.count) {
            case .ok: break
            case .cleartextPassword: put(compose { $0.password(password) })
            case .md5Password(let salt):
                put(compose { $0.password(MD5Password.response(secret: MD5Password.secret(user: user, password: password), salt: salt)) })
            case .sasl:
                var exchange = SCRAMClientExchange(credential: .password(Array(password.utf8)), nonce: SCRAMMechanism.randomNonce())
                let first = exchange.clientFirst()
                scram = exchange
                put(compose { $0.saslInitialResponse(mechanism: SCRAMMechanism.name, data: first) })
            case .saslContinue:
                do {
                    let answer = try scram?.serverFirst(Array(data)) ?? []
                    put(compose { $0.saslResponse(answer) })
                } catch { world.fail("client \(name): SCRAM: \(error)") }
            case .saslFinal:
                do { try scram?.serverFinal(Array(data)) } catch { world.fail("client \(name): SCRAM: \(error)") }
            default: world.fail("client \(name) got \(readable(frame)) during its login")
            }
        }

        // MARK: The end

        /// Says good-bye, and closes when the pooler has done so.
        func terminate() {
            guard !isGone else { return }
            phase = .leaving
            put(compose { $0.terminate() })
            world.after(1 + dice.below(50_000 as Int64)) { [self] in
                if let socket, !isGone, outbox.isEmpty {
                    world.network.close(socket)
                    ended(nil)
                }
            }
        }

        /// Sends nothing more, and reads what is to come.
        func finish() {
            guard !isGone, let socket, outbox.isEmpty else { return }
            phase = .leaving
            hasBrokenOff = own.isCopyingIn
            world.network.finish(socket)
        }

        /// Is gone at once.
        func vanish(resets: Bool) {
            guard !isGone, let socket else { return }
            if resets { world.network.abort(socket) } else { world.network.close(socket) }
            ended(nil)
        }

        private func ended(_ how: String?) {
            let wasLeaving = if case .leaving = phase { true } else { false }
            phase = .gone
            if let how, !wasLeaving, farewell == nil, !world.isDisturbed {
                world.fail("client \(name): \(how) while it waited for \(awaited), and nothing had happened")
            }
            if let socket { world.network.close(socket) }
            world.note("client gone", self, how ?? farewell ?? "")
            world.left(self)
        }
    }

#endif
