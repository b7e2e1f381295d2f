import Statistics

/// Which databases and users have series for their limits. Clients can make databases from `*`, and a user list may be long; nobody can
/// make a monitoring system drown in series.
enum LimitSelection {
    /// Databases, and users, that are told of.
    static let limit = PoolSelection.limit

    /// Those with connections first, as they were sorted.
    static func databases(_ all: [DatabaseStatistics]) -> [DatabaseStatistics] {
        bounded(all) { $0.servers + $0.clients > 0 }
    }

    /// Only users who have connections or a limit.
    static func users(_ all: [UserStatistics]) -> [UserStatistics] {
        let busy = all.filter { $0.servers + $0.clients > 0 || $0.maximumServers + $0.maximumClients > 0 }
        return bounded(busy) { $0.servers + $0.clients > 0 }
    }

    private static func bounded<Element>(_ all: [Element], first: (Element) -> Bool) -> [Element] {
        guard all.count > limit else { return all }
        return Array((all.filter(first) + all.filter { !first($0) }).prefix(limit))
    }
}
