import EventLoop
import TLS

/// What clients and servers have in common: a channel, and where its bytes stand.
///
/// What is different, the transport asks here: `Transport` reads and sends, the connection says what it means.
class Connection {
    final let slot: UInt32
    final let id: UInt64
    final var channel: Channel
    /// Bytes received and not used: an unfinished message, or messages that wait.
    final var held = HeldBytes()
    /// How much of a message that is forwarded in pieces is still to come, and whether it is dropped instead.
    final var passThrough = 0
    final var dropsPassThrough = false
    /// Bytes may be waiting in the kernel, and no event will tell.
    final var hasUnread = false
    final var isQueuedForReading = false
    final let connectTime: Int64

    /// TLS with the other side, if it was agreed.
    final var tls: TLSSession? { channel.tls }

    init(slot: UInt32, id: UInt64, channel: consuming Channel, connectTime: Int64) {
        self.slot = slot
        self.id = id
        self.channel = channel
        self.connectTime = connectTime
    }

    /// Looks at what is held.
    final func withHeld<Result>(_ body: (Span<UInt8>) -> Result) -> Result {
        func look(_ held: borrowing HeldBytes) -> Result { body(held.bytes) }
        return look(held)
    }

    /// Its number in the loop.
    var token: UInt32 { preconditionFailure("a kind of connection has its own") }
    var isOpen: Bool { preconditionFailure("a kind of connection has its own") }

    // MARK: What the transport asks and tells

    /// Whether bytes may be taken now. If not, they stay in the kernel, and `heldBack` follows.
    func mayReceive(_ core: WorkerCore) -> Bool { true }
    func heldBack(_ core: WorkerCore) {}
    /// Bytes have come; what is not used is to be held.
    func received(_ bytes: Span<UInt8>, _ core: WorkerCore) {}
    /// The handshake of TLS is done.
    func secured(_ core: WorkerCore) {}
    /// Everything that was in the kernel has been received.
    func ranDry(_ core: WorkerCore) {}
    /// Nothing more will be received.
    func ended(_ end: ChannelEnd, _ core: WorkerCore) {}
    /// Something that was to be sent waits for the socket, or is lost. Other bytes are being handled: nothing may be closed here.
    func notTaken(_ output: ChannelOutput, _ core: WorkerCore) {}
    /// The socket has taken what waited for it, or (`channel.isCut`) never will.
    func drained(_ core: WorkerCore) {}
}
