import LibpqLoop

/// A group of clients while it runs: who is free, and what is due.
final class GroupRun {
    let spec: ClientGroup
    let index: Int
    var clients: [Client] = []
    var measured = Measurements()
    var schedule: ArrivalSchedule
    /// When the next transaction is due, in nanoseconds after the load began.
    var nextDue: Int64?
    private var free = Queue<Client>()
    private var backlog = Queue<Int64>()

    init(_ spec: ClientGroup, index: Int, seed: UInt64) {
        self.spec = spec
        self.index = index
        schedule = ArrivalSchedule(spec.arrival, clients: spec.clients, seed: seed, stream: 1_000_000 + index)
        nextDue = schedule.next()
    }

    var backlogCount: Int { backlog.count }
    var backlogTimes: [Int64] { backlog.elements }

    /// A free client that still may take a transaction.
    func takeFree() -> Client? {
        while let client = free.popFirst() {
            if client.job == nil, spec.session.isServerless ? client.state == .offline : client.state == .idle { return client }
        }
        return nil
    }

    func addFree(_ client: Client) { free.append(client) }
    func addBacklog(_ due: Int64) { backlog.append(due) }
    func takeBacklog() -> Int64? { backlog.popFirst() }
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
