import EventLoop

/// Connections whose handshakes of TLS take turns: one step of a handshake costs as much as dozens of queries.
struct HandshakeQueue {
    /// How long handshakes may take in one turn (microseconds) before the others, and queries of the next turn, get theirs.
    static let share: Int64 = 300

    /// Tokens of those that wait, in the order in which they came.
    private var waiting: [UInt32] = []
    /// How long handshakes have taken in this turn.
    private var time: Int64 = 0
    /// Those that wait are being served.
    private var isServing = false

    var isEmpty: Bool { waiting.isEmpty }
    /// Whether a handshake may go on now.
    var mayGoOn: Bool { time < Self.share && (isServing || waiting.isEmpty) }

    mutating func beginTurn() { time = 0 }
    mutating func postpone(_ token: UInt32) { waiting.append(token) }
    mutating func took(_ time: Int64) { self.time += time }

    /// Those that are to be served now: `next` gives one after the other, as long as there is time. `endServing` follows.
    mutating func beginServing() { isServing = true }
    mutating func next() -> UInt32? {
        guard served < waiting.count, time < Self.share else { return nil }
        served += 1
        return waiting[served - 1]
    }
    mutating func endServing() {
        waiting.removeFirst(served)
        served = 0
        isServing = false
    }
    private var served = 0
}
