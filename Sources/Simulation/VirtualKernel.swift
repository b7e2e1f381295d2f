#if DEBUG
    import ModelPostgres
    import CLibevent
    import Glibc

    @testable import EventLoop

    /// The operating system of a simulation: the network, the clock, threads that are run one after the other, and signals.
    ///
    /// Several loops are run in one thread. When each of them has its turn, how long a thread takes to be woken, and in which order tasks run,
    /// is thrown by dice.
    final class VirtualKernel: SimulatedKernel {
        let scheduler: Scheduler
        let trace: Trace
        let network: VirtualNetwork
        private var dice: Dice
        private var loops: [LoopState] = []
        private let thread = pthread_self()
        /// Who takes signals.
        var onSignal: (Signals.Name) -> Void = { _ in }
        /// After each turn of a loop, by its number.
        var afterTurn: (Int) -> Void = { _ in }
        private var pendingSignals: Set<Int32> = []
        /// From then on nobody is woken but by the tick: a fault that is put in to be found.
        var ignoresWakesAfter = Int64.max
        /// Jobs of tasks and of threads that have not run yet.
        private(set) var outstanding = 0
        /// No task runs before one that became ready earlier.
        private var lastTask: Int64 = 0

        // MARK: What the world is like

        /// How long a thread takes to be woken: usually, rarely, and how rarely.
        var wakeUp: (usual: Int64, rare: Int64, percent: Double) = (60, 30_000, 0.5)
        /// How long a task waits for a thread of the system's.
        var dispatch: (usual: Int64, rare: Int64, percent: Double) = (60, 20_000, 1)

        /// A loop and when it comes to its turn.
        private final class LoopState {
            let loop: EventLoop
            let index: Int
            let tick: Int64
            var isTickDue = false
            var isScheduled = false
            var turns = 0
            /// How often an alarm was set.
            var alarms = 0

            init(_ loop: EventLoop, index: Int, tick: Int64) { (self.loop, self.index, self.tick) = (loop, index, tick) }
        }

        init(scheduler: Scheduler, trace: Trace, network: VirtualNetwork, dice: Dice) {
            self.scheduler = scheduler
            self.trace = trace
            self.network = network
            self.dice = dice
            network.wake = { [unowned self] in wake($0) }
        }

        /// What happens outside this thread can't be replayed.
        func checkThread(_ what: StaticString) {
            guard pthread_equal(thread, pthread_self()) != 0 else {
                fatalError("\(what) on another thread than the simulator's: it can't be replayed")
            }
        }

        // MARK: Loops

        func adopt(_ loop: EventLoop, tick: Int64) {
            let state = LoopState(loop, index: loops.count, tick: tick)
            loops.append(state)
            let first = dice.below(tick)
            scheduler.after(first) { [self] in self.tick(state) }
        }

        private func tick(_ state: LoopState) {
            state.isTickDue = true
            schedule(state)
            scheduler.after(state.tick) { [self] in tick(state) }
        }

        func wake(_ loop: EventLoop) {
            checkThread("an event loop was woken")
            guard scheduler.now < ignoresWakesAfter else { return }
            if let state = loops.first(where: { $0.loop === loop }) { schedule(state) }
        }

        func wake(_ loop: EventLoop, after time: Int64) {
            guard let state = loops.first(where: { $0.loop === loop }) else { return }
            state.alarms += 1
            let alarm = state.alarms
            scheduler.after(max(1, time)) { [self] in
                // The latest one counts.
                if state.alarms == alarm { schedule(state) }
            }
        }

        private func schedule(_ state: LoopState) {
            guard !state.isScheduled else { return }
            state.isScheduled = true
            scheduler.after(dice.delay(usually: wakeUp.usual, rarely: wakeUp.rare, percent: wakeUp.percent)) { [self] in turn(state) }
        }

        private func turn(_ state: LoopState) {
            state.isScheduled = false
            state.turns += 1
            let events = network.collect(for: state.loop)
            let isTick = state.isTickDue
            state.isTickDue = false
            trace.note(scheduler.now, "turn", state.index, events, isTick ? "tick" : "")
            let hasWork = state.loop.simulatedTurn(tick: isTick)
            if hasWork || network.hasEvents(for: state.loop) { schedule(state) }
            afterTurn(state.index)
        }

        /// No loop has anything to do, and no task is on its way.
        var isQuiet: Bool { outstanding == 0 && !loops.contains { $0.isScheduled } && pendingSignals.isEmpty }

        func end() {
            for state in loops {
                state.loop.simulatedEnd()
                network.forget(state.loop)
            }
            loops = []
        }

        // MARK: Tasks and threads

        func run(_ job: UnownedJob, on executor: UnownedTaskExecutor) {
            checkThread("a task")
            outstanding += 1
            let delay = dice.delay(usually: dispatch.usual, rarely: dispatch.rare, percent: dispatch.percent)
            lastTask = max(lastTask, scheduler.now + delay)
            scheduler.at(lastTask) { [self] in
                outstanding -= 1
                trace.note(scheduler.now, "task")
                job.runSynchronously(on: executor)
            }
        }

        func start(thread name: String, _ body: @escaping @Sendable () -> Void) {
            checkThread("a thread was started")
            outstanding += 1
            // A worker's thread makes its loop known, and is in it from then on.
            let isWorker = name.hasPrefix("worker")
            let time = isWorker ? 0 : dice.delay(usually: 3_000, rarely: 200_000, percent: 2)
            let run: () -> Void = { [self] in
                outstanding -= 1
                trace.note(scheduler.now, "thread", 0, 0, name)
                body()
            }
            if isWorker { run() } else { scheduler.after(time, run) }
        }

        func raise(_ signal: Signals.Name) {
            checkThread("a signal")
            guard pendingSignals.insert(signal.rawValue).inserted else { return }
            scheduler.after(dice.delay(usually: wakeUp.usual, rarely: wakeUp.rare, percent: wakeUp.percent)) { [self] in
                pendingSignals.remove(signal.rawValue)
                trace.note(scheduler.now, "signal", Int(signal.rawValue))
                onSignal(signal)
            }
        }

        // MARK: Time

        func now() -> Int64 { scheduler.now }
        /// Some day of the year 2026.
        func wallClock() -> Int64 { 1_790_000_000_000_000 + scheduler.now }

        // MARK: Sockets

        var descriptorLimit: Int32 { VirtualNetwork.firstDescriptor + Int32(network.mostDescriptors) }

        private func failed(_ number: Int32) -> Int32 {
            errno = number
            return -1
        }

        private func result(_ count: Int) -> Int {
            guard count < 0 else { return count }
            errno = Int32(-count)
            return -1
        }

        func socket() -> Int32 {
            guard let descriptor = network.open() else { return failed(EMFILE) }
            return descriptor
        }

        func bind(_ descriptor: Int32, to address: SocketAddress) -> Int32 {
            guard let socket = network[descriptor] else { return failed(EBADF) }
            socket.local = address
            return 0
        }

        func listen(_ descriptor: Int32, backlog: Int32) -> Int32 {
            guard let socket = network[descriptor] else { return failed(EBADF) }
            network.listen(socket, backlog: Int(backlog))
            return 0
        }

        func connect(_ descriptor: Int32, to address: SocketAddress) -> Int32 {
            guard let socket = network[descriptor] else { return failed(EBADF) }
            trace.note(scheduler.now, "connects", socket.number, Int(descriptor), address.description)
            network.connect(socket, to: address)
            return failed(EINPROGRESS)
        }

        func accept(_ descriptor: Int32) -> Int32 {
            guard let socket = network[descriptor] else { return failed(EBADF) }
            switch network.accept(socket) {
            case .descriptor(let descriptor): return descriptor
            case .none: return failed(EAGAIN)
            case .noDescriptor: return failed(EMFILE)
            }
        }

        func receive(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer, _ size: Int, peeks: Bool) -> Int {
            guard let socket = network[descriptor] else { return result(-Int(EBADF)) }
            return result(network.receive(socket, UnsafeMutableRawBufferPointer(start: buffer, count: size), peeks: peeks))
        }

        func send(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
            guard let socket = network[descriptor] else { return result(-Int(EBADF)) }
            return result(network.send(socket, UnsafeRawBufferPointer(start: bytes, count: count)))
        }

        func close(_ descriptor: Int32) -> Int32 {
            guard let socket = network[descriptor] else { fatalError("descriptor \(descriptor) is closed twice") }
            network.close(socket)
            return 0
        }

        func resetWhenClosed(_ descriptor: Int32) { network[descriptor]?.resetsWhenClosed = true }

        func takeError(_ descriptor: Int32) -> Int32 {
            guard let socket = network[descriptor] else { return EBADF }
            defer { socket.error = 0 }
            return socket.error
        }

        func address(of descriptor: Int32, isPeer: Bool) -> SocketAddress? {
            guard let socket = network[descriptor] else { return nil }
            if !isPeer { return socket.local }
            return socket.state == .connected ? socket.remote : nil
        }

        func nextDescriptor() -> Int32 { network.nextDescriptor ?? failed(EMFILE) }

        func watch(_ descriptor: Int32, for what: Int32, on loop: EventLoop, token: UInt32) {
            guard let socket = network[descriptor] else { fatalError("descriptor \(descriptor) is watched and not open") }
            network.watch(socket, for: what, on: loop, token: token)
        }

        func unwatch(_ descriptor: Int32, for what: Int32) {
            if let socket = network[descriptor] { network.unwatch(socket, for: what) }
        }
    }

#endif
