#if DEBUG
    import ModelPostgres
    import Glibc

    @testable import EventLoop

    /// A connection to the pooler for those who have no PostgreSQL beside them: operators, cancel requests, rude clients.
    final class RawConnection {
        private unowned let world: World
        private var socket: VirtualSocket?
        private var output: [UInt8] = []
        private(set) var stream = MessageStream()
        private(set) var isClosed = false
        private var finishesNext = false
        /// Something has come.
        var onBytes: () -> Void = {}
        /// The connection is over.
        var onEnd: () -> Void = {}

        init(world: World) { self.world = world }

        func connect(from local: SocketAddress) {
            world.network.connect(from: local, to: world.listenAddress) { [self] socket in
                guard let socket, !isClosed else {
                    if let socket { world.network.close(socket) }
                    end()
                    return
                }
                self.socket = socket
                socket.onEvent = { [weak self] in self?.wake() }
                flush()
            }
        }

        func send(_ bytes: [UInt8]) {
            output += bytes
            flush()
        }

        private func flush() {
            guard let socket, !isClosed else { return }
            while !output.isEmpty {
                let count = output.withUnsafeBytes { world.network.send(socket, $0) }
                if count < 0 {
                    if count != -Int(EAGAIN) { output = [] }
                    break
                }
                output.removeFirst(count)
            }
            if output.isEmpty, finishesNext { world.network.finish(socket) }
        }

        /// Sends nothing more.
        func finish() {
            finishesNext = true
            flush()
        }

        func close(resets: Bool = false) {
            guard !isClosed else { return }
            if let socket { if resets { world.network.abort(socket) } else { world.network.close(socket) } }
            end()
        }

        private func end() {
            guard !isClosed else { return }
            isClosed = true
            onEnd()
        }

        private func wake() {
            guard let socket, !isClosed else { return }
            flush()
            let bytes = world.network.read(socket)
            if !bytes.isEmpty {
                stream.append(bytes)
                onBytes()
            }
            guard !isClosed, socket.available == 0, socket.isReset || socket.hasEnded else { return }
            world.network.close(socket)
            end()
        }

        /// The next message that has come.
        func next() -> Message? {
            do { return try stream.next() } catch {
                world.fail("somebody on the console, or rude, got what is no message: \(stream.start)")
                return nil
            }
        }
    }

#endif
