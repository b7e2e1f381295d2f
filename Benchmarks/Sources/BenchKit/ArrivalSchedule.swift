/// The times at which transactions are due, in nanoseconds after the load began; endless, and the same for the same seed.
public struct ArrivalSchedule: Sequence, IteratorProtocol {
    private let arrival: Arrival
    private let clients: Int
    private var random: SeededRandom
    /// Exact seconds of the last one, so that rounding does not add up.
    private var time = 0.0
    private var count = 0
    /// The rest of the storm in progress, latest first.
    private var storm: [Double] = []

    public init(_ arrival: Arrival, clients: Int, seed: UInt64, stream: Int = 0) {
        self.arrival = arrival
        self.clients = clients
        random = SeededRandom(seed: seed, stream: stream)
    }

    public mutating func next() -> Int64? {
        switch arrival {
        case .closed: return nil
        case .once(let at):
            count += 1
            return count <= clients ? Self.nanoseconds(at) : nil
        case .open(let rate, .even):
            count += 1
            return Self.nanoseconds(Double(count) / rate)
        case .open(let rate, .poisson):
            time -= (1 - random.fraction()).logarithm / rate
            return Self.nanoseconds(time)
        case .storms(let size, let every, let within):
            if storm.isEmpty {
                storm = (0..<size).map { _ in time + random.fraction() * within }.sorted(by: >)
                time += every
            }
            return Self.nanoseconds(storm.removeLast())
        }
    }

    private static func nanoseconds(_ seconds: Double) -> Int64 { Int64(seconds * 1e9) }
}
