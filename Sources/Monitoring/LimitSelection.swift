import Bytes
import Statistics

/// Which databases and users have series for their limits. Clients can make databases from `*`, and a user list may be long; nobody can
/// make a monitoring system drown in series.
enum LimitSelection {
    /// Databases, and users, that are told of.
    static let limit = PoolSelection.limit

    /// Those of the pools that have series of their own come first, then those with connections, as they were sorted.
    static func databases(_ all: [DatabaseStatistics], of pools: [PoolStatistics]) -> [DatabaseStatistics] {
        let shown = NameSet(pools.map(\.database))
        return bounded(all) { shown.contains($0.name) ? 0 : $0.servers + $0.clients > 0 ? 1 : 2 }
    }

    /// Only users who have connections or a limit.
    static func users(_ all: [UserStatistics], of pools: [PoolStatistics]) -> [UserStatistics] {
        let shown = NameSet(pools.map(\.user))
        let busy = all.filter { $0.servers + $0.clients > 0 || $0.maximumServers + $0.maximumClients > 0 }
        return bounded(busy) { shown.contains($0.name) ? 0 : $0.servers + $0.clients > 0 ? 1 : 2 }
    }

    /// The lower ranks first, from 0 to 2.
    private static func bounded<Element>(_ all: [Element], rank: (Element) -> Int) -> [Element] {
        guard all.count > limit else { return all }
        return Array((0...2).flatMap { wanted in all.filter { rank($0) == wanted } }.prefix(limit))
    }
}
