import Bytes
import EventLoop
import PoolCore
import PostgresWire

/// A noncopyable listener in a dictionary.
final class ListenerBox {
    let listener: Listener
    init(_ listener: consuming Listener) { self.listener = listener }
}

/// New client sockets.
extension WorkerCore {
    func listen(_ descriptor: Int32, at address: SocketAddress) {
        lastListener += 1
        let listener = Listener(adopting: descriptor, address: address, on: loop, token: TokenKind.listener.token(lastListener))
        listeners[lastListener] = ListenerBox(listener)
    }

    func stopListening(tcpOnly: Bool) {
        listeners = listeners.filter { tcpOnly && $0.value.listener.address.isUnix }
    }

    /// Clients that connect from now on inherit what the settings say now.
    func retuneListeners() {
        let options = SocketOptions(settings)
        for box in listeners.values { box.listener.apply(deferAccept: settings.tcpDeferAccept, options: options) }
    }

    func accept(_ slot: UInt32) {
        guard let box = listeners[slot] else { return }
        guard BlockMemory.admits(Self.costOfClient) else {
            pauseListening(.outOfMemory("accept"))
            return
        }
        switch box.listener.accept() {
        case .connection(let descriptor):
            accepted(descriptor, isUnix: box.listener.address.isUnix)
        case .lastConnection(let descriptor, let error):
            accepted(descriptor, isUnix: box.listener.address.isUnix)
            pauseListening(error)
        case .none:
            break
        case .exhausted(let error):
            pauseListening(error)
        }
    }

    /// About what a client takes of Swift's memory and of OpenSSL's.
    private static let costOfClient = 32 * 1024

    /// Connections wait in the kernel until a descriptor is free. It is tried again three times a second.
    private func pauseListening(_ error: SystemError) {
        if shortageLogged.map({ now - $0 > 60_000_000 }) ?? true {
            shared.log.warning("\(error): no more clients are accepted until others leave")
            shortageLogged = now
        }
        isShortOfDescriptors = true
        for box in listeners.values { box.listener.setListening(false) }
    }

    func resumeListening() {
        guard listeners.values.first?.listener.hasRoom() ?? true, BlockMemory.admits(Self.costOfClient) else { return }
        isShortOfDescriptors = false
        for box in listeners.values { box.listener.setListening(true) }
    }

    /// Takes a socket in, or gives it to a worker that has clearly fewer: the kernel spreads connections by their addresses, which is
    /// uneven with few clients, and not at all on Unix sockets.
    func accepted(_ descriptor: Int32, isUnix: Bool) {
        // A shutdown that waits for clients waits for one on its way, too.
        shared.capacity.withLock { $0.accept() }
        if shared.parallel {
            let loads = shared.clientsOfWorkers
            let mine = loads[index].load()
            if let least = loads.indices.min(by: { loads[$0].load() < loads[$1].load() }),
                mine > loads[least].load() + loads[least].load() / 8
            {
                loads[least].add(1)
                tell(least, .adoptClient(OwnedDescriptor(descriptor), isUnix: isUnix))
                return
            }
        }
        shared.clientsOfWorkers[index].add(1)
        adopt(client: descriptor, isUnix: isUnix)
    }

    /// Serves a client that this worker or another one has accepted.
    func adopt(client descriptor: Int32, isUnix: Bool) {
        let slot = clients.reserve()
        let client = ClientConnection(slot: slot, id: shared.nextID(), descriptor: descriptor, loop: loop, now: now)
        clients.set(slot, client)
        loggingIn += 1
        counters.accepted &+= 1
        // With TCP_DEFER_ACCEPT the startup packet is here already: no event is needed to tell.
        if settings.tcpDeferAccept > 0, !isUnix { read(client, toEnd: false) }
    }
}
