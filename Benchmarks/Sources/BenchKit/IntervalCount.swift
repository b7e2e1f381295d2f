/// What happened since the last line of progress.
struct IntervalCount {
    var succeeded = 0
    var failed = 0
    var latency = Measurements.empty

    mutating func add(latency nanoseconds: Int64, failed: Bool) {
        if failed {
            self.failed += 1
        } else {
            succeeded += 1
            latency.record(UInt64(min(max(0, nanoseconds / 1000), 3_600_000_000)))
        }
    }
}

/// One second of the window, by when transactions were due.
public struct SecondCount: Codable, Sendable, Equatable {
    public var due = 0
    public var failed = 0
    /// Answered without an error, in time.
    public var served = 0

    public init() {}
    public init(due: Int, failed: Int, served: Int) { (self.due, self.failed, self.served) = (due, failed, served) }
}
