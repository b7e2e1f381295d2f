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
    /// What was posted to `mailbox`.
    var mail: MailReader<WorkerMessage>
    let shared: SharedState
    /// All workers of the process, this one included, by index: to tell them.
    var peers: [Mailbox<WorkerMessage>] = []
    var configuration: Configuration {
        didSet {
            limits = RelayLimits(configuration.settings)
            limitStatementMemory()
        }
    }
    /// What the query path asks of the configuration, looked up once.
    private(set) var limits: RelayLimits

    /// Read once a turn.
    var now = MonotonicClock.now()
    let transport: Transport
    let toServer = SendBuffer(capacity: Transport.receiveSize + 4096)
    let toClient = SendBuffer(capacity: Transport.receiveSize + 4096)
    /// For servers without a client.
    var nobody = ClientSession()
    var placement = PlacementQueue()

    var clients = SlotTable<ClientConnection>()
    var servers = SlotTable<ServerConnection>()

    // Parts of the worker, each with a state of its own.

    private(set) var cancels: CancelService!
    private(set) var departures: Departures!
    private(set) var pools: PoolTable!
    private(set) var logins: LoginCoordinator!
    private(set) var opener: ServerOpener!
    private(set) var janitor: Janitor!
    private(set) var admin: AdminController!
    private(set) var snapshots: Snapshots!
    private(set) var listeners: Listeners!

    /// A message that is not complete gets a server once this much of it is here; the rest is streamed.
    static let streamingThreshold = 16 * 1024

    init(index: Int, loop: EventLoop, mailbox: Mailbox<WorkerMessage>, shared: SharedState, configuration: Configuration) {
        self.index = index
        self.loop = loop
        transport = Transport(loop: loop)
        mail = MailReader(mailbox)
        self.shared = shared
        self.configuration = configuration
        limits = RelayLimits(configuration.settings)
        cancels = CancelService(of: self)
        departures = Departures(of: self)
        pools = PoolTable(of: self)
        logins = LoginCoordinator(of: self)
        opener = ServerOpener(of: self)
        janitor = Janitor(of: self)
        admin = AdminController(of: self)
        snapshots = Snapshots(of: self)
        listeners = Listeners(of: self)
        limitStatementMemory()
    }

    /// One worker is enough to tell, and to look after it.
    private func limitStatementMemory() {
        if index == 0 { shared.statementMemory.limit(to: settings.maxStatementMemory) }
    }

    /// Where this worker is told things.
    var mailbox: Mailbox<WorkerMessage> { mail.mailbox }

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
                    cancels.peers.ready(slot & ~PeerCancels.tokenBit, event.readiness)
                } else if let connection = cancels.connections[slot] {
                    cancels.ready(connection, event.readiness)
                }
            }
        }
        transport.continueTurn(self)
        if tick { janitor.tick() }
        if now >= opener.loginsDue { opener.tryLogins() }
        if shared.parallel { opener.exchange.offerIdleNow() }
        transport.endTurn(self)
        assert(toServer.isEmpty && toClient.isEmpty && placement.isEmpty)
    }

    /// At the beginning of what others tell and ask, outside a turn.
    func refreshClock() { now = MonotonicClock.now() }
}
