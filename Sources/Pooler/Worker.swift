import Authentication
import Configuration
import Console
import EventLoop
import PoolCore
import Statistics

/// One thread, one loop, and the connections that belong to it.
///
/// The actor's executor is the loop, so whatever is inside is touched on the loop's thread only, and the compiler proves it. The work
/// is done by `WorkerCore`; the actor is the door through which the rest of the process talks to it.
actor Worker {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    private var core: WorkerCore!

    init(index: Int, loop: EventLoop, shared: SharedState, configuration: Configuration) {
        self.loop = loop
        core = WorkerCore(index: index, loop: loop, shared: shared, configuration: configuration)
    }

    /// Runs the loop on a thread of its own until the worker is stopped.
    nonisolated func start(name: String, whenDone: @escaping @Sendable () -> Void) -> SystemError? {
        Threads.start(name: name) {
            self.loop.bindToThread()
            // One check for the whole life of the loop, and none a turn. The jobs of other workers run between turns, inside `run`.
            self.assumeIsolated { worker in
                let core: WorkerCore = worker.core
                worker.loop.run { events, tick in core.turn(events, tick: tick) }
            }
            whenDone()
        }
    }

    /// The core, told what time it is: jobs run between turns.
    private func now() -> WorkerCore {
        core.refreshClock()
        return core
    }

    func connect(to peers: [Worker]) { core.peers = peers }
    func listen(_ descriptor: Int32, at address: SocketAddress) { core.listen(descriptor, at: address) }
    func stopListening(tcpOnly: Bool) { core.stopListening(tcpOnly: tcpOnly) }
    func adopt(client descriptor: Int32, isUnix: Bool) {
        now().accepted(descriptor, mayHandOver: false, isUnix: isUnix)
    }
    func apply(_ configuration: Configuration, number: Int) { now().apply(configuration, number: number) }
    func warmUp() { now().openMinimum() }
    func probe(_ probe: StartProbe) { now().probe(probe) }
    func beginShutdown(_ mode: ShutdownMode) { now().beginShutdown(mode) }
    func census() -> Census { core.census() }
    func endAllTLS() { now().endAllTLS() }
    func statistics() -> WorkerStatistics { now().statistics() }
    func consoleStatistics() -> PoolStatistics { now().consoleStatistics() }

    // For operators; see PoolerProcess+Control.swift and WorkerCore+Console.swift.
    func apply(_ holds: Holds) { now().apply(holds) }
    func heldBack() -> Holds { core.holds }
    func replaceServers(of database: String?) { now().replaceServers(of: database) }
    func killConnections(of database: String?) { now().killConnections(of: database) }
    func killClient(_ id: UInt64) -> Bool { now().killClient(id) }
    func consoleDone(slot: UInt32, id: UInt64, _ outcome: ConsoleOutcome) { now().consoleDone(slot: slot, id: id, outcome) }
    func serverFacts() -> (facts: [ConnectionFacts], lent: Int) { now().serverFacts() }
    func clientFacts(from slot: Int) -> (facts: [ConnectionFacts], next: Int?) { now().clientFacts(from: slot) }
    func waitFacts(_ key: CapacityLedger.PoolKey) -> WaitFacts? { now().waitFacts(key) }
    func rivals(of key: CapacityLedger.PoolKey, under limit: WaitDiagnosis.Limit) -> [ServerHolder] { now().rivals(of: key, under: limit) }
    func clientStanding(_ id: UInt64) -> ClientStanding? { now().clientStanding(id) }
    func explained(_ key: CapacityLedger.PoolKey, _ facts: WaitFacts) { now().explained(key, facts) }

    // What others did for logins; see WorkerCore+Outsourcing.swift, +Passwords and +UserLookup.
    func derived(_ derivation: KeyDerivation, _ salted: SaltedPassword) { now().derived(derivation, salted) }
    func gotPassword(_ number: UInt64, _ outcome: PasswordOutcome) { now().gotPassword(number, outcome) }
    func peerNamed(_ name: String?, _ slot: UInt32, _ id: UInt64, map: String?) { now().peerNamed(name, slot, id, map: map) }
    func checked(_ slot: UInt32, _ id: UInt64, _ password: [UInt8], _ failure: String?) { now().checked(slot, id, password, failure) }
    func lookUp(_ pending: PendingLookup, database: String, authUser: String) {
        now().lookUp(pending, database: database, authUser: authUser)
    }
    func lookedUp(_ slot: UInt32, _ id: UInt64, _ answer: LookupAnswer) { now().lookedUp(slot, id, answer) }

    // Between workers; see WorkerCore+Lending.swift.
    func cancel(_ key: UInt64, slot: UInt32, for requester: CancelRequester) {
        now().cancelClient(key, slot: slot, for: requester)
    }
    func cancelIsOver(_ slot: UInt32, id: UInt64, _ reason: String) { now().cancelIsOver(slot, id: id, reason) }
    func lend(_ key: CapacityLedger.PoolKey, to borrower: Worker) { now().lend(key, to: borrower) }
    func nothingToLend(_ key: CapacityLedger.PoolKey, mayAskAgain: Bool) { now().nothingToLend(key, mayAskAgain: mayAskAgain) }
    func adopt(server: LentServer) { now().adopt(server) }
    func makeRoom(for key: CapacityLedger.PoolKey, _ limits: CapacityLedger.ServerLimits, _ limit: CapacityLedger.ServerVerdict) {
        now().makeRoom(for: key, limits, limit)
    }
    func claimRoom(for key: CapacityLedger.PoolKey, since: Int64) { now().claimRoom(for: key, since: since) }
    func capacityChanged() { now().serveDemand() }
    func greetingArrived(_ key: CapacityLedger.PoolKey) { now().greetingArrived(key) }
    func loginFailed(_ key: CapacityLedger.PoolKey) { now().loginFailed(key) }
    func tryLogins() { now().tryLogins() }

    /// How many connections the worker has.
    struct Census: Sendable {
        var clients = 0
        var servers = 0
    }
}
