#if DEBUG
    import Authentication
    import ModelPostgres
    import PostgresWire

    @testable import EventLoop

    /// A PostgreSQL of the simulation: a postmaster that takes connections, logs them in, and has a process for each (`PostgresProcess`).
    final class PostgresHost {
        /// How it asks for passwords.
        enum Method: CaseIterable {
            case trust, cleartext, md5, scram
        }

        let address: SocketAddress
        let scheduler: Scheduler
        let network: VirtualNetwork
        let trace: Trace
        var dice: Dice
        let passwords: [String: String]
        let method: Method
        /// More processes than these are refused.
        var mostConnections = 100
        /// What connections find.
        var state = VirtualNetwork.HostState.up
        /// It takes connections, and refuses logins: it starts.
        var isStarting = false
        /// Nothing is answered any more until it is over.
        var isHanging = false
        /// How long a statement takes: usually, rarely, and how rarely (microseconds).
        var work: (usual: Int64, rare: Int64, percent: Double) = (300, 20_000, 3)
        /// Faults that are put in to be found: the next row is another one; DISCARD ALL does nothing.
        var lies = false
        var remembers = false
        /// Refuses a login now and then.
        var refusesLogins = 0.0

        private(set) var processes: [UInt32: PostgresProcess] = [:]
        private var lastProcess: UInt32 = 1_000
        /// Cancel requests that hit a process, and those that did not.
        private(set) var cancels = (hit: 0, missed: 0)
        /// The most sessions that were logged in at a time, by database and user.
        private(set) var logins = 0

        init(
            address: SocketAddress, scheduler: Scheduler, network: VirtualNetwork, trace: Trace, dice: Dice, passwords: [String: String],
            method: Method
        ) {
            self.address = address
            self.scheduler = scheduler
            self.network = network
            self.trace = trace
            self.dice = dice
            self.passwords = passwords
            self.method = method
            network.add(
                host: VirtualNetwork.Host(
                    state: { [unowned self] in state }, accept: { [unowned self] in accept($0) }), at: address)
        }

        private func accept(_ socket: VirtualSocket) {
            guard state == .up else {
                network.abort(socket)
                return
            }
            lastProcess += 1
            let secret = (0..<4).map { _ in UInt8(dice.below(256)) }
            guard let key = CancelKey(processID: lastProcess, secret: secret) else { return }
            let process = PostgresProcess(socket, host: self, key: key)
            processes[lastProcess] = process
            socket.onEvent = { [weak process] in process?.wake() }
            process.wake()
        }

        func ended(_ process: PostgresProcess) { processes[process.key.processID] = nil }

        func loggedIn() { logins += 1 }

        /// A cancel request has come.
        func cancel(_ key: CancelKey) {
            guard let process = processes[key.processID], process.key == key, process.cancel() else {
                cancels.missed += 1
                return
            }
            cancels.hit += 1
        }

        /// All processes, oldest first.
        var all: [PostgresProcess] { processes.sorted { $0.key < $1.key }.map(\.value) }

        // MARK: What happens to it

        /// Ends all processes: with a word (a fast shutdown), or without one (a crash of the machine).
        func stop(says: Bool) {
            trace.note(scheduler.now, "server stops", says ? 1 : 0)
            state = .down
            for process in all {
                if says {
                    process.endBy(code: SQLState.adminShutdown, "terminating connection due to administrator command")
                } else {
                    process.crash()
                }
            }
        }

        func start(startingFor time: Int64) {
            trace.note(scheduler.now, "server starts")
            state = .up
            isStarting = time > 0
            scheduler.after(time) { [self] in isStarting = false }
        }

        func hang(for time: Int64) {
            trace.note(scheduler.now, "server hangs")
            isHanging = true
            scheduler.after(time) { [self] in
                isHanging = false
                for process in all { process.wake() }
            }
        }
    }

#endif
