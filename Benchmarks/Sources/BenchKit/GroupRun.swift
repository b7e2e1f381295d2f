import LibpqLoop

/// A group of clients while it runs: who is free, and what is due.
final class GroupRun {
    let spec: ClientGroup
    let index: Int
    var clients: [Client] = []
    var measured = Measurements()
    /// The next transaction, due in nanoseconds after the load began; nil when no other will come.
    private(set) var next: Due?
    private var schedule: ArrivalSchedule
    private let arrivalSeed: UInt64
    private let clientSeed: UInt64
    private var free = Queue<Client>()
    private var backlog = Queue<Due>()

    /// A transaction of open arrivals.
    struct Due {
        var time: Int64
        /// Counts the group's arrivals, from 0.
        let number: Int
    }

    init(_ spec: ClientGroup, index: Int, seed: UInt64) {
        self.spec = spec
        self.index = index
        schedule = ArrivalSchedule(spec.arrival, clients: spec.clients, seed: seed, stream: 1_000_000 + index)
        arrivalSeed = SeededRandom.seed(seed, stream: 3_000_000 + index)
        clientSeed = SeededRandom.seed(seed, stream: 4_000_000 + index)
        next = schedule.next().map { Due(time: $0, number: 0) }
    }

    /// Goes on to the transaction after `next`.
    func advance() { next = schedule.next().map { Due(time: $0, number: (next?.number ?? 0) + 1) } }

    /// What arrival `number` asks depends on this alone, whichever client is free to ask it.
    func random(ofArrival number: Int) -> SeededRandom { SeededRandom(seed: arrivalSeed, stream: number) }

    /// What a client of closed arrivals asks as its question `number`.
    func random(ofClient client: Int, question number: Int) -> SeededRandom {
        SeededRandom(seed: SeededRandom.seed(clientSeed, stream: client), stream: number)
    }

    var backlogCount: Int { backlog.count }
    var backlogTimes: [Int64] { backlog.elements.map(\.time) }

    /// A free client that still may take a transaction.
    func takeFree() -> Client? {
        while let client = free.popFirst() {
            client.isListedAsFree = false
            if client.job == nil, spec.session.isServerless ? client.state == .offline : client.state == .idle { return client }
        }
        return nil
    }

    func addFree(_ client: Client) {
        guard !client.isListedAsFree else { return }
        client.isListedAsFree = true
        free.append(client)
    }

    func addBacklog(_ due: Due) { backlog.append(due) }
    func takeBacklog() -> Due? { backlog.popFirst() }
}

/// First in, first out, in constant time.
struct Queue<Element> {
    private var storage: [Element] = []
    private var head = 0

    var count: Int { storage.count - head }
    var elements: [Element] { Array(storage[head...]) }

    mutating func append(_ element: Element) { storage.append(element) }

    mutating func popFirst() -> Element? {
        guard head < storage.count else { return nil }
        let element = storage[head]
        head += 1
        if head >= 1024, head * 2 >= storage.count {
            storage.removeFirst(head)
            head = 0
        }
        return element
    }
}
