import JSON
import Statistics

/// `/status.json`, which the page reads. Times are seconds; counts are since the start, so that a reader makes rates of two of them.
enum StatusDocument {
    static func render(_ snapshot: MonitoringSnapshot, pools: [PoolStatistics], isReady: Bool, reason: String) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("version", snapshot.version)
            json.member("time", snapshot.time)
            json.member("start_time", snapshot.startTime)
            json.member("workers", snapshot.workers)
            json.member("ready", isReady)
            json.member("reason", reason)
            json.member("draining", snapshot.isDraining)
            json.member("clients", snapshot.statistics.clients)
            json.member("clients_maximum", snapshot.maximumClients)
            json.member("clients_logging_in", snapshot.statistics.clientsLoggingIn)
            json.member("servers", snapshot.statistics.servers)
            json.member("cpu_seconds", snapshot.process.processorSeconds)
            json.member("memory_bytes", Int(snapshot.process.residentBytes))
            json.key("bounds")
            json.array { json in for bound in MetricsTable.bounds { json.value(Double(bound) / 1e6) } }
            json.key("login_failures")
            counts(snapshot.statistics.counters.disconnects, &json)
            json.key("peaceful_reasons")
            json.object { json in
                json.key("client")
                peaceful(ClientCloseCause.self, &json)
                json.key("server")
                peaceful(ServerCloseCause.self, &json)
            }
            json.key("pools")
            json.array { json in
                for pool in pools {
                    let name = MonitoringSnapshot.PoolName(database: pool.database, user: pool.user)
                    render(pool, snapshot.reach[name], &json)
                }
            }
        }
        return json.bytes
    }

    private static func render(_ pool: PoolStatistics, _ reach: MonitoringSnapshot.Reach?, _ json: inout JSONWriter) {
        let totals = pool.counters.totals
        json.object { json in
            json.member("database", pool.database)
            json.member("user", pool.user)
            json.member("mode", pool.poolMode)
            json.member("size", pool.poolSize)
            json.member("reserve", pool.reserveSize)
            json.member("paused", pool.isPaused)
            json.member("failure", reach?.failure ?? "")
            json.member("active", pool.gauges.clientsLinked)
            json.member("idle", pool.gauges.clientsIdle)
            json.member("idle_in_transaction", pool.gauges.clientsIdleInTransaction)
            json.member("waiting", pool.gauges.clientsWaiting)
            json.member("servers_active", pool.gauges.serversActive)
            json.member("servers_idle", pool.gauges.serversIdle + pool.gauges.serversUsed)
            json.member("servers_other", pool.gauges.serversLogin + pool.gauges.serversTested + pool.gauges.serversBeingCanceled)
            json.member("longest_wait", Double(pool.gauges.longestWait) / 1e6)
            json.member("transactions", Int(totals.transactions))
            json.member("queries", Int(totals.queries))
            json.member("received", Int(totals.bytesReceived))
            json.member("sent", Int(totals.bytesSent))
            json.member("logins", Int(totals.logins))
            json.member("opened", Int(pool.counters.serversOpened))
            json.member("failed", Int(pool.counters.openingFailures.total))
            for (name, histogram) in [
                ("waits", pool.counters.waits), ("query_times", pool.counters.queries), ("transaction_times", pool.counters.transactions),
            ] {
                json.key(name)
                json.array { json in
                    for bound in MetricsTable.bounds { json.value(Int(histogram.count(below: bound))) }
                    json.value(Int(histogram.count))
                }
            }
            json.key("errors")
            counts(pool.counters.errors, &json)
            json.key("client_disconnects")
            counts(pool.counters.clientDisconnects, &json)
            json.key("server_disconnects")
            counts(pool.counters.serverDisconnects, &json)
            json.key("opening_failures")
            counts(pool.counters.openingFailures, &json)
        }
    }

    private static func counts(_ counts: BoundedCounts, _ json: inout JSONWriter) {
        json.object { json in
            for (name, count) in counts.counts.sorted(by: { $0.key < $1.key }) { json.member(name, Int(count)) }
        }
    }

    private static func counts<Cause>(_ counts: CauseCounts<Cause>, _ json: inout JSONWriter) {
        json.object { json in
            for (cause, count) in counts.occurred { json.member(cause.name, Int(count)) }
        }
    }

    /// The reasons that are none to worry, for the page to sort by.
    private static func peaceful<Cause: CloseCause>(_ causes: Cause.Type, _ json: inout JSONWriter) {
        json.array { json in
            for cause in causes.allCases where !cause.isError { json.value(cause.name) }
        }
    }
}
