import Bytes
import Statistics

/// The names of pgbouncer_exporter (prometheus-community, 0.11), for dashboards and alerts that know them: `metrics_names = pgbouncer`.
///
/// The exporter reads SHOW topics of the console and calls each column a metric, so this is a table of columns. Labels are those of the
/// exporter, in its spelling. What a topic's rows are is what the console shows, bounded as Sluice's own series are.
enum ExporterMetrics {
    /// One family: the exporter's name, the column that it is, and the value.
    struct Family<Row>: Sendable {
        let name: String
        let type: MetricType
        let column: String
        let value: @Sendable (Row) -> Double
    }

    /// All of one database, as SHOW STATS_TOTALS has it.
    struct DatabaseTotals: Sendable {
        let name: String
        var totals: PoolTotals
    }

    // MARK: The table

    static let databaseLabels = ["name", "host", "port", "database", "force_user", "pool_mode"]

    static let databases: [Family<DatabaseStatistics>] = [
        gauge("pgbouncer_databases_pool_size", "DATABASES.pool_size") { Double($0.poolSize) },
        gauge("pgbouncer_databases_reserve_pool", "DATABASES.reserve_pool_size") { Double($0.reserveSize) },
        gauge("pgbouncer_databases_max_connections", "DATABASES.max_connections") { Double($0.maximumServers) },
        gauge("pgbouncer_databases_current_connections", "DATABASES.current_connections") { Double($0.servers) },
        gauge("pgbouncer_databases_paused", "DATABASES.paused") { $0.isPaused ? 1 : 0 },
        gauge("pgbouncer_databases_disabled", "DATABASES.disabled") { $0.isDisabled ? 1 : 0 },
    ]

    private static let totals: [Family<DatabaseTotals>] = [
        counter("queries_pooled_total", "query_count") { Double($0.totals.queries) },
        counter("queries_duration_seconds_total", "query_time") { Double($0.totals.queryTime) / 1e6 },
        counter("received_bytes_total", "bytes_received") { Double($0.totals.bytesReceived) },
        counter("sent_bytes_total", "bytes_sent") { Double($0.totals.bytesSent) },
        counter("client_wait_seconds_total", "wait_time") { Double($0.totals.waitTime) / 1e6 },
        counter("sql_transactions_pooled_total", "xact_count") { Double($0.totals.transactions) },
        counter("server_in_transaction_seconds_total", "xact_time") { Double($0.totals.transactionTime) / 1e6 },
    ]
    private static let prepared: [Family<DatabaseTotals>] = [
        counter("client_parses_total", "client_parse_count") { Double($0.totals.clientParses) },
        counter("server_parses_total", "server_parse_count") { Double($0.totals.serverParses) },
        counter("binds_total", "bind_count") { Double($0.totals.binds) },
    ]

    /// Under the name that the exporter gives them since it reads STATS_TOTALS, and under the one before, which most dashboards have.
    static let statistics: [Family<DatabaseTotals>] =
        (totals + prepared).map { renamed($0, "pgbouncer_stats_totals_") } + totals.map { renamed($0, "pgbouncer_stats_") }

    static let pools: [Family<PoolStatistics>] = [
        gauge("pgbouncer_pools_client_active_connections", "POOLS.cl_active") { Double($0.gauges.activeClients) },
        gauge("pgbouncer_pools_client_active_cancel_connections", "POOLS.cl_active_cancel_req") { Double($0.gauges.cancelRequests) },
        gauge("pgbouncer_pools_client_waiting_connections", "POOLS.cl_waiting") { Double($0.gauges.clientsWaiting) },
        gauge("pgbouncer_pools_client_waiting_cancel_connections", "POOLS.cl_waiting_cancel_req") {
            Double($0.gauges.cancelRequestsWaiting)
        },
        gauge("pgbouncer_pools_server_active_connections", "POOLS.sv_active") { Double($0.gauges.serversActive) },
        gauge("pgbouncer_pools_server_active_cancel_connections", "POOLS.sv_active_cancel") { Double($0.gauges.serversCanceling) },
        gauge("pgbouncer_pools_server_being_canceled_connections", "POOLS.sv_being_canceled") {
            Double($0.gauges.serversBeingCanceled)
        },
        gauge("pgbouncer_pools_server_idle_connections", "POOLS.sv_idle") { Double($0.gauges.serversIdle) },
        gauge("pgbouncer_pools_server_used_connections", "POOLS.sv_used") { Double($0.gauges.serversUsed) },
        gauge("pgbouncer_pools_server_testing_connections", "POOLS.sv_tested") { Double($0.gauges.serversTested) },
        gauge("pgbouncer_pools_server_login_connections", "POOLS.sv_login") { Double($0.gauges.serversLogin) },
        // Whole seconds, for that is what the column has.
        gauge("pgbouncer_pools_client_maxwait_seconds", "POOLS.maxwait") { Double($0.gauges.longestWait / 1_000_000) },
    ]

