import Statistics

/// Keeps the number of series within bounds: so many pools are told apart, first come, first served, and the rest is one pool.
///
/// Counters never go back, even where a pool of the rest is forgotten or begins anew: what it had counted stays in the sum.
struct PoolSelection {
    /// Pools with series of their own.
    static let limit = 200
    /// What database and user of the rest are called.
    static let other = "(other)"

    private var known: Set<MonitoringSnapshot.PoolName> = []
    /// The pools of the rest as they were last seen.
    private var lastSeen: [MonitoringSnapshot.PoolName: PoolCounters] = [:]
    /// What pools of the rest had counted that are gone.
    private var retired = PoolCounters()

    private static func hasBegunAnew(_ now: PoolTotals, since before: PoolTotals) -> Bool {
        now.logins < before.logins || now.transactions < before.transactions || now.queries < before.queries
            || now.bytesReceived < before.bytesReceived
    }

    /// The pools to be shown.
    mutating func select(_ pools: [PoolStatistics]) -> [PoolStatistics] {
        let names = Set(pools.map { MonitoringSnapshot.PoolName(database: $0.database, user: $0.user) })
        // A place is free again once its pool is gone.
        known.formIntersection(names)
        var shown: [PoolStatistics] = []
        var seen: [MonitoringSnapshot.PoolName: PoolCounters] = [:]
        var rest: PoolStatistics?
        for pool in pools {
            let name = MonitoringSnapshot.PoolName(database: pool.database, user: pool.user)
            // Who has been counted with the rest stays there, else the sum would go back.
            if known.contains(name) || (known.count < Self.limit && lastSeen[name] == nil) {
                known.insert(name)
                shown.append(pool)
                continue
            }
            if let before = lastSeen[name], Self.hasBegunAnew(pool.counters.totals, since: before.totals) { retired += before }
            seen[name] = pool.counters
            if rest == nil {
                rest = PoolStatistics(
                    database: Self.other, user: Self.other, counters: PoolCounters(), period: PeriodTotals(), gauges: PoolGauges(),
                    poolMode: "")
            }
            rest? += pool
            rest?.poolSize += pool.poolSize
            rest?.reserveSize += pool.reserveSize
        }
        for (name, counters) in lastSeen where seen[name] == nil { retired += counters }
        lastSeen = seen
        if rest == nil, retired.totals != PoolTotals() {
            rest = PoolStatistics(
                database: Self.other, user: Self.other, counters: PoolCounters(), period: PeriodTotals(), gauges: PoolGauges(), poolMode: ""
            )
        }
        rest?.counters += retired
        return shown + (rest.map { [$0] } ?? [])
    }
}
