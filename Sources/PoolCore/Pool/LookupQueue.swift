import DequeModule

/// A question of `auth_query` and who waits for the answer.
public struct PendingLookup: Sendable {
    public var lookup: UserLookup
    public let query: String
    /// The client that waits: its worker, its slot there, and its id, for the slot may be somebody else's by the time of the answer.
    public let worker: Int
    public let client: UInt32
    public let clientID: UInt64
    /// Since when the client waits for it.
    public let since: Int64
    /// The first server died before it answered.
    public private(set) var isRepeated = false

    /// A question that nobody has been asked.
    public init(user: String, query: String, worker: Int, client: UInt32, clientID: UInt64, since: Int64) {
        lookup = UserLookup(user: user)
        self.query = query
        self.worker = worker
        self.client = client
        self.clientID = clientID
        self.since = since
    }

    /// The same question for another server, since the first one is gone; nil if it has been asked again before.
    public var repeated: PendingLookup? {
        guard !isRepeated else { return nil }
        var again = self
        again.lookup = UserLookup(user: lookup.user)
        again.isRepeated = true
        return again
    }
}

/// Questions of `auth_query` that wait for a server, in the order in which they were asked.
public struct LookupQueue: Sendable {
    private var waiting: Deque<PendingLookup> = []

    public var isEmpty: Bool { waiting.isEmpty }
    public var count: Int { waiting.count }

    mutating func append(_ lookup: PendingLookup) { waiting.append(lookup) }

    mutating func popFirst() -> PendingLookup? { waiting.popFirst() }

    /// Takes those out for which there is an answer.
    mutating func take<Answer>(_ answer: (PendingLookup) -> Answer?) -> [(PendingLookup, Answer)] {
        var taken: [(PendingLookup, Answer)] = []
        var left: Deque<PendingLookup> = []
        for lookup in waiting {
            if let answer = answer(lookup) { taken.append((lookup, answer)) } else { left.append(lookup) }
        }
        waiting = left
        return taken
    }
}
