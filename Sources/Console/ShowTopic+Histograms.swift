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
    /// (`server`) were closed, or could not be opened.
    @Sendable static func errors(_ facts: ConsoleFacts) -> [[Cell]] {
        func row(_ database: String, _ user: String, _ kind: String, _ reason: String, _ count: Int64, isError: Bool) -> [Cell] {
            [.text(database), .text(user), .text(kind), .text(reason), .integer(count), .integer(isError ? 1 : 0)]
        }
        func rows<Cause>(_ database: String, _ user: String, _ kind: String, _ counts: CauseCounts<Cause>) -> [[Cell]] {
            counts.occurred.map { row(database, user, kind, $0.cause.name, $0.count, isError: $0.cause.isError) }
        }
        return rows("", "", "login", facts.statistics.counters.disconnects)
            + facts.statistics.pools.flatMap { pool in
                let counters = pool.counters
                return counters.errors.counts.sorted { $0.key < $1.key }.map {
                    row(pool.database, pool.user, "sqlstate", $0.key, $0.value, isError: true)
                }
                    + rows(pool.database, pool.user, "client", counters.clientDisconnects)
                    + rows(pool.database, pool.user, "server", counters.serverDisconnects + counters.openingFailures)
            }
    }
}
