import Histogram

/// What a group of clients experienced. All times are in microseconds.
public struct Measurements: Sendable {
    public typealias Times = Histogram<UInt64>

    /// From when the transaction was due to its last answer. Where arrivals are open this is free of coordinated omission: a
    /// transaction that could not even be sent, because everybody waited for an answer, is late from its due time on.
    public var latency = Measurements.empty
    /// From sending to the last answer: what a client without a queue of its own sees.
    public var service = Measurements.empty
    /// From sending to the moment the server received it: time in the pooler's queue and on the way.
    public var wait = Measurements.empty
    /// From due to sent: the queue before the load generator's clients, and its own lateness.
    public var lateness = Measurements.empty
    /// From connect() to the end of the login.
    public var login = Measurements.empty

    public var succeeded = 0
    public var failed = 0
    /// Due in the window, and still unanswered when the run ended. They stand in `latency` with their age.
    public var unanswered = 0
    /// Successes that ended inside the window, whenever they were due: what the CPU of the window was spent for.
    public var succeededInside = 0
    public var errors: [String: Int] = [:]
    /// One message for each SQLSTATE, the first.
    public var messages: [String: String] = [:]

    public init() {}

    static var empty: Times { Times(highestTrackableValue: 3_600_000_000, numberOfSignificantValueDigits: .three) }

    /// A transaction that went well. All arguments in nanoseconds of one clock; `wait` in microseconds.
    public mutating func succeed(due: Int64, sent: Int64, done: Int64, wait started: Double?) {
        succeeded += 1
        Self.record(done - due, in: &latency)
        Self.record(done - sent, in: &service)
        Self.record(sent - due, in: &lateness)
        if let started { wait.record(UInt64(min(max(0, started), 3.6e9))) }
    }

    public mutating func fail(_ sqlState: String, _ message: String) {
        failed += 1
        note(sqlState, message)
    }

    /// Counts an error without a transaction: a connection that could not be made, for example.
    public mutating func note(_ sqlState: String, _ message: String) {
        errors[sqlState, default: 0] += 1
        if messages[sqlState] == nil { messages[sqlState] = message }
    }

    /// A transaction that was due at `due`, and nobody knows when it will be answered.
    public mutating func giveUp(due: Int64, now: Int64) {
        unanswered += 1
        age(due: due, now: now)
    }

    /// Whoever was not answered in time waited for at least that long: leaving it out would make a target look fast for giving no
    /// answer at all.
    public mutating func age(due: Int64, now: Int64) { Self.record(now - due, in: &latency) }

    public mutating func logIn(started: Int64, done: Int64) { Self.record(done - started, in: &login) }

    private static func record(_ nanoseconds: Int64, in times: inout Times) {
        times.record(UInt64(min(max(0, nanoseconds) / 1000, 3_600_000_000)))
    }

    public mutating func add(_ other: Measurements) {
        latency.add(other.latency)
        service.add(other.service)
        wait.add(other.wait)
        lateness.add(other.lateness)
        login.add(other.login)
        succeeded += other.succeeded
        failed += other.failed
        unanswered += other.unanswered
        succeededInside += other.succeededInside
        errors.merge(other.errors, uniquingKeysWith: +)
        messages.merge(other.messages) { old, _ in old }
    }
}

/// p50 to max of a histogram, in microseconds.
public struct Percentiles: Codable, Sendable, Equatable {
    public var count: Int
    public var p50: Double
    public var p95: Double
    public var p99: Double
    public var p999: Double
    public var max: Double
    /// For charts: value at 0, 50, 90, 99 ... percent and between.
    public var curve: [[Double]]

    static let shares: [Double] = [0, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.9, 99.95, 99.99, 100]

    public init?(_ times: Measurements.Times) {
        guard times.totalCount > 0 else { return nil }
        count = Int(times.totalCount)
        let largest = Double(times.maxRecorded)
        // The histogram answers with the upper end of a bucket, which may lie above all values.
        func value(_ percent: Double) -> Double {
            percent == 0 ? Double(times.min) : Swift.min(Double(times.valueAtPercentile(percent)), largest)
        }
        p50 = value(50)
        p95 = value(95)
        p99 = value(99)
        p999 = value(99.9)
        max = largest
        curve = Self.shares.map { [$0, value($0)] }
    }
}
