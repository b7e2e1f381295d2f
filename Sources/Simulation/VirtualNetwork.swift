#if DEBUG
    import CLibevent
    import Glibc

    @testable import EventLoop

    /// Connections that exist in memory only. The pooler's ends have descriptors, and are told of events as the kernel tells of them:
    /// edge-triggered, several in one. The ends of clients and servers are objects.
    final class VirtualNetwork {
        let scheduler: Scheduler
        let trace: Trace
        var dice: Dice
        /// The loops that have something to look at.
        var wake: (EventLoop) -> Void = { _ in }

        // MARK: What the world is like

        /// The pooler may have so many descriptors.
        var mostDescriptors = 1000
        /// How large the buffers of a new connection are.
        var capacities = [64 * 1024]
        /// Usual and rare times on the way (microseconds), and how rare these are.
        var latency: (usual: Int64, rare: Int64, percent: Double) = (100, 5_000, 1)
        /// Connections between these hosts carry nothing until it is over.
        var isCut: (SocketAddress, SocketAddress) -> Bool = { _, _ in false }
        /// Plants a fault of the network's own, to see whether the checker finds it.
        var tamper: ((VirtualSocket, [UInt8]) -> [UInt8])?
        /// The next connection that the pooler closes keeps its descriptor.
        var leaks = false

        // MARK: What there is

        /// By number, from `firstDescriptor` on: far from those that the process really has, so that a call past the seam fails.
        private(set) var descriptors: [VirtualSocket?] = []
        static let firstDescriptor: Int32 = 1_000_000
        private var listeners: [SocketAddress: [VirtualSocket]] = [:]
        /// The model servers, by address.
        private var hosts: [SocketAddress: Host] = [:]
        private var sockets = 0
        private var nextPort: UInt16 = 20_000

        /// Somebody outside the pooler who takes connections.
        struct Host {
            /// Refuses, takes, or never answers.
            var state: () -> HostState
            var accept: (VirtualSocket) -> Void
        }

        enum HostState {
            case up, down, unreachable
        }

        init(scheduler: Scheduler, trace: Trace, dice: Dice) {
            self.scheduler = scheduler
            self.trace = trace
            self.dice = dice
        }

        func add(host: Host, at address: SocketAddress) { hosts[address] = host }

        /// How many descriptors the pooler has.
        var openDescriptors: Int { descriptors.count { $0 != nil } }
        /// The pooler's ends.
        var poolerSockets: [VirtualSocket] { descriptors.compactMap { $0 } }

        // MARK: Sockets

        private func make() -> VirtualSocket {
            sockets += 1
            let socket = VirtualSocket(number: sockets)
            socket.capacity = dice.pick(capacities)
            socket.latency = 1 + dice.below(latency.usual)
            return socket
        }

        /// The lowest number that is free, as in the kernel; nil: there is none.
        private func lowest() -> Int? {
            let index = descriptors.firstIndex { $0 == nil } ?? descriptors.count
            return index < mostDescriptors ? index : nil
        }

        var nextDescriptor: Int32? { lowest().map { Self.firstDescriptor + Int32($0) } }

        private func enter(_ socket: VirtualSocket) -> Int32? {
            guard let index = lowest() else { return nil }
            if index == descriptors.count { descriptors.append(socket) } else { descriptors[index] = socket }
            let descriptor = Self.firstDescriptor + Int32(index)
            socket.descriptor = descriptor
            return descriptor
        }

        subscript(descriptor: Int32) -> VirtualSocket? {
            let index = Int(descriptor) - Int(Self.firstDescriptor)
            return descriptors.indices.contains(index) ? descriptors[index] : nil
        }

        /// socket(2) of the pooler.
        func open() -> Int32? { enter(make()) }

        func listen(_ socket: VirtualSocket, backlog: Int) {
            guard let address = socket.local else { return }
            socket.state = .listening
            socket.backlogLimit = max(1, backlog)
            listeners[address, default: []].append(socket)
        }

        func isBound(_ address: SocketAddress) -> Bool { !(listeners[address] ?? []).isEmpty }

        /// connect(2) of the pooler: what becomes of it shows later.
        func connect(_ socket: VirtualSocket, to address: SocketAddress) {
            socket.state = .connecting
            socket.remote = address
            nextPort = nextPort == 60_000 ? 20_000 : nextPort + 1
            socket.local = SocketAddress(numeric: "10.9.0.1", port: nextPort)
            scheduler.after(transit(socket)) { [self] in reach(socket, address) }
        }

        private func reach(_ socket: VirtualSocket, _ address: SocketAddress) {
            guard socket.state == .connecting else { return }
            if let local = socket.local, isCut(local, address) {
                // The first packet is sent again and again.
                scheduler.after(1_000_000) { [self] in reach(socket, address) }
                return
            }
            switch hosts[address]?.state() ?? .down {
            case .unreachable:
                scheduler.after(1_000_000) { [self] in reach(socket, address) }
            case .down:
                socket.error = ECONNREFUSED
                trace.note(scheduler.now, "refused", socket.number)
                signal(socket, EV_READ | EV_WRITE)
            case .up:
                let far = makeFarEnd(of: socket, at: address)
                trace.note(scheduler.now, "connected", socket.number, far.number)
                signal(socket, EV_WRITE)
                let accept = hosts[address]?.accept
                scheduler.after(transit(far)) { if far.state == .connected { accept?(far) } }
            }
        }

        /// The other end of a connection that has come about.
        private func makeFarEnd(of near: VirtualSocket, at address: SocketAddress) -> VirtualSocket {
            let far = make()
            far.local = address
            far.remote = near.local
            (far.peer, near.peer) = (near, far)
            (far.state, near.state) = (.connected, .connected)
            return far
        }

        /// A client connects to the pooler. `done` hears whether it was let in.
        func connect(from local: SocketAddress, to address: SocketAddress, _ done: @escaping (VirtualSocket?) -> Void) {
            let near = make()
            near.state = .connecting
            near.local = local
            near.remote = address
            scheduler.after(transit(near)) { [self] in knock(near, address, tries: 0, done) }
        }

        private func knock(_ near: VirtualSocket, _ address: SocketAddress, tries: Int, _ done: @escaping (VirtualSocket?) -> Void) {
            // The kernel spreads connections over those who share the port.
            guard let all = listeners[address], !all.isEmpty, tries < 8 else {
                done(nil)
                return
            }
            let listener = dice.pick(all)
            guard listener.backlog.count < listener.backlogLimit else {
                scheduler.after(1_000_000 << Int64(min(tries, 3))) { [self] in knock(near, address, tries: tries + 1, done) }
                return
            }
            let far = makeFarEnd(of: near, at: address)
            listener.backlog.append(far)
            trace.note(scheduler.now, "knocks", near.number, far.number)
            signal(listener, EV_READ)
            done(near)
        }

        /// accept(2) of the pooler.
        func accept(_ listener: VirtualSocket) -> AcceptResult {
            guard !listener.backlog.isEmpty else { return .none }
            guard lowest() != nil else { return .noDescriptor }
            let socket = listener.backlog.removeFirst()
            guard let descriptor = enter(socket) else { return .noDescriptor }
            trace.note(scheduler.now, "accepts", socket.number, Int(descriptor))
            return .descriptor(descriptor)
        }

        enum AcceptResult {
            case descriptor(Int32)
            case none
            case noDescriptor
        }

        // MARK: Sending

        private func transit(_ socket: VirtualSocket) -> Int64 {
            dice.delay(usually: socket.latency, rarely: latency.rare, percent: latency.percent)
        }

        /// How many bytes were taken; negative: the error.
        func send(_ socket: VirtualSocket, _ bytes: UnsafeRawBufferPointer) -> Int {
            switch socket.state {
            case .connecting, .fresh: return -Int(socket.error != 0 ? socket.error : EAGAIN)
            case .closed, .listening: return -Int(EBADF)
            case .connected: break
            }
            if socket.isReset || socket.hasFinished {
                let error = socket.error
                socket.error = 0
                return -Int(error != 0 ? error : EPIPE)
            }
            guard let peer = socket.peer else { return -Int(EPIPE) }
            let count = min(bytes.count, peer.isGone ? bytes.count : peer.room)
            if count < bytes.count { socket.wantsRoom = true }
            guard count > 0 else { return bytes.isEmpty ? 0 : -Int(EAGAIN) }
            socket.sent += count
            trace.note(scheduler.now, "sends", socket.number, count)
            let part = UnsafeRawBufferPointer(rebasing: bytes[..<count])
            trace.mix(part)
            var copy = [UInt8](part)
            if let tamper { copy = tamper(peer, copy) }
            peer.bytesInFlight += copy.count
            if !copy.isEmpty { put(.bytes(copy), on: peer) }
            return count
        }

        /// Has bytes come that the other end has not sent.
        func deliver(_ bytes: [UInt8], to socket: VirtualSocket) {
            socket.bytesInFlight += bytes.count
            put(.bytes(bytes), on: socket)
        }

        private func put(_ item: VirtualSocket.Item, on socket: VirtualSocket) {
            socket.inFlight.append(item)
            let time = max(socket.lastArrival, scheduler.now + transit(socket))
            socket.lastArrival = time
            scheduler.at(time) { [self] in arrive(socket) }
        }

        private func arrive(_ socket: VirtualSocket) {
            guard !socket.inFlight.isEmpty else { return }
            if let local = socket.local, let remote = socket.remote, isCut(remote, local) {
                scheduler.after(10_000 + dice.below(200_000 as Int64)) { [self] in arrive(socket) }
                return
            }
            let item = socket.inFlight.removeFirst()
            if case .bytes(let bytes) = item { socket.bytesInFlight -= bytes.count }
            guard socket.state == .connected, !socket.isReset else {
                // Nobody is there any more: whoever has sent it hears of that.
                if case .bytes = item, socket.state == .closed, let peer = socket.peer, peer.state == .connected, !peer.isReset {
                    put(.reset, on: peer)
                }
                return
            }
            switch item {
            case .bytes(let bytes):
                trace.note(scheduler.now, "arrive", socket.number, bytes.count)
                socket.inbox += bytes
                signal(socket, EV_READ)
            case .endOfStream:
                trace.note(scheduler.now, "ends", socket.number)
                socket.hasEnded = true
                signal(socket, EV_READ | EV_CLOSED)
            case .reset:
                trace.note(scheduler.now, "reset", socket.number)
                becomeReset(socket)
            }
        }

        private func becomeReset(_ socket: VirtualSocket) {
            socket.isReset = true
            socket.error = ECONNRESET
            socket.inFlight = []
            socket.bytesInFlight = 0
            signal(socket, EV_READ | EV_WRITE | EV_CLOSED)
        }

        // MARK: Receiving

        /// How many bytes have come, 0 at the end of the stream; negative: the error.
        func receive(_ socket: VirtualSocket, _ buffer: UnsafeMutableRawBufferPointer, peeks: Bool) -> Int {
            guard socket.state == .connected else { return -Int(socket.state == .connecting ? EAGAIN : EBADF) }
            guard socket.available > 0 else {
                if socket.isReset {
                    let error = socket.error
                    if !peeks { socket.error = 0 }
                    return error != 0 ? -Int(error) : 0
                }
                return socket.hasEnded ? 0 : -Int(EAGAIN)
            }
            if peeks { return min(buffer.count, socket.available) }
            let taken = socket.take(buffer.count)
            buffer.copyBytes(from: taken)
            let count = taken.count
            trace.note(scheduler.now, "receives", socket.number, count)
            socket.compact()
            madeRoom(socket)
            return count
        }

        /// All that has come, at an end outside the pooler.
        func read(_ socket: VirtualSocket, most: Int = .max) -> [UInt8] {
            guard socket.available > 0 else { return [] }
            let bytes = Array(socket.take(most))
            socket.compact()
            madeRoom(socket)
            return bytes
        }

        /// Its other end may send more.
        private func madeRoom(_ socket: VirtualSocket) {
            guard let peer = socket.peer, peer.wantsRoom, peer.isWritable else { return }
            peer.wantsRoom = false
            signal(peer, EV_WRITE)
        }

        // MARK: Ending

        /// shutdown(2) of this side: it sends nothing more.
        func finish(_ socket: VirtualSocket) {
            guard socket.state == .connected, !socket.hasFinished, !socket.isReset else { return }
            socket.hasFinished = true
            if let peer = socket.peer { put(.endOfStream, on: peer) }
        }

        func close(_ socket: VirtualSocket) {
            guard socket.state != .closed else { return }
            trace.note(scheduler.now, "closes", socket.number, Int(socket.descriptor ?? -1))
            let wasConnected = socket.state == .connected
            if socket.state == .listening, let address = socket.local {
                listeners[address]?.removeAll { $0 === socket }
                for waiting in socket.backlog { abort(waiting) }
                socket.backlog = []
            }
            let isUnread = socket.available > 0
            socket.state = .closed
            socket.watched = 0
            socket.onEvent = nil
            if let descriptor = socket.descriptor {
                if leaks, wasConnected {
                    leaks = false
                    socket.descriptor = nil
                    return
                }
                descriptors[Int(descriptor - Self.firstDescriptor)] = nil
                socket.descriptor = nil
            }
            guard wasConnected, let peer = socket.peer, peer.state == .connected, !socket.isReset else { return }
            if socket.resetsWhenClosed || isUnread {
                put(.reset, on: peer)
            } else if !socket.hasFinished {
                put(.endOfStream, on: peer)
            }
            socket.hasFinished = true
        }

        /// Closes with a reset.
        func abort(_ socket: VirtualSocket) {
            socket.resetsWhenClosed = true
            close(socket)
        }

        /// The line is cut: both ends hear of a reset. What was on its way is lost, but for some of its first bytes.
        func cut(_ socket: VirtualSocket) {
            guard let peer = socket.peer else { return }
            for end in [socket, peer] where end.state == .connected && !end.isReset {
                if let first = end.inFlight.first, case .bytes(let bytes) = first {
                    end.inbox += bytes.prefix(dice.below(bytes.count + 1))
                }
                becomeReset(end)
            }
        }

        // MARK: Events

        func watch(_ socket: VirtualSocket, for what: Int32, on loop: EventLoop, token: UInt32) {
            if socket.watched != 0, what & EV_WRITE != 0, what & EV_READ == 0 { socket.watchesWritingApart = true }
            socket.watched |= what & (EV_READ | EV_WRITE | EV_CLOSED)
            socket.loop = loop
            socket.token = token
            // What is so already is told at once.
            signal(socket, socket.readiness)
        }

        func unwatch(_ socket: VirtualSocket, for what: Int32) {
            socket.watched &= ~(what & (EV_READ | EV_WRITE | EV_CLOSED))
            if socket.watched == 0 {
                socket.watchesWritingApart = false
                socket.isPending = false
            }
        }

        private func signal(_ socket: VirtualSocket, _ what: Int32) {
            if let onEvent = socket.onEvent {
                onEvent()
                return
            }
            guard socket.watched & what != 0, let loop = socket.loop else { return }
            if !socket.isPending {
                socket.isPending = true
                pending[ObjectIdentifier(loop), default: []].append(socket)
            }
            wake(loop)
        }

        /// The sockets that a loop will hear of, in the order in which something happened first.
        private var pending: [ObjectIdentifier: [VirtualSocket]] = [:]

        /// Tells a loop all that has happened, as epoll_wait does: what is so now, not what was so once. Returns how many events there were.
        func collect(for loop: EventLoop) -> Int {
            let sockets = pending.updateValue([], forKey: ObjectIdentifier(loop)) ?? []
            var count = 0
            var again: [VirtualSocket] = []
            for socket in sockets where socket.isPending {
                // Who asks for connections is told as long as there are some.
                let isListening = socket.state == .listening
                socket.isPending = isListening && socket.watched != 0 && !socket.backlog.isEmpty
                if socket.isPending { again.append(socket) }
                let ready = socket.readiness & socket.watched
                guard ready != 0 else { continue }
                if socket.watchesWritingApart, ready & EV_WRITE != 0 {
                    loop.note(Int16(EV_WRITE), of: socket.token)
                    count += 1
                    if ready & ~EV_WRITE == 0 { continue }
                    loop.note(Int16(ready & ~EV_WRITE), of: socket.token)
                } else {
                    loop.note(Int16(ready), of: socket.token)
                }
                count += 1
            }
            if !again.isEmpty { pending[ObjectIdentifier(loop), default: []] = again + pending[ObjectIdentifier(loop), default: []] }
            return count
        }

        /// Whether a loop would hear of something.
        func hasEvents(for loop: EventLoop) -> Bool {
            pending[ObjectIdentifier(loop)]?.contains { $0.isPending && $0.readiness & $0.watched != 0 } ?? false
        }

        /// A loop is no more.
        func forget(_ loop: EventLoop) { pending[ObjectIdentifier(loop)] = nil }
    }

#endif
