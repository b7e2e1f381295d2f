import Bytes
import EventLoop
import PoolCore
import PostgresWire
import TLS
import Telemetry

/// A connection to PostgreSQL and where it stands.
///
/// Release builds of this room do without the run-time check of exclusive access (Package.swift says why): everything is on one thread,
/// and nothing that is handed a property calls back.
final class ServerConnection: Connection {
    let shard: PoolShard
    let address: SocketAddress
    /// What TLS has been asked for with, until the answer; and whether a no ends the connection.
    var tlsContext: TLSContext?
    var requiresTLS = false
    private(set) var phase: ServerStage
    var session: ServerSession
    var client: ClientConnection?
    /// How it came about, and where else to try if this address can't be reached.
    let opening: Opening
    /// It serves one replication client, from login to end.
    let isDedicated: Bool
    /// Until the login is done.
    var login: ServerLogin?

    /// The question of auth_query that it answers.
    var lookup: PendingLookup?

    /// The client got the beginning of a message: nothing but its rest may follow.
    var isMidMessage: Bool { passThrough > 0 && !dropsPassThrough }
    /// It has reported more than is kept: what its settings are is not known, and it is closed as soon as it is free.
    var reportsTooMuch = false
    /// A send failed: once what it has still said is read, it is at an end.
    var isBroken: Bool { channel.isCut }
    /// Parts of the client's parameters are still being tried.
    var trialsLeft = 0
    /// Questions after values that nobody has set which are not answered yet (`explains`), and whether the last answer has just come.
    var explanationsLeft = 0
    var isExplained = false
    var trialFailed: (change: ParameterChange, fields: ErrorFields)?
    /// What else has been refused in the same trial.
    var alsoRefused: [ParameterChange] = []
    var trialsRepeated = 0

    /// Clients that ran LISTEN here. Notifications are owed to them alone.
    var listeners: Set<UInt64> = []
    /// How often a client has had it.
    var uses = 0
    var cancelKey: CancelKey?
    /// Requests to cancel what it runs; nil when there are none.
    var cancels: ServerCancels?
    /// Its client has left inside a transaction block: what else it has left on the session is to be discarded.
    var discardsNext = false
    /// `server_reset_query` is to run when it is `beingCanceled` no more.
    var resetsNext = false
    /// A cancel request for it was given up: it may be hit late, so nobody else gets it.
    var hasStrayCancel = false
    /// How messages of its client are treated; the settings of the moment when it was linked.
    var rules: ServerSession.Rules
    let generation: UInt32
    /// Last release, or last message from the server while linked.
    var lastActivity: Int64
    var queryStart: Int64 = 0
    var transactionStart: Int64 = 0
    /// How long its client waited for it, until the first query is answered.
    var waited: Int64 = 0
    /// The first bytes of the last burst that began with a statement, as the client sent them.
    let lastStatement = Excerpt(capacity: ServerConnection.excerptSize)
    /// No other burst has come after that one.
    var isStatementLatest = false
    /// Its client has sent a Flush.
    var isFlushed = false
    /// The server's last words when it ends the connection by itself, and whether its client has heard them.
    var farewell: ErrorFields?
    var farewellWasForwarded = false

    init(
        slot: UInt32, id: UInt64, descriptor: Int32, loop: EventLoop, opening: Opening, address: SocketAddress, now: Int64,
        settings: ServerParameters, phase: ServerStage = .connecting
    ) {
        self.phase = phase
        shard = opening.shard
        self.opening = opening
        isDedicated = opening.lease != nil
        self.address = address
        session = ServerSession(settings: settings)
        generation = opening.generation
        rules = shard.settings.rules
        lastActivity = now
        let socket = Socket(adopting: descriptor, on: loop, token: TokenKind.server.token(slot))
        super.init(slot: slot, id: id, channel: Channel(socket, order: .last), connectTime: opening.started)
    }

    /// Enough for the first 200 bytes of a text behind a message's header and a name.
    static let excerptSize = 288

    /// The name, address or directory in the configuration that led here; nil for the Unix socket that stands for no host.
    var host: String? { opening.host }
    override var token: UInt32 { TokenKind.server.token(slot) }
    override var isOpen: Bool { phase != .closed }

    /// The next stage. One that may not follow is a fault of the pooler.
    @inline(__always)
    func move(to next: ServerStage) {
        if !phase.mayBecome(next) { noteFault(next) }
        phase = next
    }

    @inline(never)
    private func noteFault(_ next: ServerStage) { Faults.note("a server that is \(phase) may not become \(next)") }

    /// What decides whether it may be used again when nobody has it.
    @inline(__always)
    var condition: ServerCondition {
        var doubts: ServerCondition.Doubts = []
        if hasStrayCancel { doubts.insert(.strayCancel) }
        if reportsTooMuch { doubts.insert(.reportsTooMuch) }
        if session.statements.isDubious { doubts.insert(.statements) }
        return ServerCondition(
            generation: generation, connectTime: connectTime, lastActivity: lastActivity, wasUsed: uses > 0, doubts: doubts)
    }

    /// What the mode of its pool means for it. A server of one replication client is that client's.
    @inline(__always)
    var policy: PoolPolicy { isDedicated ? PoolPolicy(.session) : shard.settings.policy }

    /// Nothing of its client is left on it, in either direction: it may change hands.
    var isClean: Bool {
        guard session.isReusable, passThrough == 0, !channel.hasPendingOutput else { return false }
        guard let client else { return true }
        return client.passThrough == 0 || client.dropsPassThrough
    }
    var isLoggedIn: Bool {
        switch phase {
        case .connecting, .encrypting, .authenticating, .closed: false
        default: true
        }
    }

    /// Which one it is, for the log.
    var subject: LogSubject {
        .server(
            id: id, database: shard.databaseName, user: shard.shared.key.user,
            address: address.isUnix ? SocketAddress.logName(ofPeerOf: channel.descriptor) : address.description,
            process: cancelKey?.processID)
    }

    // MARK: What the transport asks and tells

    override func mayReceive(_ core: WorkerCore) -> Bool {
        // A slow reader: its server waits, the kernel's buffers fill up, and nothing grows here.
        client?.channel.hasPendingOutput != true || isBroken
    }
    override func received(_ bytes: Span<UInt8>, _ core: WorkerCore) { core.received(self, bytes) }
    override func secured(_ core: WorkerCore) { core.opener.secured(self) }
    override func ranDry(_ core: WorkerCore) {
        if isBroken { core.serverEnded(self, .endOfStream) }
    }
    override func ended(_ end: ChannelEnd, _ core: WorkerCore) { core.ended(end, self) }
    override func notTaken(_ output: ChannelOutput, _ core: WorkerCore) { core.notTaken(output, self) }
    override func drained(_ core: WorkerCore) { core.drained(self) }
}
