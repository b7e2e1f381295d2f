import Authentication
import EventLoop
import PoolCore
import PostgresWire
import TLS
import Telemetry

/// A client's socket and where it stands. Small, because thousands of them sit idle: no buffer while nothing is in flight.
final class ClientConnection {
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

    let slot: UInt32
    let id: UInt64
    var socket: Socket
    /// From the moment on when TLS was agreed; no byte on the socket is plain after that.
    var tls: TLSSession?
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

    /// Bytes received and not forwarded: an unfinished message, or messages that wait for a server.
    var held = HeldBytes()
    var outgoing = Outgoing()
    /// How much of a message that is forwarded in pieces is still to come, and whether it is dropped instead.
    var passThrough = 0
    var dropsPassThrough = false
    /// Bytes may be waiting in the kernel, and no event will tell.
    var hasUnread = false
    var isQueuedForReading = false
    /// There was no memory for what it did not take: it is closed as soon as nothing else is being handled.
    var lacksMemory = false
    /// It sends nothing more; `WorkerCore.leaving` says why.
    var isLeaving = false
    /// What is held of it is being handled.
    var isConsuming = false
    /// A NOTICE has told this client that it waits.
    var wasNotified = false
    /// It speaks protocol 3.2.
    var takesLongKeys = false

    var cancelKey: UInt64 = 0
    let connectTime: Int64
    /// Last message from the client.
    var requestTime: Int64

    init(slot: UInt32, id: UInt64, descriptor: Int32, loop: EventLoop, now: Int64) {
        self.slot = slot
        self.id = id
        socket = Socket(adopting: descriptor, on: loop, token: TokenKind.client.token(slot), for: .reading)
        connectTime = now
        requestTime = now
    }

    /// The next stage. One that may not follow is a fault of the pooler.
    @inline(__always)
    func move(to next: Phase) {
        if !phase.stage.mayBecome(next.stage) { noteFault(next) }
        phase = next
    }

    @inline(never)
    private func noteFault(_ next: Phase) { Faults.note("a client that is \(phase.stage) may not become \(next.stage)") }

    var isOpen: Bool { if case .closed = phase { false } else { true } }
    var isLoggedIn: Bool { cancelKey != 0 }
    /// It has said nothing: a balancer that looks whether somebody listens. There are many of these, and nothing to tell about them.
    var isProbe: Bool { preliminaries.isEmpty }

    /// Who it is, for the log.
    var subject: LogSubject {
        .client(
            id: id, database: shard?.databaseName ?? console?.database ?? login?.template.databaseName, user: user.isEmpty ? nil : user,
            address: SocketAddress.logName(ofPeerOf: socket.descriptor))
    }
}
