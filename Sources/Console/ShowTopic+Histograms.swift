import Statistics

/// HISTOGRAMS and ERRORS, which PgBouncer does not have: what percentiles and error rates are made of.
extension ShowTopic {
    static let histogramColumns = "database:t user:t kind:t from_us:q to_us:q count:q"
    static let errorColumns = "database:t user:t kind:t reason:t count:q is_error:i"

    /// A row for each bucket that is not empty. The bounds are in microseconds; a duration is not shorter than `from_us` and shorter
    /// than `to_us`.
    @Sendable static func histograms(_ facts: ConsoleFacts) -> [[Cell]] {
        facts.statistics.pools.flatMap { pool in
            [("wait", pool.counters.waits), ("query", pool.counters.queries), ("transaction", pool.counters.transactions)]
                .flatMap { kind, histogram in
                    (0..<Histogram.bucketCount).compactMap { bucket in
                        guard histogram[bucket] > 0 else { return nil }
                        return [
                            .text(pool.database), .text(pool.user), .text(kind), .integer(Histogram.lowerBound(of: bucket)),
                            .integer(Histogram.lowerBound(of: bucket + 1)), .integer(histogram[bucket]),
                        ]
                    }
                }
        }
    }

    /// What clients got from servers (kind `sqlstate`), why clients (`client`, and `login` before they had a pool) and servers
    /// (`server`) were closed.
    @Sendable static func errors(_ facts: ConsoleFacts) -> [[Cell]] {
        func rows(_ database: String, _ user: String, _ kind: String, _ counts: BoundedCounts, isError: (String) -> Bool) -> [[Cell]] {
            counts.counts.sorted { $0.key < $1.key }.map { reason, count in
                [
                    .text(database), .text(user), .text(kind), .text(reason), .integer(count), .integer(isError(reason) ? 1 : 0),
                ]
            }
        }
        return rows("", "", "login", facts.statistics.counters.disconnects) { !farewells.contains($0) }
            + facts.statistics.pools.flatMap { pool in
                rows(pool.database, pool.user, "sqlstate", pool.counters.errors) { _ in true }
                    + rows(pool.database, pool.user, "client", pool.counters.clientDisconnects) { !farewells.contains($0) }
                    + rows(pool.database, pool.user, "server", pool.counters.serverDisconnects) {
                        $0 == "server conn crashed?" || $0 == "protocol violation"
                    }
                    + opened(pool)
            }
    }

    /// Servers that never came: these have no reason to be closed for.
    private static func opened(_ pool: PoolStatistics) -> [[Cell]] {
        let failed = pool.counters.serversFailed
        guard failed > 0 else { return [] }
        return [[.text(pool.database), .text(pool.user), .text("server"), .text("connect or login failed"), .integer(failed), .integer(1)]]
    }

    /// How clients leave by themselves, and how the connection of a cancel request ends.
    private static let farewells: Set<String> = ["client close request", "client unexpected eof", "cancel request done"]
}
