import Authentication
import EventLoop
import PoolCore
import PostgresWire
import TLS
import Telemetry

/// A client's socket and where it stands. Small, because thousands of them sit idle: no buffer while nothing is in flight.
final class ClientConnection: Connection {
    enum Phase {
        /// Nothing but a startup packet is expected.
        case startup
        case authenticating
        /// Logged in; the pool's first server has not told its values yet.
        case awaitingGreeting
        /// No server, nothing asked.
        case idle
        /// A whole message is here (in `held`), and no server yet.
        case waiting(PoolQueue.Ticket)
        /// No server: a batch was cancelled while it waited for one, and is thrown away up to its Sync.
        case skipping
        /// Asked for a cancel, which is on its way.
        case canceling
        /// Has a server.
        case linked
        /// Talks to the console.
        case console
        case closed

        @inline(__always)
        var stage: ClientStage {
            switch self {
            case .startup: .startup
            case .authenticating: .authenticating
            case .awaitingGreeting: .awaitingGreeting
            case .idle: .idle
            case .waiting: .waiting
            case .skipping: .skipping
            case .canceling: .canceling
            case .linked: .linked
            case .console: .console
            case .closed: .closed
            }
        }
    }

    /// The client began with a handshake, without asking.
    var isDirectTLS = false
    /// What has come before the startup packet.
    struct Preliminaries: OptionSet {
        let rawValue: UInt8
        /// Any byte at all.
        static let anything = Preliminaries(rawValue: 1)
        /// A request for TLS, or for GSSAPI encryption. Each is answered once.
        static let tls = Preliminaries(rawValue: 2)
        static let gssEncryption = Preliminaries(rawValue: 4)
    }
    var preliminaries: Preliminaries = []
    private(set) var phase = Phase.startup
    var session = ClientSession()
    var shard: PoolShard?
    var console: ConsoleClient?
    var server: ServerConnection?
    /// What the login needs and nobody after it.
    var login: ClientLoginState?
    /// Name of the login user, which a forced user of the database does not change.
    var user = ""

    /// The `idle_session_timeout` that it brought, in microseconds; 0: none. It is about the client's idling, so no server is set to it.
    var idleSessionTimeout: Int64 = 0

    /// What it replicates, if it does.
    var replication: ReplicationMode?

    /// There was no memory for what it did not take: it is closed as soon as nothing else is being handled.
    var lacksMemory = false
    /// It sends nothing more; `Departures` knows why.
    var isLeaving = false
    /// What is held of it is being handled.
    var isConsuming = false
    /// A NOTICE has told this client that it waits.
    var wasNotified = false
    /// It speaks protocol 3.2.
    var takesLongKeys = false

    var cancelKey: UInt64 = 0
    /// Last message from the client.
    var requestTime: Int64

    init(slot: UInt32, id: UInt64, descriptor: Int32, loop: EventLoop, now: Int64) {
        requestTime = now
        let socket = Socket(adopting: descriptor, on: loop, token: TokenKind.client.token(slot), for: .reading)
        super.init(slot: slot, id: id, channel: Channel(socket, order: .first), connectTime: now)
    }

    /// The next stage. One that may not follow is a fault of the pooler.
    @inline(__always)
    func move(to next: Phase) {
        if !phase.stage.mayBecome(next.stage) { noteFault(next) }
        phase = next
    }

    @inline(never)
    private func noteFault(_ next: Phase) { Faults.note("a client that is \(phase.stage) may not become \(next.stage)") }

    override var token: UInt32 { TokenKind.client.token(slot) }
    override var isOpen: Bool { if case .closed = phase { false } else { true } }
    var isLoggedIn: Bool { cancelKey != 0 }
    /// It has said nothing: a balancer that looks whether somebody listens. There are many of these, and nothing to tell about them.
    var isProbe: Bool { preliminaries.isEmpty }

    /// Who it is, for the log.
    var subject: LogSubject {
        .client(
            id: id, database: shard?.databaseName ?? console?.database ?? login?.template.databaseName, user: user.isEmpty ? nil : user,
            address: SocketAddress.logName(ofPeerOf: channel.descriptor))
    }

    // MARK: What the transport asks and tells

    override func mayReceive(_ core: WorkerCore) -> Bool { !lacksMemory && core.mayRead(self) }
    override func heldBack(_ core: WorkerCore) {
        if lacksMemory { core.fail(self, .outOfMemory) } else if isLeaving { core.departures.finishLeaving(self) }
    }
    override func received(_ bytes: Span<UInt8>, _ core: WorkerCore) { core.received(self, bytes) }
    override func secured(_ core: WorkerCore) { core.secured(self) }
    override func ranDry(_ core: WorkerCore) {
        // A send has failed, and the kernel has no word of it.
        if channel.isCut { core.departures.leave(self, .endOfStream, isDeaf: true) }
    }
    override func ended(_ end: ChannelEnd, _ core: WorkerCore) { core.ended(end, self) }
    override func notTaken(_ output: ChannelOutput, _ core: WorkerCore) { core.notTaken(output, self) }
    override func drained(_ core: WorkerCore) { core.drained(self) }
}
