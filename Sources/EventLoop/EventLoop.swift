import CLibevent
import Glibc
import Locking
import Synchronization

/// One libevent loop and the serial executor that runs on it.
///
/// A worker's actor names its loop as its executor, so the compiler proves that what belongs to the actor is touched on the
/// loop's thread only. Readiness is not delivered callback by callback: libevent's callbacks fill a list, and the owner handles the
/// whole list once a turn, in isolation that is checked once for the life of the loop, and sees the batch.
///
/// Threading: `enqueue(_:)`, `wake()` and `stop()` may be called from any thread; everything else belongs to the thread in `run`. What
/// other threads have to say goes through a `Mailbox`.
public final class EventLoop: SerialExecutor, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): `base`, `outbox`, the list of events, `tickDue` and `ownerHasWork` are touched by the loop's thread
    // only, after `init` handed the object over; `inbox` is behind a mutex and `isStopping` is atomic.
    let base: OpaquePointer
    /// What leaves at the end of the turn; the owner flushes it.
    public let outbox = Outbox()
    /// What libevent has told in this turn; the first `eventCount` are there.
    private var events: UnsafeMutablePointer<ReadyEvent>
    private var eventCount = 0
    private var eventCapacity = 256
    private var tickDue = false
    private var ownerHasWork = false
    private var ticker: UnsafeMutablePointer<event>
    private let tickDescriptor: Int32
    private let tick: Int64
    private var wakeEvent: UnsafeMutablePointer<event>
    private let wakeDescriptor: Int32
    private var alarmEvent: UnsafeMutablePointer<event>
    private let alarmDescriptor: Int32
    private let inbox = Locked<[UnownedJob]>([])
    private let isStopping = Atomic<Bool>(false)
    private let thread = Atomic<UInt>(0)

    /// Creates a loop that owes its owner a tick every `tick` microseconds.
    public init(tick: Int64) throws(SystemError) {
        guard let base = event_base_new() else { throw SystemError(call: "event_base_new", number: errno) }
        self.base = base
        self.tick = tick
        events = .allocate(capacity: eventCapacity)
        wakeDescriptor = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
        guard wakeDescriptor >= 0 else { throw SystemError(call: "eventfd", number: errno) }
        // Not a timeout of libevent's: with one, the kernel arms and disarms a timer and libevent reads the clock at every wait.
        tickDescriptor = timerfd_create(CLOCK_MONOTONIC, Int32(TFD_NONBLOCK | TFD_CLOEXEC))
        guard tickDescriptor >= 0 else { throw SystemError(call: "timerfd_create", number: errno) }
        let interval = timespec(tv_sec: Int(tick / 1_000_000), tv_nsec: Int(tick % 1_000_000) * 1000)
        var schedule = itimerspec(it_interval: interval, it_value: interval)
        timerfd_settime(tickDescriptor, 0, &schedule, nil)
        alarmDescriptor = timerfd_create(CLOCK_MONOTONIC, Int32(TFD_NONBLOCK | TFD_CLOEXEC))
        guard alarmDescriptor >= 0 else { throw SystemError(call: "timerfd_create", number: errno) }
        wakeEvent = .allocate(capacity: 1)
        ticker = .allocate(capacity: 1)
        alarmEvent = .allocate(capacity: 1)
        let this = Unmanaged.passUnretained(self).toOpaque()
        // Edge-triggered, so that a wake-up costs no read: the counter only has to change.
        event_assign(wakeEvent, base, wakeDescriptor, Int16(EV_READ | EV_PERSIST | EV_ET), { _, _, _ in }, nil)
        event_add(wakeEvent, nil)
        event_assign(alarmEvent, base, alarmDescriptor, Int16(EV_READ | EV_PERSIST | EV_ET), { _, _, _ in }, nil)
        event_add(alarmEvent, nil)
        event_assign(
            ticker, base, tickDescriptor, Int16(EV_READ | EV_PERSIST | EV_ET),
            { descriptor, _, context in
                // Without this read the kernel does not wind the timer up again.
                var expirations: UInt64 = 0
                _ = read(descriptor, &expirations, 8)
                Unmanaged<EventLoop>.fromOpaque(context!).takeUnretainedValue().tickDue = true
            }, this)
        event_add(ticker, nil)
    }

    deinit {
        event_del(wakeEvent)
        event_del(ticker)
        event_del(alarmEvent)
        wakeEvent.deallocate()
        ticker.deallocate()
        alarmEvent.deallocate()
        events.deallocate()
        close(wakeDescriptor)
        close(tickDescriptor)
        close(alarmDescriptor)
        event_base_free(base)
    }

    /// Which libevent this is, such as `2.1.12-stable`.
    public static var libraryVersion: String { String(cString: event_get_version()) }
    /// How this loop waits for events, such as `epoll`.
    public var method: String { String(cString: event_base_get_method(base)) }

    // MARK: Running

    /// Makes the calling thread the loop's; before `run`, so that it may be called by what is isolated to the loop.
    public func bindToThread() { thread.store(UInt(pthread_self()), ordering: .releasing) }

    /// Runs turns until `stop()`: waits for events, hands them to `turn` (with true when a tick is due), then runs the jobs that
    /// were enqueued for actors on this loop. A turn without events is one that was asked for: by `wakeSoon`, by an
    /// alarm, by what is in a mailbox.
    public func run(_ turn: @escaping (_ events: Span<ReadyEvent>, _ tick: Bool) -> Void) {
        bindToThread()
        #if DEBUG
            if let simulated = Kernel.simulated {
                simulatedOwner = turn
                simulated.adopt(self, tick: tick)
                return
            }
        #endif
        var jobs: [UnownedJob] = []
        while !isStopping.load(ordering: .acquiring) {
            event_base_loop(base, Int32(ownerHasWork ? EVLOOP_ONCE | EVLOOP_NONBLOCK : EVLOOP_ONCE))
            takeTurn(turn)
            runJobs(&jobs)
        }
        runJobs(&jobs)
    }

    /// Hands over what there is.
    private func takeTurn(_ turn: (_ events: Span<ReadyEvent>, _ tick: Bool) -> Void) {
        ownerHasWork = false
        let tick = tickDue
        tickDue = false
        turn(Span(_unsafeStart: events, count: eventCount), tick)
        eventCount = 0
    }

    #if DEBUG
        /// What `run` was given while a simulation runs.
        private var simulatedOwner: ((_ events: Span<ReadyEvent>, _ tick: Bool) -> Void)?

        /// A turn, as `run` takes it once libevent has told of events (`note`). Returns whether the owner has work left.
        func simulatedTurn(tick: Bool) -> Bool {
            tickDue = tick
            if let simulatedOwner { takeTurn(simulatedOwner) }
            var jobs: [UnownedJob] = []
            runJobs(&jobs)
            return ownerHasWork
        }

        /// The simulation is over: what the owner's closure holds is let go.
        func simulatedEnd() { simulatedOwner = nil }
    #endif

    /// From a callback of libevent: the owner hears of it in this turn.
    @inline(__always)
    func note(_ what: Int16, of token: UInt32) {
        if eventCount == eventCapacity { growEvents() }
        (events + eventCount).initialize(to: ReadyEvent(token: token, readiness: Readiness(libevent: what)))
        eventCount &+= 1
    }

    private func growEvents() {
        let larger = UnsafeMutablePointer<ReadyEvent>.allocate(capacity: eventCapacity * 2)
        larger.moveInitialize(from: events, count: eventCount)
        events.deallocate()
        events = larger
        eventCapacity *= 2
    }

    private func runJobs(_ jobs: inout [UnownedJob]) {
        inbox.withLock { swap(&$0, &jobs) }
        for job in jobs { job.runSynchronously(on: asUnownedSerialExecutor()) }
        jobs.removeAll(keepingCapacity: true)
    }

    /// Makes the next turn come without waiting for an event: the owner has work left.
    public func wakeSoon() { ownerHasWork = true }

    /// Ends `run` after the turn in progress.
    public func stop() {
        isStopping.store(true, ordering: .releasing)
        wake()
    }

    /// Makes a turn come after so many microseconds, with or without an event; the latest call counts.
    public func wake(after time: Int64) {
        #if DEBUG
            if let simulated = Kernel.simulated { return simulated.wake(self, after: time) }
        #endif
        // 0 would be no alarm.
        let time = max(time, 1)
        var schedule = itimerspec(
            it_interval: timespec(), it_value: timespec(tv_sec: Int(time / 1_000_000), tv_nsec: Int(time % 1_000_000) * 1000))
        timerfd_settime(alarmDescriptor, 0, &schedule, nil)
    }

    /// Makes a turn come, from any thread: there is something in a mailbox.
    func wake() {
        #if DEBUG
            if let simulated = Kernel.simulated { return simulated.wake(self) }
        #endif
        var one: UInt64 = 1
        _ = write(wakeDescriptor, &one, 8)
    }

    // MARK: SerialExecutor

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let first = inbox.withLock { jobs in
            jobs.append(job)
            return jobs.count == 1
        }
        if first { wake() }
    }

    public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    private var isCurrentThread: Bool { thread.load(ordering: .acquiring) == UInt(pthread_self()) }

    public func isIsolatingCurrentContext() -> Bool? { isCurrentThread }

    public func checkIsolated() { precondition(isCurrentThread, "not on the thread of this event loop") }
}
