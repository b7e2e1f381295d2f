import PoolCore

/// What WHY answers: the diagnosis in rows, then a row for each server that somebody holds.
public enum WaitReport {
    /// The columns of WHY CLIENT and WHY POOL.
    public static let columns = Column.list(
        "item:t value:t server:q client:q application_name:t state:t age_us:q transaction_us:q statement:t")

    private static func row(_ item: String, _ value: String) -> [Cell] {
        [.text(item), .text(value)] + Array(repeating: .null, count: columns.count - 2)
    }

    private static func rows(_ holders: [ServerHolder]) -> [[Cell]] {
        holders.sorted { $0.age > $1.age }.map { holder in
            [
                .text("holder"), .null, .integer(Int64(holder.server)), holder.client.map { .integer(Int64($0)) } ?? .null,
                .optional(holder.applicationName), .text(holder.state.rawValue), .integer(holder.age), .integer(holder.transactionAge),
                .optional(holder.statement),
            ]
        }
    }

    /// The answer for a pool.
    public static func pool(_ facts: WaitFacts, now: Int64) -> [[Cell]] {
        let diagnosis = WaitDiagnosis(facts)
        var rows = [
            row("limit", diagnosis.limit.name), row("reason", diagnosis.reason), row("waiting", String(facts.waiting.count)),
            row("longest_wait", WaitDiagnosis.duration(now - (facts.waiting.first ?? now))),
        ]
        if let wait = diagnosis.expectedWait(behind: facts.waiting.count) {
            rows.append(row("expected_wait", WaitDiagnosis.duration(wait)))
        }
        rows.append(row("advice", diagnosis.advice))
        return rows + Self.rows(facts.holders)
    }

    /// The answer for a client that waits since that moment of the monotonic clock, in microseconds.
    public static func waiting(_ facts: WaitFacts, since moment: Int64, now: Int64) -> [[Cell]] {
        let diagnosis = WaitDiagnosis(facts)
        let others = diagnosis.place(since: moment)
        var rows = [
            row("limit", diagnosis.limit.name), row("reason", diagnosis.reason(behind: others)),
            row("place", "\(others + 1) of \(max(facts.waiting.count, others + 1))"), row("waited", WaitDiagnosis.duration(now - moment)),
        ]
        if let wait = diagnosis.expectedWait(behind: others) { rows.append(row("expected_wait", WaitDiagnosis.duration(wait))) }
        rows.append(row("advice", diagnosis.advice))
        return rows + Self.rows(facts.holders)
    }

    /// The answer for a client that waits for nothing.
    public static func notWaiting(_ text: String, holder: ServerHolder?) -> [[Cell]] {
        [row("limit", "none"), row("reason", text)] + rows(holder.map { [$0] } ?? [])
    }
}
