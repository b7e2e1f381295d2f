#if DEBUG
    import Configuration
    import Glibc
    import PoolCore
    import PostgresWire
    import Telemetry

    @testable import Bytes
    @testable import EventLoop
    @testable import Pooler
    @testable import TLS

    /// A pooler with all that is around it, from one seed: the process of `Sources/Pooler` with its workers, the network, PostgreSQL, clients,
    /// operators, and what goes wrong.
    final class World {
        let plan: Plan
        let scheduler = Scheduler()
        let trace: Trace
        let network: VirtualNetwork
        let kernel: VirtualKernel
        /// PostgreSQL, on each host.
        let servers: [PostgresHost]
        let process: PoolerProcess
        private(set) var clients: [ModelClient] = []
        private var checker: Checker!
        private var faults: Faults!
        private var operators: Operators!
        private var strangers: Strangers!
        private let options: SimulationOptions
        private var dice: Dice
        private var born = 0
        /// The first thing that was wrong.
        private(set) var failure: String?
        /// Something has happened by which clients may lose their connections.
        private(set) var isDisturbed = false
        /// No new clients, and no new trouble.
        private(set) var isCalm = false
        private var isOver = false
        private(set) var logins = 0
        private(set) var farewells: [String: Int] = [:]

        init(seed: UInt64, options: SimulationOptions) throws {
            self.options = options
            var dice = Dice(seed: seed)
            let plan = Plan(&dice)
            self.plan = plan
            trace = Trace(keeping: options.lines)
            network = VirtualNetwork(scheduler: scheduler, trace: trace, dice: dice.fork())
            kernel = VirtualKernel(scheduler: scheduler, trace: trace, network: network, dice: dice.fork())
            if plan.troubles.contains(.fewDescriptors) { network.mostDescriptors = dice.between(48, 90) }
            network.capacities = dice.pick([[64 * 1024], [64 * 1024, 4096], [512, 2048, 16_384], [200_000]])
            network.latency = (Int64(dice.between(5, 1000)), Int64(dice.between(1_000, 100_000)), Double(dice.below(4)))
            kernel.wakeUp = (Int64(dice.between(5, 200)), Int64(dice.between(1_000, 50_000)), dice.pick([0, 0.3, 2]))
            kernel.dispatch = (Int64(dice.between(5, 300)), Int64(dice.between(1_000, 30_000)), dice.pick([0, 1, 5]))
            var passwords: [String: String] = [:]
            for user in plan.users { passwords[user] = Plan.password(of: user) }
            var servers: [PostgresHost] = []
            for text in Plan.serverAddresses {
                guard let address = SocketAddress(numeric: text, port: 5432) else { throw SimulationError("\(text) is no address") }
                let server = PostgresHost(
                    address: address, scheduler: scheduler, network: network, trace: trace, dice: dice.fork(), passwords: passwords,
                    method: plan.serverMethod)
                if plan.troubles.contains(.crowdedServer) { server.mostConnections = dice.between(1, 4) }
                if plan.troubles.contains(.refusedLogins) { server.refusesLogins = 20 }
                servers.append(server)
            }
            self.servers = servers

            // From here on the pooler's calls come here.
            Kernel.simulated = kernel
            ObjectSize.isSimulated = true
            GlobalJobs.forbid()
            let random = Random(dice.fork())
            SecureRandom.simulated = { random.fill($0) }
            self.dice = dice.fork()

            var configuration = plan.configuration
            configuration.settings.logfile = options.log ?? ""
            configuration.settings.verbose = options.log == nil ? 0 : 2
            var startOptions = StartOptions()
            startOptions.isQuiet = true
            let next = Next(configuration)
            self.next = next
            process = PoolerProcess(
                configuration: configuration, options: startOptions, sink: LogSink(level: options.log == nil ? .error : .trace)
            ) {
                _ throws(ConfigurationError) in next.configuration
            }
            checker = Checker(world: self)
            faults = Faults(world: self, dice: dice.fork())
            operators = Operators(world: self, dice: dice.fork())
            strangers = Strangers(world: self, dice: dice.fork())
            kernel.onSignal = { [unowned self] in signal($0) }
            kernel.afterTurn = { [unowned self] in checker.afterTurn(of: $0) }
        }

        /// Bytes for nonces, salts and keys.
        private final class Random {
            private var dice: Dice
            init(_ dice: Dice) { self.dice = dice }
            func fill(_ target: UnsafeMutableRawBufferPointer) {
                for index in target.indices { target[index] = UInt8(truncatingIfNeeded: dice.next()) }
            }
        }

        /// The configuration that the next reload finds.
        final class Next {
            var configuration: Configuration
            init(_ configuration: Configuration) { self.configuration = configuration }
        }
        let next: Next

        // MARK: For those in it

        var now: Int64 { scheduler.now }
        func after(_ delay: Int64, _ action: @escaping () -> Void) { scheduler.after(delay, action) }

        func note(_ what: StaticString, _ client: ModelClient, _ text: @autoclosure () -> String = "") {
            trace.note(now, what, client.socketNumber, 0, "\(client.name) \(text())")
        }

        /// Something is wrong; the first thing counts.
        func fail(_ text: String) {
            guard failure == nil else { return }
            failure = "\(text)   [step \(trace.steps), at \(seconds(now))]"
            trace.note(now, "FAILURE", 0, 0, text)
        }

        func disturb() { isDisturbed = true }

        func password(of user: String) -> String { Plan.password(of: user) }

        func loggedIn(_ client: ModelClient) { logins += 1 }

        func left(_ client: ModelClient) {
            clients.removeAll { $0 === client }
            farewells[client.farewell ?? "by itself", default: 0] += 1
        }

        /// Whether the pooler may tell a client such an error now.
        func mayBeTold(_ fields: ErrorFields, _ client: ModelClient) -> Bool {
            let text = fields.message ?? ""
            if text == PoolerError.replyViolation.message { return false }
            if client.bringsNonsense, fields.code == SQLState.invalidParameterValue { return true }
            if fields.code == SQLState.queryCanceled { return client.mayBeCanceled }
            if text.hasPrefix("no more connections allowed") { return plan.configuration.settings.maxClientConn < 1000 }
            if text.hasPrefix("client connections exceeded") {
                return plan.configuration.settings.maxDbClientConnections + plan.configuration.settings.maxUserClientConnections > 0
            }
            return isDisturbed
        }

        // MARK: The pooler

        private func start() throws {
            guard process.openLogs() == nil else { throw SimulationError("the log can't be opened") }
            let listening = try process.openListeners()
            try process.startWorkers()
            process.distribute(listening)
        }

        private func signal(_ signal: Signals.Name) {
            if signal == .quit {
                isOver = true
                return
            }
            process.handle(signal)
        }

        /// Looks at a worker from inside.
        func look(at index: Int, _ body: (WorkerCore) -> Void) {
            // All workers are on this thread.
            nonisolated(unsafe) let body = body
            process.workers[index].assumeIsolated { body($0.core) }
        }

        func lookAtAll(_ body: (WorkerCore) -> Void) {
            for index in process.workers.indices { look(at: index, body) }
        }

        // MARK: Clients

        private func clientComes() {
            guard !isCalm, born < plan.clients else { return }
            born += 1
            let mode = { [self] (database: Database, user: String) in plan.configuration.poolMode(database: database, user: user) }
            let names = plan.configuration.databases.keys.sorted()
            let name = dice.pick(names)
            let user = dice.pick(plan.users)
            guard let database = plan.configuration.databases[name] else { return }
            let label = "c\(born)"
            var startup: [(name: String, value: String)] = []
            if dice.chance(70) { startup.append(("application_name", "\(label)app")) }
            if dice.chance(20) { startup.append(("extra_float_digits", String(dice.below(4)))) }
            let bringsNonsense = dice.chance(3)
            if bringsNonsense { startup.append(("extra_float_digits", "99")) }
            let client = ModelClient(name: label, world: self, database: name, user: user, startup: startup, dice: dice.fork())
            let poolMode = mode(database, database.forcedUser ?? user)
            let isToBeCanceled = plan.hasCancels && dice.chance(40)
            let style: ClientScript.Style
            switch poolMode {
            case _ where isToBeCanceled: style = .one(inBlocks: poolMode != .statement)
            case .session: style = dice.chance(70) ? .everything : .plain
            case .transaction: style = plan.configuration.settings.maxPreparedStatements > 0 && dice.chance(70) ? .everything : .plain
            case .statement: style = .singleStatements
            }
            let script = ClientScript(
                world: self, style: style, isSession: poolMode == .session, texts: plan.texts, steps: 1 + dice.below(plan.steps))
            script.pause = (Int64(dice.between(1, 20_000)), Int64(dice.between(1_000, 1_000_000)), Double(dice.below(4)))
            script.ending = dice.chance(50) ? .terminate : dice.pick(ClientScript.Ending.allCases)
            client.script = script
            client.readsSlowly = dice.chance(8)
            client.mayBeCanceled = isToBeCanceled
            client.bringsNonsense = bringsNonsense
            clients.append(client)
            client.connect(from: address(born), to: listenAddress)
            after(dice.delay(usually: 2 * plan.duration / Int64(plan.clients), rarely: plan.duration, percent: 1)) { [self] in
                clientComes()
            }
        }

        private func address(_ number: Int) -> SocketAddress {
            SocketAddress(numeric: "10.1.\(number >> 8 & 255).\(number & 255)", port: UInt16(10_000 + number % 50_000))!
        }

        let listenAddress = SocketAddress(numeric: Plan.listenAddress, port: 6432)!

        /// Something runs where nobody can replay it.
        static func runElsewhere() {
            var thread = pthread_t()
            pthread_create(
                &thread, nil,
                { _ in
                    Task {}
                    return nil
                }, nil)
            pthread_join(thread, nil)
        }

        // MARK: A run

        /// Plays all of it.
        func play() throws {
            try start()
            for _ in 0..<min(plan.clients, 10) {
                after(dice.below(plan.duration / 4 + 1)) { [self] in clientComes() }
            }
            faults.begin()
            operators.begin()
            strangers.begin()
            if let fault = options.fault { plant(fault) }
            after(plan.duration) { [self] in calmDown() }
            // While there is trouble, and until everybody has come to an end.
            run { isCalm && clients.isEmpty && operators.areGone && strangers.areGone }
            guard failure == nil else { return }
            // What clients have left behind comes to an end.
            run(until: now + 15_000_000) { false }
            guard failure == nil else { return }
            checker.atRest()
            guard failure == nil else { return }
            // The pooler goes.
            process.handle(.interrupt)
            let limit = now + 30_000_000
            run(until: limit) { isOver }
            guard failure == nil else { return }
            if !isOver { fail("a shutdown that waits for servers has not come to an end in 30 s") }
            checker.atEnd()
        }

        private func calmDown() {
            trace.note(now, "calm")
            isCalm = true
            faults.end()
            operators.calm()
            calmSince = now
        }

        private var calmSince: Int64 = 0
        /// With all trouble over, everybody is served within this time (microseconds).
        private static let patience: Int64 = 400_000_000

        private func run(until limit: Int64 = .max, _ isDone: () -> Bool) {
            while failure == nil, !isDone(), now < limit {
                guard scheduler.step() else {
                    fail("nothing is left to happen")
                    return
                }
                if isCalm, limit == .max, now - calmSince > Self.patience {
                    let stuck = clients.prefix(5).map { "\($0.name) (\($0.phase)) waits for \($0.awaited)" }.joined(separator: ", ")
                    fail("with all trouble over, \(clients.count) clients have not come to an end: \(stuck)\(operators.state)")
                }
            }
        }

        /// Takes the world down, so that nothing of it is left in the process.
        func end() {
            checker?.forget()
            kernel.end()
            for worker in process.workers { worker.assumeIsolated { $0.core.peers = [] } }
            scheduler.clear()
            GlobalJobs.allow()
            SecureRandom.simulated = nil
            Kernel.simulated = nil
            ObjectSize.isSimulated = false
        }
    }

    struct SimulationError: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

#endif
