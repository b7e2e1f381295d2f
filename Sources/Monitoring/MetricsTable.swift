import Statistics

/// What kind of series a metric has.
public enum MetricType: String, Sendable {
    case counter, gauge, histogram
}

/// One metric: its name, type, unit and help, and where its values come from.
struct Metric: Sendable {
    /// The name as Prometheus knows it: with the unit, and `_total` for counters.
    let name: String
    let type: MetricType
    let help: String
    let values: Values

    /// Where values come from.
    enum Values: Sendable {
        /// One value for the process.
        case process(@Sendable (MonitoringSnapshot) -> Double)
        /// Values of the process with a label of their own.
        case labelled(String, @Sendable (MonitoringSnapshot) -> [(String, Double)])
        /// One value a pool.
        case pool(@Sendable (PoolStatistics) -> Double)
        /// Values of a pool with one more label.
        case poolLabelled(String, @Sendable (PoolStatistics) -> [(String, Double)])
        /// One value a database, and one a user.
        case database(@Sendable (DatabaseStatistics) -> Double)
        case user(@Sendable (UserStatistics) -> Double)
        /// Values of a pool that are known by its name.
        case reach(@Sendable (MonitoringSnapshot.Reach) -> Double)
        /// Durations of a pool: the histogram, and the sum in microseconds.
        case durations(@Sendable (PoolStatistics) -> (Histogram, Int64))
    }
}

/// Every metric there is. The text for Prometheus and the reference in docs/metrics.md come from here.
public enum MetricsTable {
    static let all: [Metric] = process + pools + limits

    private static func counter(_ name: String, _ help: String, _ values: Metric.Values) -> Metric {
        Metric(name: name, type: .counter, help: help, values: values)
    }
    private static func gauge(_ name: String, _ help: String, _ values: Metric.Values) -> Metric {
        Metric(name: name, type: .gauge, help: help, values: values)
    }
    private static func histogram(_ name: String, _ help: String, _ values: Metric.Values) -> Metric {
        Metric(name: name, type: .histogram, help: help, values: values)
    }

    private static let process: [Metric] = [
        gauge("sluice_info", "Always 1; the label is the version.", .labelled("version") { [($0.version, 1)] }),
        gauge("sluice_workers", "Threads that carry connections.", .process { Double($0.workers) }),
        gauge("sluice_draining", "1 while a shutdown waits for clients or servers.", .process { $0.isDraining ? 1 : 0 }),
        gauge("sluice_clients", "Client connections, those that are logging in included.", .process { Double($0.statistics.clients) }),
        gauge("sluice_clients_maximum", "Client connections that are allowed (max_client_conn).", .process { Double($0.maximumClients) }),
        gauge(
            "sluice_clients_logging_in", "Client connections that have not logged in yet.",
            .process { Double($0.statistics.clientsLoggingIn) }),
        gauge("sluice_servers", "Server connections.", .process { Double($0.statistics.servers) }),
        counter(
            "sluice_client_connections_total", "Client sockets that were accepted.", .process { Double($0.statistics.counters.accepted) }),
        counter(
            "sluice_login_failures_total", "Clients that were closed before they had a pool, by reason.",
            .labelled("reason") { named($0.statistics.counters.disconnects) }),
        counter(
            "sluice_tls_handshakes_total", "TLS handshakes with clients, by outcome.",
            .labelled("outcome") {
                [("succeeded", Double($0.statistics.counters.tlsHandshakes)), ("failed", Double($0.statistics.counters.tlsFailures))]
            }),
        counter(
            "sluice_cancel_requests_total", "Cancel requests that named a client.",
            .process { Double($0.statistics.counters.cancelRequests) }),
        counter("process_cpu_seconds_total", "Processor time of the process.", .process { $0.process.processorSeconds }),
        gauge("process_resident_memory_bytes", "Memory of the process.", .process { Double($0.process.residentBytes) }),
        gauge("process_open_fds", "File descriptors in use.", .process { Double($0.process.openDescriptors) }),
        gauge("process_max_fds", "File descriptors that are allowed.", .process { Double($0.process.maximumDescriptors) }),
        gauge("process_start_time_seconds", "When the process started, in seconds since 1970.", .process { $0.startTime }),
    ]

