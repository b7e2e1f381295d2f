import Authentication
import Configuration
import Console
import EventLoop
import PoolCore
import PostgresWire
import Statistics
import TLS

/// What a worker does, a turn of its loop at a time. Not Sendable: it lives inside its `Worker`.
///
/// The extensions go along the life of a client: WorkerCore+Login, +Linking, +FromClient, +FromServer, +Sending, then what goes wrong
/// (+Ending), what takes time (+Janitor) and what happens between workers (+Lending, +Cancel).
final class WorkerCore {
    let index: Int
    let loop: EventLoop
    let mailbox: Mailbox<WorkerMessage>
    /// What was posted to `mailbox`.
    var mail: MailReader<WorkerMessage>
    let shared: SharedState
    /// All workers of the process, this one included, by index: to ask them, and to tell them.
    var workers: [Worker] = []
    var peers: [Mailbox<WorkerMessage>] = []
    var configuration: Configuration {
        didSet {
            messageLimit = Self.messageLimit(configuration)
            slowLimit = Self.slowLimit(configuration)
            pretendsToDerive = configuration.userList.isMostlyPlain
            limitStatementMemory()
        }
    }
    /// Unknown users are to look like those of the user list, and most of these have plain passwords.
    private(set) var pretendsToDerive: Bool
    /// No message of a client may be longer.
    private(set) var messageLimit: Int

    /// Read once a turn.
    var now = MonotonicClock.now()
    let transport: Transport
    let toServer = SendBuffer(capacity: Transport.receiveSize + 4096)
    let toClient = SendBuffer(capacity: Transport.receiveSize + 4096)
    /// For servers without a client.
    var nobody = ClientSession()
    /// Servers that have become free in this call, waiting for the outermost `free` to place them.
    var freed: [ServerConnection] = []
    var isPlacing = false
    /// The pools of servers that have become idle in this turn, once for each, while there are other workers.
    var offered: [PoolShard] = []

    var clients = SlotTable<ClientConnection>()
    var servers = SlotTable<ServerConnection>()
    /// Clients in the middle of a message of which the rest has to come soon.
    var slowMessages: Set<UInt32> = []
    /// Some client has brought an `idle_session_timeout`.
    var hasIdleSessionTimeouts = false
    var ticks = 0
    /// Not before this is it looked again which texts of statements nobody uses.
    var nextStatementSweep: Int64 = 0
    /// What belongs to no pool.
    var counters = WorkerCounters()
    /// What operators hold back.
    var holds = Holds()
    /// The tick in which the statistics of the last period are logged.
    var statisticsDue: Int?
    /// Statements that took longer, with their waiting, are logged.
    private(set) var slowLimit: Int64
    /// The present `stats_period`.
    var period = PeriodClock()

    // Parts of the worker, each with a state of its own.

    private(set) var cancels: CancelService!
    private(set) var peerCancels: PeerCancels!
    private(set) var departures: Departures!
    private(set) var pools: PoolTable!
    private(set) var logins: LoginCoordinator!
    private(set) var opener: ServerOpener!
    private(set) var listeners: Listeners!
    private(set) var console: ConsoleClients!

    /// A message that is not complete gets a server once this much of it is here; the rest is streamed.
    static let streamingThreshold = 16 * 1024

    init(index: Int, loop: EventLoop, mailbox: Mailbox<WorkerMessage>, shared: SharedState, configuration: Configuration) {
        self.index = index
        self.loop = loop
        transport = Transport(loop: loop)
        self.mailbox = mailbox
        mail = MailReader(mailbox)
        self.shared = shared
        self.configuration = configuration
        messageLimit = Self.messageLimit(configuration)
        slowLimit = Self.slowLimit(configuration)
        pretendsToDerive = configuration.userList.isMostlyPlain
        cancels = CancelService(of: self)
        peerCancels = PeerCancels(of: self)
        departures = Departures(of: self)
        pools = PoolTable(of: self)
        logins = LoginCoordinator(of: self)
        opener = ServerOpener(of: self)
        listeners = Listeners(of: self)
        console = ConsoleClients(of: self)
        limitStatementMemory()
    }

    /// One worker is enough to tell, and to look after it.
    private func limitStatementMemory() {
        if index == 0 { shared.statementMemory.limit(to: settings.maxStatementMemory) }
    }

    private static func slowLimit(_ configuration: Configuration) -> Int64 {
        configuration.settings.logMinDuration > 0 ? configuration.settings.logMinDuration : .max
    }

    private static func messageLimit(_ configuration: Configuration) -> Int {
        min(configuration.settings.maxPacketSize, Frontend.maximumLength(Frontend.query))
    }

    /// The worker's shards of all pools.
    var shards: [CapacityLedger.PoolKey: PoolShard] { _read { yield pools.shards } }

    /// Without a copy: it is looked at on the query path.
    var settings: Settings { _read { yield configuration.settings } }

    // MARK: A turn

    func turn(_ events: Span<ReadyEvent>, tick: Bool) {
        now = MonotonicClock.now()
        transport.beginTurn(events: events.count)
        for index in events.indices {
            let event = events[index]
            switch TokenKind(rawValue: event.token & 3)! {
            case .client:
                if let client = clients[event.token >> 2] { ready(client, event.readiness) }
            case .server:
                if let server = servers[event.token >> 2] { ready(server, event.readiness) }
            case .listener:
                listeners.accept(event.token >> 2)
            case .cancel:
                let slot = event.token >> 2
                if slot & PeerCancels.tokenBit != 0 {
                    peerCancels.ready(slot & ~PeerCancels.tokenBit, event.readiness)
                } else if let connection = cancels.connections[slot] {
                    cancels.ready(connection, event.readiness)
                }
            }
        }
        transport.continueTurn(self)
        if tick { self.tick() }
        if now >= opener.loginsDue { opener.tryLogins() }
        if !offered.isEmpty { offerIdleNow() }
        transport.endTurn(self)
        assert(toServer.isEmpty && toClient.isEmpty && freed.isEmpty)
    }

    /// At the beginning of what others tell and ask, outside a turn.
    func refreshClock() { now = MonotonicClock.now() }
}