    static let process: [Family<MonitoringSnapshot>] =
        [
            ("databases", "databases"), ("users", "users"), ("pools", "pools"), ("free_clients", "free_clients"),
            ("used_clients", "used_clients"), ("login_clients", "login_clients"), ("free_servers", "free_servers"),
            ("used_servers", "used_servers"), ("cached_dns_names", "dns_names"), ("cached_dns_zones", "dns_zones"),
            ("in_flight_dns_queries", "dns_queries"),
        ].map { name, list in
            gauge("pgbouncer_\(name)", "LISTS.\(list)") { snapshot in Double(snapshot.lists.first { $0.name == list }?.count ?? 0) }
        } + [
            gauge("pgbouncer_config_max_client_connections", "CONFIG.max_client_conn") { Double($0.maximumClients) },
            gauge("pgbouncer_config_max_user_connections", "CONFIG.max_user_connections") { Double($0.maximumUserServers) },
            gauge("pgbouncer_up", "always 1") { _ in 1 },
            counter("pgbouncer_process_cpu_seconds_total", "the process") { $0.process.processorSeconds },
            gauge("pgbouncer_process_resident_memory_bytes", "the process") { Double($0.process.residentBytes) },
            gauge("pgbouncer_process_open_fds", "the process") { Double($0.process.openDescriptors) },
            gauge("pgbouncer_process_max_fds", "the process") { Double($0.process.maximumDescriptors) },
            gauge("pgbouncer_process_start_time_seconds", "the process") { $0.startTime },
        ]

    static let version = Family<MonitoringSnapshot>(
        name: "pgbouncer_version_info", type: .gauge, column: "VERSION.version", value: { _ in 1 })

    private static func gauge<Row>(_ name: String, _ column: String, _ value: @escaping @Sendable (Row) -> Double) -> Family<Row> {
        Family(name: name, type: .gauge, column: column, value: value)
    }
    private static func counter<Row>(_ name: String, _ column: String, _ value: @escaping @Sendable (Row) -> Double) -> Family<Row> {
        Family(name: name, type: .counter, column: column, value: value)
    }
    private static func renamed<Row>(_ family: Family<Row>, _ prefix: String) -> Family<Row> {
        Family(name: prefix + family.name, type: family.type, column: "STATS_TOTALS.\(family.column)", value: family.value)
    }

    // MARK: Rows

    static func labels(_ database: DatabaseStatistics) -> [String] {
        [
            database.name, database.host ?? "", String(database.port), database.serverName, database.forcedUser ?? "",
            database.poolMode ?? "",
        ]
    }

    /// The pools that have series, and the console's, added up by database.
    static func databaseTotals(_ pools: [PoolStatistics]) -> [DatabaseTotals] {
        var result: [DatabaseTotals] = []
        for pool in pools {
            // Pools are sorted by database.
            if result.last.map({ $0.name.hasSameBytes(as: pool.database) }) != true {
                result.append(DatabaseTotals(name: pool.database, totals: PoolTotals()))
            }
            result[result.count - 1].totals += pool.counters.totals
        }
        return result
    }

    // MARK: Documents

    private static var lines: [(name: String, type: MetricType, labels: [String], source: String)] {
        process.map { ($0.name, $0.type, [], $0.column) } + [(version.name, version.type, ["version"], version.column)]
            + databases.map { ($0.name, $0.type, databaseLabels, $0.column) }
            + statistics.map { ($0.name, $0.type, ["database"], $0.column) }
            + pools.map { ($0.name, $0.type, ["database", "user"], $0.column) }
    }

    /// The part of docs/metrics.md about these names.
    static func markdown() -> String {
        var text = """

            ## The names of pgbouncer_exporter

            With `metrics_names = pgbouncer`, `/metrics` serves the names of prometheus-community's pgbouncer_exporter as well, so dashboards and
            alerts that were made for it go on working: let Prometheus scrape `metrics_listen` in place of the exporter. Each is a column of a SHOW
            topic of the console, times in seconds. Counters of databases have both names that they had in the exporter: `pgbouncer_stats_` until it
            read STATS_TOTALS (2025), `pgbouncer_stats_totals_` since. What the exporter says of itself (`go_*`, `promhttp_*`,
            `pgbouncer_exporter_build_info`) is not there, and neither is `pgbouncer_stats_queries_total`, whose column PgBouncer 1.8 removed.

            | metric | type | labels | column |
            |---|---|---|---|

            """
        for line in lines {
            text += "| `\(line.name)` | \(line.type.rawValue) | \(line.labels.joined(separator: ", ")) | \(line.source) |\n"
        }
        return text
    }
}
