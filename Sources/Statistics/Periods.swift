/// The clock of `stats_period`: when the present period began, and how long the one before was. Times are microseconds.
public struct PeriodClock: Sendable {
    private var start: Int64?
    /// 0 for the first period.
    private var lastLength: Int64 = 0

    /// A clock that has not begun.
    public init() {}

    /// The time is told. Returns the length of the period that has just ended, if one has.
    public mutating func advance(to now: Int64, period: Int64) -> Int64? {
        guard let start else {
            self.start = now
            return nil
        }
        let length = now - start
        guard length >= period else { return nil }
        self.start = now
        lastLength = length
        return length
    }

    /// How long the last whole period was, and what has passed since.
    public func recent(at now: Int64) -> Int64 { start.map { lastLength + now - $0 } ?? 0 }
}

/// What was counted in the last whole period, and where the counts stood when it ended.
public struct PeriodTally: Sendable {
    /// The last whole period.
    public private(set) var last = PeriodTotals()
    private var countedBefore: PoolTotals

    /// `countedBefore`: counts of a time that is of no interest.
    public init(countedBefore: PoolTotals = PoolTotals()) { self.countedBefore = countedBefore }

    /// A period of this length has ended.
    public mutating func end(_ totals: PoolTotals, length: Int64) {
        last = PeriodTotals(totals: totals - countedBefore, duration: length)
        countedBefore = totals
    }

    /// What was counted in the last whole period and since, in `duration` (`PeriodClock.recent`).
    public func recent(_ totals: PoolTotals, duration: Int64) -> PeriodTotals {
        var sum = totals - countedBefore
        sum += last.totals
        return PeriodTotals(totals: sum, duration: duration)
    }
}
