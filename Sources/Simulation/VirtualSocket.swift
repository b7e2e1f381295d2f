#if DEBUG
    import CLibevent
    import Glibc

    @testable import EventLoop

    /// One end of a connection of the virtual network, or a listening socket.
    final class VirtualSocket {
        enum State {
            case fresh, listening, connecting, connected, closed
        }

        /// What is on its way to this end.
        enum Item {
            case bytes([UInt8])
            case endOfStream
            case reset
        }

        /// Names it in the trace.
        let number: Int
        var state = State.fresh
        /// The pooler's number for it; nil at the ends of clients and servers.
        var descriptor: Int32?
        var local: SocketAddress?
        var remote: SocketAddress?
        var peer: VirtualSocket?

        // MARK: What has come

        var inbox: [UInt8] = []
        var inboxStart = 0
        var hasEnded = false
        /// The other side has reset the connection.
        var isReset = false
        /// SO_ERROR.
        var error: Int32 = 0
        /// On its way here, oldest first, and how many bytes of it.
        var inFlight: [Item] = []
        var bytesInFlight = 0
        /// Nothing overtakes what was sent before.
        var lastArrival: Int64 = 0

        /// So many bytes may be here and on their way here.
        var capacity = 64 * 1024
        /// How long something is on its way here, usually (microseconds).
        var latency: Int64 = 50

        // MARK: What was done

        /// This side has sent its end of the stream.
        var hasFinished = false
        /// Close by a reset.
        var resetsWhenClosed = false
        /// A send of this side came up short: it is told when there is room again.
        var wantsRoom = false
        /// Bytes that this side has sent and received.
        var sent = 0
        var received = 0

        // MARK: Who is told

        /// Flags of libevent, for the loop's socket of this token.
        var watched: Int32 = 0
        /// Writing is watched by an event of its own.
        var watchesWritingApart = false
        var loop: EventLoop?
        var token: UInt32 = 0
        /// Something has happened since the loop last looked.
        var isPending = false
        /// Ends of clients and servers are told at once that something has come, or that there is room.
        var onEvent: (() -> Void)?

        // MARK: Listening

        var backlog: [VirtualSocket] = []
        var backlogLimit = 128

        init(number: Int) { self.number = number }

        var available: Int { inbox.count - inboxStart }
        var isUsed: Bool { available + bytesInFlight > 0 }
        var room: Int { max(0, capacity - available - bytesInFlight) }
        /// The other side takes more; with some slack, as in the kernel, which tells of room for more than a few bytes only.
        var isWritable: Bool {
            guard state == .connected else { return false }
            guard let peer, !peer.isGone else { return true }
            return peer.room * 3 >= peer.capacity
        }
        /// Nobody will ever read what is sent here.
        var isGone: Bool { state == .closed }

        /// What epoll would tell, in libevent's flags.
        var readiness: Int32 {
            switch state {
            case .listening: return backlog.isEmpty ? 0 : EV_READ
            case .fresh, .closed: return 0
            case .connecting: return error == 0 ? 0 : EV_READ | EV_WRITE
            case .connected:
                // libevent leaves the end of the stream out where the connection is broken.
                if isReset { return error != 0 ? EV_READ | EV_WRITE : EV_READ | EV_WRITE | EV_CLOSED }
                var flags: Int32 = 0
                if available > 0 || hasEnded { flags |= EV_READ }
                if hasEnded { flags |= EV_CLOSED }
                if isWritable { flags |= EV_WRITE }
                return flags
            }
        }

        /// Takes at most so many bytes.
        func take(_ most: Int) -> ArraySlice<UInt8> {
            let end = inboxStart + min(most, available)
            let taken = inbox[inboxStart..<end]
            inboxStart = end
            received += taken.count
            return taken
        }

        /// Forgets what was taken, once nobody looks at it any more.
        func compact() {
            if inboxStart == inbox.count {
                inbox.removeAll(keepingCapacity: true)
                inboxStart = 0
            } else if inboxStart > 64 * 1024 {
                inbox.removeFirst(inboxStart)
                inboxStart = 0
            }
        }
    }

#endif
