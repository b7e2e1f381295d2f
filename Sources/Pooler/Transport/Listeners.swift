import Bytes
import EventLoop
import PoolCore
import PostgresWire

/// A noncopyable listener in a dictionary.
private final class ListenerBox {
    let listener: Listener
    init(_ listener: consuming Listener) { self.listener = listener }
}

/// The sockets on which one worker accepts clients. A client that is accepted is counted, and served here or by a worker that has fewer.
final class Listeners: WorkerPart {
    unowned let worker: WorkerCore
    private var boxes: [UInt32: ListenerBox] = [:]
    private var last: UInt32 = 0
    /// No more clients are accepted before there is room: descriptors or memory have run out.
    private(set) var isShort = false
    /// When that was last told.
    private var shortageLogged: Int64?

    init(of worker: WorkerCore) { self.worker = worker }

    /// Where clients may come.
    var addresses: [SocketAddress] { boxes.values.map { $0.listener.address } }

    func listen(_ descriptor: Int32, at address: SocketAddress) {
        last += 1
        let listener = Listener(adopting: descriptor, address: address, on: worker.loop, token: TokenKind.listener.token(last))
        boxes[last] = ListenerBox(listener)
    }

    func stop(tcpOnly: Bool) {
        boxes = boxes.filter { tcpOnly && $0.value.listener.address.isUnix }
    }

    /// Clients that connect from now on inherit what the settings say now.
    func retune() {
        let options = SocketOptions(worker.settings)
        for box in boxes.values { box.listener.apply(deferAccept: settings.tcpDeferAccept, options: options) }
    }

    func accept(_ slot: UInt32) {
        guard let box = boxes[slot] else { return }
        guard BlockMemory.admits(Self.costOfClient) else {
            pause(.outOfMemory("accept"))
            return
        }
        switch box.listener.accept() {
        case .connection(let descriptor):
            accepted(descriptor, isUnix: box.listener.address.isUnix)
        case .lastConnection(let descriptor, let error):
            accepted(descriptor, isUnix: box.listener.address.isUnix)
            pause(error)
        case .none:
            break
        case .exhausted(let error):
            pause(error)
        }
    }

    /// About what a client takes of Swift's memory and of OpenSSL's.
    private static let costOfClient = 32 * 1024

    /// Connections wait in the kernel until a descriptor is free. It is tried again three times a second.
    private func pause(_ error: SystemError) {
        let now = worker.now
        if shortageLogged.map({ now - $0 > 60_000_000 }) ?? true {
            shared.log.warning("\(error): no more clients are accepted until others leave")
            shortageLogged = now
        }
        isShort = true
        for box in boxes.values { box.listener.setListening(false) }
    }

    func resume() {
        guard boxes.values.first?.listener.hasRoom() ?? true, BlockMemory.admits(Self.costOfClient) else { return }
        isShort = false
        for box in boxes.values { box.listener.setListening(true) }
    }

    /// Takes a socket in, or gives it to a worker that has clearly fewer: the kernel spreads connections by their addresses, which is
    /// uneven with few clients, and not at all on Unix sockets.
    func accepted(_ descriptor: Int32, isUnix: Bool) {
        // A shutdown that waits for clients waits for one on its way, too.
        shared.capacity.withLock { $0.accept() }
        if shared.parallel {
            let loads = shared.clientsOfWorkers
            let mine = loads[worker.index].load()
            if let least = loads.indices.min(by: { loads[$0].load() < loads[$1].load() }),
                mine > loads[least].load() + loads[least].load() / 8
            {
                loads[least].add(1)
                worker.tell(least, .adoptClient(OwnedDescriptor(descriptor), isUnix: isUnix))
                return
            }
        }
        shared.clientsOfWorkers[worker.index].add(1)
        worker.logins.adopt(client: descriptor, isUnix: isUnix)
    }
}
