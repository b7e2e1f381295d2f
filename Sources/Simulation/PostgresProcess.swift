#if DEBUG
    import Authentication
    import ModelPostgres
    import PostgresWire

    @testable import EventLoop

    /// A connection to a model server: its login, and a session of the model that the differential test compares with PostgreSQL.
    final class PostgresProcess {
        private enum Phase {
            case startup
            case password((Message) -> Bool)
            case sasl(SCRAMServerExchange, isFirst: Bool)
            case running
            case closed
        }

        let key: CancelKey
        private(set) var database = ""
        private(set) var user = ""
        private let socket: VirtualSocket
        private unowned let host: PostgresHost
        private var phase = Phase.startup
        private var stream = MessageStream()
        private(set) var session = ModelPostgres()
        /// What is written when a message is done, or there is room.
        private var output: [UInt8] = []
        /// Waits for the next ReadyForQuery or Flush, as PostgreSQL's own buffer does.
        private var buffered: [UInt8] = []
        /// A message takes its time.
        private var isBusy = false
        private var isCanceled = false
        /// Ends when everything is written.
        private var endsNext = false
        /// What runs now, for the trace and the checker.
        private(set) var current: Message?

        init(_ socket: VirtualSocket, host: PostgresHost, key: CancelKey) {
            self.socket = socket
            self.host = host
            self.key = key
        }

        var isOpen: Bool { if case .closed = phase { false } else { true } }
        var isLoggedIn: Bool { if case .running = phase { true } else { false } }

        // MARK: Bytes

        /// Something has come, or there is room.
        func wake() {
            guard isOpen, !host.isHanging else { return }
            write()
            guard isOpen, !isBusy else { return }
            stream.append(host.network.read(socket))
            do {
                try handleNext()
            } catch {
                close()
                return
            }
            if isOpen, !isBusy, socket.isReset || (socket.hasEnded && socket.available == 0) {
                // PostgreSQL's end of a client that is gone.
                close()
            }
        }

        private func handleNext() throws {
            switch phase {
            case .closed: return
            case .startup:
                guard let packet = try stream.nextUntyped() else { return }
                takeTime(100) { [self] in
                    startup(packet)
                }
            default:
                guard !endsNext, let next = try stream.next() else { return }
                current = next
                takeTime(work(next)) { [self] in
                    current = nil
                    handle(next)
                }
            }
        }

        private func work(_ next: Message) -> Int64 {
            guard case .running = phase else { return 50 }
            switch next[0] {
            case Frontend.query, Frontend.execute:
                if String(decoding: next[5...].prefix(20), as: UTF8.self).contains("sleep") { return 20_000 }
                return host.dice.delay(usually: host.work.usual, rarely: host.work.rare, percent: host.work.percent)
            default: return 1 + host.dice.below(30 as Int64)
            }
        }

        private func takeTime(_ time: Int64, _ action: @escaping () -> Void) {
            isBusy = true
            host.scheduler.after(time) { [weak self] in
                guard let self, self.isOpen else { return }
                guard !self.host.isHanging else {
                    // It goes on where it was.
                    self.takeTime(10_000, action)
                    return
                }
                self.isBusy = false
                action()
                if self.isOpen { self.wake() }
            }
        }

        private func write() {
            guard !output.isEmpty else {
                if endsNext { close() }
                return
            }
            let count = output.withUnsafeBytes { host.network.send(socket, $0) }
            if count > 0 {
                output.removeFirst(count)
                if output.isEmpty, endsNext { close() } else if !output.isEmpty { write() }
            } else if count != -11 {
                close()
            }
        }

        private func send(_ messages: [Message]) {
            for message in messages { output += message }
            write()
        }

        private func close() {
            guard isOpen else { return }
            phase = .closed
            host.network.close(socket)
            host.ended(self)
        }

        /// Without a word.
        func crash() {
            guard isOpen else { return }
            phase = .closed
            host.network.abort(socket)
            host.ended(self)
        }

        /// PostgreSQL ends the session.
        func endBy(code: String, _ text: String) {
            guard isOpen else { return }
            endsNext = true
            send([compose { $0.error(ErrorFields(severity: "FATAL", code: code, message: text)) }])
        }

        // MARK: Login

        private func startup(_ packet: Message) {
            guard case .complete(let request, _) = StartupRequest.parse(packet.span, limit: 10_004) else {
                close()
                return
            }
            switch request {
            case .cancel(let key):
                host.cancel(key)
                close()
            case .ssl, .gssEncryption:
                output.append(UInt8(ascii: "N"))
                write()
            case .startup(let startup):
                user = startup["user"] ?? ""
                database = startup["database"] ?? user
                var values: [String: String] = [:]
                for (name, value) in startup.parameters where ModelSettings.isKnown(name) { values[name] = value }
                session = ModelPostgres(settings: ModelSettings(startup: values))
                if let (name, value) = startup.parameters.first(where: { !ModelSettings.takes($0.value, for: $0.name) }) {
                    endBy(code: SQLState.invalidParameterValue, "\(value) is outside the valid range for parameter \"\(name)\"")
                    return
                }
                judge()
            default: close()
            }
        }

        private func judge() {
            if host.isStarting {
                endBy(code: SQLState.cannotConnectNow, "the database system is starting up")
                return
            }
            if host.dice.chance(host.refusesLogins) {
                endBy(code: SQLState.invalidAuthorization, "a login that the simulation refuses")
                return
            }
            let password = host.passwords[user] ?? ""
            switch host.method {
            case .trust: welcome()
            case .cleartext:
                send([compose { $0.authentication(.cleartextPassword) }])
                phase = .password { $0.dropFirst(5).dropLast().elementsEqual(password.utf8) }
            case .md5:
                let salt: [UInt8] = (0..<4).map { _ in UInt8(host.dice.below(256)) }
                send([compose { $0.authentication(.md5Password(salt: salt)) }])
                let expected = MD5Password.response(secret: MD5Password.secret(user: user, password: password), salt: salt)
                phase = .password { $0.dropFirst(5).dropLast().elementsEqual(expected.utf8) }
            case .scram:
                let salt: [UInt8] = (0..<16).map { _ in UInt8(host.dice.below(256)) }
                let secret = SCRAMSecret.derive(password: password, salt: salt, iterations: 16)
                send([compose { $0.authentication(.sasl(mechanisms: [SCRAMMechanism.name])) }])
                phase = .sasl(SCRAMServerExchange(secret: secret, isMock: false, nonce: SCRAMMechanism.randomNonce()), isFirst: true)
            }
        }

        private func welcome() {
            let open = host.processes.values.count { $0.isLoggedIn }
            guard open < host.mostConnections else {
                endBy(code: SQLState.tooManyConnections, "sorry, too many clients already")
                return
            }
            phase = .running
            host.loggedIn()
            let (session, key) = (session, key)
            send([
                compose { writer in
                    writer.authentication(.ok)
                    for name in ModelSettings.reported { writer.parameterStatus(name: name, value: session.settings[name] ?? "") }
                    for (name, value) in [
                        ("server_version", "15.8"), ("server_encoding", "UTF8"), ("integer_datetimes", "on"), ("is_superuser", "off"),
                    ] {
                        writer.parameterStatus(name: name, value: value)
                    }
                    writer.backendKeyData(key)
                    writer.readyForQuery(.idle)
                }
            ])
        }

        // MARK: Messages

        private func handle(_ next: Message) {
            switch phase {
            case .startup, .closed: return
            case .password(let isRight):
                guard next[0] == Frontend.password else {
                    close()
                    return
                }
                if isRight(next) { welcome() } else { refuse() }
            case .sasl(var exchange, let isFirst):
                guard next[0] == Frontend.password else {
                    close()
                    return
                }
                do {
                    if isFirst {
                        // The mechanism's name, a length, and the client's first message.
                        let name = next[5...].firstIndex(of: 0) ?? 5
                        let first = try exchange.clientFirst(Array(next[(name + 5)...]))
                        phase = .sasl(exchange, isFirst: false)
                        send([compose { $0.authentication(.saslContinue(first)) }])
                    } else {
                        let success = try exchange.clientFinal(Array(next[5...]))
                        send([compose { $0.authentication(.saslFinal(success.serverFinal)) }])
                        welcome()
                    }
                } catch { refuse() }
            case .running:
                host.trace.note(host.scheduler.now, "works", Int(key.processID), isCanceled ? 1 : 0, readable(next))
                var answers: [Message]
                if host.remembers, String(decoding: next[5...], as: UTF8.self).hasPrefix("DISCARD ALL") {
                    answers = [compose { $0.commandComplete("DISCARD ALL") }, compose { $0.readyForQuery(.idle) }]
                } else {
                    answers = isCanceled ? session.cancel(next) : session.receive(next)
                }
                if host.lies, let row = answers.firstIndex(where: { $0[0] == Backend.dataRow }) {
                    host.lies = false
                    answers[row] = compose { $0.dataRow(["a lie"]) }
                }
                isCanceled = false
                for answer in answers { buffered += answer }
                // Errors and notices leave at once (send_message_to_frontend).
                let isError = answers.contains { $0[0] == Backend.errorResponse || $0[0] == Backend.noticeResponse }
                let flushes = isError || next[0] == Frontend.flush || session.isClosed || session.isCopyingIn || buffered.count > 8192
                if flushes || answers.last?.first == Backend.readyForQuery || host.dice.chance(3) {
                    output += buffered
                    buffered = []
                }
                if session.isClosed { endsNext = true }
                write()
            }
        }

        private func refuse() {
            endBy(code: SQLState.invalidPassword, "password authentication failed for user \"\(user)\"")
        }

        /// A cancel request for this session. False: it runs nothing.
        func cancel() -> Bool {
            guard isLoggedIn else { return false }
            if session.isCopyingIn {
                for answer in session.interrupt() { buffered += answer }
                output += buffered
                buffered = []
                write()
                return true
            }
            guard let current, [Frontend.query, Frontend.execute, Frontend.functionCall].contains(current[0]) else { return false }
            isCanceled = true
            return true
        }
    }

#endif
