import Configuration
import Console
import EventLoop
import PoolCore
import Statistics

/// One thread, one loop, and the connections that belong to it.
///
/// The actor's executor is the loop, so whatever is inside is touched on the loop's thread only, and the compiler proves it. The work
/// is done by `WorkerCore`. The rest of the process tells it things by messages (`mailbox`), and asks it things by calling the actor,
/// from a task of `SharedState.tasks`.
actor Worker {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    /// What the worker is told.
    nonisolated let mailbox: Mailbox<WorkerMessage>
    private(set) var core: WorkerCore!

    init(index: Int, loop: EventLoop, shared: SharedState, configuration: Configuration) {
        self.loop = loop
        mailbox = Mailbox(waking: loop)
        core = WorkerCore(index: index, loop: loop, mailbox: mailbox, shared: shared, configuration: configuration)
    }

    /// Runs the loop on a thread of its own until the worker is stopped.
    nonisolated func start(name: String, whenDone: @escaping @Sendable () -> Void) -> SystemError? {
        Threads.start(name: name) {
            self.loop.bindToThread()
            // One check for the whole life of the loop, and none a turn. Questions are answered between turns, inside `run`.
            self.assumeIsolated { worker in
                let core: WorkerCore = worker.core
                worker.loop.run { events, tick in
                    core.turn(events, tick: tick)
                    core.readMail()
                }
            }
            whenDone()
        }
    }

    /// The core, told what time it is: questions are answered between turns.
    private func now() -> WorkerCore {
        core.refreshClock()
        return core
    }

    // Asked for SHOW, WHY, metrics and KILL_CLIENT; see ConsoleReport and ProcessMonitor.
    func statistics() -> WorkerStatistics { now().snapshots.statistics() }
    func consoleStatistics() -> PoolStatistics { now().admin.console.statistics() }
    func heldBack() -> AdminState { core.admin.state }
    func serverFacts() -> (facts: [ConnectionFacts], lent: Int) { now().snapshots.serverFacts() }
    func clientFacts(from slot: Int) -> (facts: [ConnectionFacts], next: Int?) { now().snapshots.clientFacts(from: slot) }
    func waitFacts(_ key: CapacityLedger.PoolKey) -> WaitFacts? { now().snapshots.waitFacts(key) }
    func rivals(of key: CapacityLedger.PoolKey, under limit: WaitDiagnosis.Limit) -> [ServerHolder] {
        now().snapshots.rivals(of: key, under: limit)
    }
    func clientStanding(_ id: UInt64) -> ClientStanding? { now().snapshots.clientStanding(id) }
    func killClient(_ id: UInt64) -> Bool { now().admin.killClient(id) }
}