    private static let pools: [Metric] = [
        gauge(
            "sluice_pool_clients",
            "Client connections of a pool: active has a server, idle_in_transaction has one and a transaction open and asks for nothing, "
                + "waiting waits for a server, idle wants none.",
            .poolLabelled("state") {
                [
                    ("active", Double($0.gauges.clientsLinked)),
                    ("idle_in_transaction", Double($0.gauges.clientsIdleInTransaction)), ("idle", Double($0.gauges.clientsIdle)),
                    ("waiting", Double($0.gauges.clientsWaiting)),
                ]
            }),
        gauge(
            "sluice_pool_servers",
            "Server connections of a pool: active has a client or cleans up after one, used has been idle for long, tested is being checked, "
                + "canceling waits for a cancel request to pass.",
            .poolLabelled("state") {
                [
                    ("active", Double($0.gauges.serversActive)), ("idle", Double($0.gauges.serversIdle)),
                    ("used", Double($0.gauges.serversUsed)), ("tested", Double($0.gauges.serversTested)),
                    ("login", Double($0.gauges.serversLogin)), ("canceling", Double($0.gauges.serversBeingCanceled)),
                ]
            }),
        gauge("sluice_pool_size", "Server connections that a pool may have (pool_size); 0 means no limit.", .pool { Double($0.poolSize) }),
        gauge(
            "sluice_pool_reserve_size", "Further ones for clients that wait too long (reserve_pool_size).", .pool { Double($0.reserveSize) }
        ),
        gauge("sluice_pool_paused", "1 while the pool is paused.", .pool { $0.isPaused ? 1 : 0 }),
        gauge(
            "sluice_pool_longest_wait_seconds", "How long the longest waiting client has waited; 0 when nobody waits.",
            .pool { Double($0.gauges.longestWait) / 1e6 }),
        gauge("sluice_pool_connected_servers", "Server connections that are logged in.", .reach { Double($0.connected) }),
        gauge(
            "sluice_pool_login_failing", "1 while the last connect or login to a server has failed.", .reach { $0.failure == nil ? 0 : 1 }),
        histogram(
            "sluice_wait_seconds", "How long clients waited for a server, one observation for each assignment.",
            .durations { ($0.counters.waits, $0.counters.totals.waitTime) }),
        histogram(
            "sluice_query_seconds", "How long servers took to answer, without the time in the queue.",
            .durations { ($0.counters.queries, $0.counters.totals.queryTime) }),
        histogram(
            "sluice_transaction_seconds", "How long clients held a server in a transaction.",
            .durations { ($0.counters.transactions, $0.counters.totals.transactionTime) }),
        counter("sluice_logins_total", "Clients that have logged in.", .pool { Double($0.counters.totals.logins) }),
        counter("sluice_transactions_total", "Transactions that have ended.", .pool { Double($0.counters.totals.transactions) }),
        counter(
            "sluice_queries_total", "Queries, or pipelines up to a Sync, that were answered.", .pool { Double($0.counters.totals.queries) }),
        counter("sluice_received_bytes_total", "Bytes from clients to servers.", .pool { Double($0.counters.totals.bytesReceived) }),
        counter("sluice_sent_bytes_total", "Bytes from servers to clients.", .pool { Double($0.counters.totals.bytesSent) }),
        counter("sluice_client_parses_total", "Parse messages of clients.", .pool { Double($0.counters.totals.clientParses) }),
        counter(
            "sluice_server_parses_total", "Parse messages that were sent to servers.", .pool { Double($0.counters.totals.serverParses) }),
        counter("sluice_binds_total", "Bind messages.", .pool { Double($0.counters.totals.binds) }),
        counter("sluice_servers_opened_total", "Server connections that have logged in.", .pool { Double($0.counters.serversOpened) }),
        counter(
            "sluice_servers_failed_total", "Servers that could not be connected to, or refused the login.",
            .pool { Double($0.counters.openingFailures.total) }),
        counter(
            "sluice_errors_total", "Errors of servers that clients got, by SQLSTATE.",
            .poolLabelled("sqlstate") { sorted($0.counters.errors) }),
        counter(
            "sluice_client_disconnects_total", "Clients that left or were closed, by reason.",
            .poolLabelled("reason") { named($0.counters.clientDisconnects) }),
        counter(
            "sluice_server_disconnects_total", "Server connections that were closed, by reason.",
            .poolLabelled("reason") { named($0.counters.serverDisconnects) }),
    ]

