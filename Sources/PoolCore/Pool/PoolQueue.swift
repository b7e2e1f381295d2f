import DequeModule

/// One worker's part of a pool: its idle servers and its waiting clients. Clients and servers are named by their slots in the worker.
public struct PoolQueue: Sendable {
    public typealias Slot = UInt32

    /// A place in the queue; goes up by one for each client that starts to wait.
    public typealias Ticket = UInt64

    public struct Waiter: Sendable, Equatable {
        public let client: Slot
        public let ticket: Ticket
        /// When it began to wait, in microseconds of the monotonic clock.
        public let since: Int64
    }

    /// A server that has nothing to do.
    public struct IdleServer: Sendable, Equatable {
        public let slot: Slot
        /// See `WholePool.presentGeneration`.
        public let generation: UInt32
        /// Since when it rests, in microseconds of the monotonic clock.
        public let since: Int64

        /// An idle server.
        public init(slot: Slot, generation: UInt32, since: Int64) {
            self.slot = slot
            self.generation = generation
            self.since = since
        }
    }

    /// With holes where somebody gave up, but never at the front.
    private var waiters: Deque<Waiter?> = []
    private var firstTicket: Ticket = 0
    private var idle: Deque<IdleServer> = []

    /// Clients that wait, without those that gave up.
    public private(set) var waiting = 0
    /// Take the server that has rested longest (`server_round_robin`) instead of the one that was used last.
    public var isRoundRobin = false

    public init() {}

    public var idleCount: Int { idle.count }

    /// The longest waiting client, which is served next.
    public var head: Waiter? { waiters.isEmpty ? nil : waiters[0] }

    // MARK: Clients

    /// Puts a client at the end of the queue.
    public mutating func enqueue(_ client: Slot, now: Int64) -> Ticket {
        let ticket = firstTicket + UInt64(waiters.count)
        waiters.append(Waiter(client: client, ticket: ticket, since: now))
        waiting += 1
        return ticket
    }

    /// Takes the longest waiting client out.
    public mutating func dequeue() -> Waiter? {
        guard let first = waiters.popFirst() else { return nil }
        firstTicket += 1
        waiting -= 1
        dropHoles()
        return first
    }

    /// A client does not wait any longer (it left, or its time was up).
    public mutating func withdraw(_ ticket: Ticket) {
        guard ticket >= firstTicket, ticket - firstTicket < UInt64(waiters.count) else { return }
        let index = Int(ticket - firstTicket)
        guard waiters[index] != nil else { return }
        waiters[index] = nil
        waiting -= 1
        dropHoles()
    }

    private mutating func dropHoles() {
        while !waiters.isEmpty, waiters[0] == nil {
            waiters.removeFirst()
            firstTicket += 1
        }
    }

    /// All that wait, longest first.
    public var allWaiting: [Waiter] { waiters.compactMap { $0 } }

    // MARK: Servers

    /// A server has nothing to do.
    public mutating func park(_ server: IdleServer) { idle.append(server) }

    /// Puts a server where it is taken last.
    public mutating func parkLast(_ server: IdleServer) { if isRoundRobin { idle.append(server) } else { idle.prepend(server) } }

    /// The server to use next.
    public mutating func takeIdle() -> IdleServer? { isRoundRobin ? idle.popFirst() : idle.popLast() }

    /// A server is not idle any more, for another reason than being taken. False: it was not idle.
    @discardableResult
    public mutating func remove(_ server: Slot) -> Bool {
        guard let index = idle.firstIndex(where: { $0.slot == server }) else { return false }
        idle.remove(at: index)
        return true
    }

    /// The server that has rested longest.
    public var longestIdle: IdleServer? { idle.min { $0.since < $1.since } }
}
