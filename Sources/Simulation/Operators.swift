#if DEBUG
    import ModelPostgres
    import Authentication
    import PostgresWire

    @testable import EventLoop
    @testable import Pooler

    /// A client of the console: one command after the other.
    final class Operator {
        private unowned let world: World
        private let connection: RawConnection
        private var scram: SCRAMClientExchange?
        private var commands: [String]
        private(set) var current: String?
        private(set) var isGone = false
        private var dice: Dice
        /// Before each command.
        var before: (String) -> Void = { _ in }

        init(world: World, commands: [String], dice: Dice, from address: SocketAddress) {
            self.world = world
            self.commands = commands
            self.dice = dice
            connection = RawConnection(world: world)
            connection.onBytes = { [unowned self] in read() }
            connection.onEnd = { [unowned self] in isGone = true }
            connection.connect(from: address)
            connection.send(compose { $0.startup(parameters: [("user", Plan.operator), ("database", "pgbouncer")]) })
        }

        private func read() {
            while !isGone, let frame = connection.next() {
                switch frame[0] {
                case Backend.authentication: answer(frame)
                case Backend.readyForQuery:
                    current = nil
                    world.after(dice.delay(usually: 50_000, rarely: 800_000, percent: 20)) { [self] in go() }
                case Backend.errorResponse:
                    world.trace.note(world.now, "console error", 0, 0, "\(current ?? "login"): \(errorFields(frame)?.message ?? "")")
                case Backend.dataRow, Backend.rowDescription, Backend.commandComplete, Backend.parameterStatus, Backend.backendKeyData,
                    Backend.noticeResponse, Backend.emptyQueryResponse:
                    break
                default: world.fail("the console answered \(current ?? "the login") with \(readable(frame))")
                }
            }
        }

        private func answer(_ frame: Message) {
            let password = Plan.password(of: Plan.operator)
            let data = Array(frame.dropFirst(9))
            switch AuthenticationMessage.read(frame.span, body: 5..<frame.count) {
            case .cleartextPassword: connection.send(compose { $0.password(password) })
            case .md5Password(let salt):
                let secret = MD5Password.secret(user: Plan.operator, password: password)
                connection.send(compose { $0.password(MD5Password.response(secret: secret, salt: salt)) })
            case .sasl:
                var exchange = SCRAMClientExchange(credential: .password(Array(password.utf8)), nonce: SCRAMMechanism.randomNonce())
                let first = exchange.clientFirst()
                scram = exchange
                connection.send(compose { $0.saslInitialResponse(mechanism: SCRAMMechanism.name, data: first) })
            case .saslContinue:
                if let answer = try? scram?.serverFirst(data) { connection.send(compose { $0.saslResponse(answer) }) }
            default: break
            }
        }

        private func go() {
            guard !isGone else { return }
            guard !commands.isEmpty else {
                if dice.chance(70) { connection.send(compose { $0.terminate() }) } else { connection.close(resets: dice.chance(30)) }
                return
            }
            let command = commands.removeFirst()
            current = command
            before(command)
            world.trace.note(world.now, "console", 0, 0, command)
            connection.send(query(command))
        }

        /// Leaves in the middle of whatever it does.
        func leave() { connection.close(resets: true) }
    }

    /// Those who use the console.
    final class Operators {
        private unowned let world: World
        private var dice: Dice
        private var present: [Operator] = []
        private var born = 0
        private var isCalm = false
        private var isDone = false

        init(world: World, dice: Dice) {
            self.world = world
            self.dice = dice
        }

        var areGone: Bool { isDone && present.allSatisfy(\.isGone) }
        var state: String {
            let waiting = present.filter { !$0.isGone }.map { $0.current ?? "nothing" }
            return waiting.isEmpty ? "" : "; on the console: \(waiting.joined(separator: ", "))"
        }

        func begin() {
            guard world.plan.hasOperators else { return }
            for _ in 0..<dice.between(1, 3) { world.after(dice.below(world.plan.duration)) { [self] in come() } }
        }

        private func come() {
            guard !isCalm else { return }
            let commands = (0..<dice.between(1, 12)).map { _ in command() }
            enter(commands)
        }

        @discardableResult
        private func enter(_ commands: [String]) -> Operator {
            born += 1
            let address = SocketAddress(numeric: "10.2.0.\(born % 250)", port: UInt16(1000 + born))!
            let newcomer = Operator(world: world, commands: commands, dice: dice.fork(), from: address)
            newcomer.before = { [unowned self] in prepare($0) }
            present.removeAll(where: \.isGone)
            present.append(newcomer)
            return newcomer
        }

        private func command() -> String {
            let database = dice.pick(databases)
            let gentle = [
                "SHOW POOLS", "SHOW CLIENTS", "SHOW SERVERS", "SHOW STATS", "SHOW LISTS", "SHOW MEM", "SHOW CONFIG", "SHOW DATABASES",
                "SHOW TOTALS", "SHOW STATE", "SHOW SOCKETS", "SHOW USERS", "SHOW WAITS", "SHOW ERRORS", "SHOW VERSION",
                "PAUSE", "PAUSE \(database)", "RESUME", "RESUME", "RESUME \(database)", "RESUME \(database)", "RELOAD", "RELOAD",
                "RECONNECT", "RECONNECT \(database)", "WAIT_CLOSE", "WAIT_CLOSE \(database)",
                "SET default_pool_size = \(dice.between(1, 4))",
                "RESET default_pool_size", "SET server_round_robin = 1", "nonsense",
            ]
            let harsh = ["KILL \(database)", "DISABLE \(database)", "ENABLE \(database)", "KILL", "KILL_CLIENT \(1 + dice.below(40))"]
            return dice.pick(world.plan.troubles.contains(.harshCommands) ? gentle + harsh + harsh : gentle)
        }

        private var databases: [String] { world.plan.configuration.databases.map(\.key).sorted() }

        private func prepare(_ command: String) {
            if command == "RELOAD" { world.next.configuration = world.plan.changed(world.next.configuration, &dice) }
            // server_fast_close ends clients of session pools that have a server of the time before.
            let endsSessions = command.hasPrefix("RECONNECT") && world.plan.configuration.settings.serverFastClose
            if command.hasPrefix("KILL") || command.hasPrefix("DISABLE") || endsSessions { world.disturb() }
        }

        /// What was held back goes on.
        func calm() {
            isCalm = true
            for one in present where !one.isGone && dice.chance(50) { one.leave() }
            resume()
        }

        private func resume() {
            // Somebody else's last command may come in between.
            let last = enter(["RESUME"] + databases.flatMap { ["RESUME \($0)", "ENABLE \($0)"] })
            world.after(2_000_000) { [self] in
                let others = present.contains { !$0.isGone && $0 !== last }
                if others || !last.isGone || isHeld { resume() } else { isDone = true }
            }
        }

        private var isHeld: Bool {
            let state = world.process.adminState
            return state.isPaused || !state.pausedDatabases.isEmpty || !state.disabledDatabases.isEmpty
        }
    }

#endif