    private static let limits: [Metric] = [
        gauge("sluice_database_servers", "Server connections of a database, over all its pools.", .database { Double($0.servers) }),
        gauge(
            "sluice_database_servers_maximum", "Server connections that a database may have (max_db_connections); 0 means no limit.",
            .database { Double($0.maximumServers) }),
        gauge("sluice_database_clients", "Clients of a database that are logged in.", .database { Double($0.clients) }),
        gauge(
            "sluice_database_clients_maximum", "Clients that a database may have (max_db_client_connections); 0 means no limit.",
            .database { Double($0.maximumClients) }),
        gauge("sluice_database_disabled", "1 while an operator lets nobody into the database.", .database { $0.isDisabled ? 1 : 0 }),
        gauge("sluice_user_servers", "Server connections that are logged in as a user, over all pools.", .user { Double($0.servers) }),
        gauge(
            "sluice_user_servers_maximum", "Server connections that a user may have (max_user_connections); 0 means no limit.",
            .user { Double($0.maximumServers) }),
        gauge("sluice_user_clients", "Clients of a user that are logged in.", .user { Double($0.clients) }),
        gauge(
            "sluice_user_clients_maximum", "Clients that a user may have (max_user_client_connections); 0 means no limit.",
            .user { Double($0.maximumClients) }),
    ]

    private static func named<Cause>(_ counts: CauseCounts<Cause>) -> [(String, Double)] {
        counts.occurred.map { ($0.cause.name, Double($0.count)) }
    }

    private static func sorted(_ counts: BoundedCounts) -> [(String, Double)] {
        counts.counts.sorted { $0.key < $1.key }.map { ($0.key, Double($0.value)) }
    }

    /// docs/metrics.md, written by `make docs`.
    public static func markdown() -> String {
        var text = """
            # Metrics

            Written by `make docs` from the table that also answers `/metrics`. [operating.md](operating.md) tells how to use them.

            Metrics of a pool have the labels `database` and `user`. At most \(PoolSelection.limit) pools have series of their own; all
            others are counted together as `\(PoolSelection.other)`. Limits are told for as many databases and users, those of
            these pools first. Of SQLSTATEs, too, only so many are told apart for each
            pool, the rest is `\(BoundedCounts.other)`. [Reasons](#reasons) are a fixed set. Histograms have buckets at \(bounds.count) bounds, from 64 us to 67 s, each twice
            the one before.

            | metric | type | labels | meaning |
            |---|---|---|---|

            """
        for metric in all {
            text += "| `\(metric.name)` | \(metric.type.rawValue) | \(metric.labels.joined(separator: ", ")) | \(metric.help) |\n"
        }
        return text + ReasonsTable.markdown() + ExporterMetrics.markdown()
    }

    /// Upper bounds of buckets, in microseconds: exact bounds of `Histogram`'s own buckets.
    static let bounds: [Int64] = (6...26).map { Int64(1) << Int64($0) }
}

extension Metric {
    fileprivate var labels: [String] {
        switch values {
        case .process: []
        case .labelled(let label, _): [label]
        case .pool, .reach: ["database", "user"]
        case .database: ["database"]
        case .user: ["user"]
        case .poolLabelled(let label, _): ["database", "user", label]
        case .durations: ["database", "user", "le"]
        }
    }
}
