/// So many events a second, and no more: those of the last second are counted, in parts of a tenth.
public struct RateLimit: Sendable {
    private static let parts: Int64 = 10
    private static let part: Int64 = 100_000

    private let limit: Int
    private var counts = [Int](repeating: 0, count: Int(parts))
    private var present: Int64 = 0

    /// At most `limit` events in a second.
    public init(perSecond limit: Int) { self.limit = limit }

    /// Counts one more event, if there is room for it. The time is in microseconds, of a clock that never goes back.
    public mutating func take(now: Int64) -> Bool {
        let part = now / Self.part
        while present < part {
            present = max(present + 1, part - Self.parts)
            counts[Int(present % Self.parts)] = 0
        }
        guard counts.reduce(0, +) < limit else { return false }
        counts[Int(present % Self.parts)] += 1
        return true
    }
}
