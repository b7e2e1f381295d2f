import PoolCore

/// What WHY answers: the diagnosis in rows, then a row for each server that somebody holds.
public enum WaitReport {
    /// The columns of WHY CLIENT and WHY POOL.
    public static let columns = Column.list(
        "item:t value:t server:q client:q application_name:t state:t age_us:q transaction_us:q statement:t database:t user:t")

    /// What stands in place of a statement for those who may not see what others ask, as in pg_stat_activity.
    public static let hidden = "<insufficient privilege>"

    private static func row(_ item: String, _ value: String) -> [Cell] {
        [.text(item), .text(value)] + Array(repeating: .null, count: columns.count - 2)
    }

    private static func rows(_ holders: [ServerHolder], of pool: CapacityLedger.PoolKey?, _ rights: Rights) -> [[Cell]] {
        holders.sorted { $0.age > $1.age }.map { holder in
            let pool = holder.pool ?? pool
            return [
                .text("holder"), .null, .integer(Int64(holder.server)), holder.client.map { .integer(Int64($0)) } ?? .null,
                .optional(holder.applicationName), .text(holder.state.rawValue), .integer(holder.age), .integer(holder.transactionAge),
                .optional(holder.statement.map { rights == .admin ? $0 : hidden }), .optional(pool?.database), .optional(pool?.user),
            ]
        }
    }

    private static func rows(_ facts: WaitFacts, _ rights: Rights) -> [[Cell]] {
        rows(facts.holders, of: facts.pool, rights) + rows(facts.rivals, of: nil, rights)
    }

    /// The answer for a pool, to somebody with these rights.
    public static func pool(_ facts: WaitFacts, now: Int64, for rights: Rights) -> [[Cell]] {
        let diagnosis = WaitDiagnosis(facts)
        return [
            row("limit", diagnosis.limit.name), row("reason", diagnosis.reason), row("waiting", String(facts.waiting.count)),
            row("longest_wait", WaitDiagnosis.duration(now - (facts.waiting.first ?? now))),
            row("expected_wait", diagnosis.expectation(behind: facts.waiting.count)), row("advice", diagnosis.advice),
        ] + rows(facts, rights)
    }

    /// The answer for a client that waits since that moment of the monotonic clock, in microseconds.
    public static func waiting(_ facts: WaitFacts, since moment: Int64, now: Int64, for rights: Rights) -> [[Cell]] {
        let diagnosis = WaitDiagnosis(facts)
        let others = diagnosis.place(since: moment)
        return [
            row("limit", diagnosis.limit.name), row("reason", diagnosis.reason(behind: others)),
            row("place", "\(others + 1) of \(max(facts.waiting.count, others + 1))"), row("waited", WaitDiagnosis.duration(now - moment)),
            row("expected_wait", diagnosis.expectation(behind: others)), row("advice", diagnosis.advice),
        ] + rows(facts, rights)
    }

    /// The answer for a client that waits for nothing.
    public static func notWaiting(
        _ text: String, holder: ServerHolder?, pool: CapacityLedger.PoolKey?, for rights: Rights
    ) -> [[Cell]] {
        [row("limit", "none"), row("reason", text)] + rows(holder.map { [$0] } ?? [], of: pool, rights)
    }
}
