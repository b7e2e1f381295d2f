import Statistics
import Testing

@testable import Monitoring

@Suite struct ExporterMetricsTests {
    private func snapshot(_ pools: [PoolStatistics]) -> MonitoringSnapshot {
        var snapshot = PrometheusTextTests.snapshot(pools)
        var console = PrometheusTextTests.pool("pgbouncer", "pgbouncer")
        console.gauges = PoolGauges()
        snapshot.console = console
        var database = DatabaseStatistics(name: "app")
        database.host = "db1,db2"
        database.port = 5432
        database.serverName = "app_production"
        database.maximumServers = 50
        database.servers = 7
        snapshot.databases = [database]
        snapshot.lists = [("used_clients", 12)]
        snapshot.compatibleVersion = "PgBouncer 1.26.1"
        snapshot.servesExporterNames = true
        return snapshot
    }

    private func lines(_ snapshot: MonitoringSnapshot) -> [Substring] {
        String(decoding: PrometheusText.render(snapshot, pools: snapshot.statistics.pools), as: UTF8.self).split(separator: "\n")
    }

    @Test func columnsOfTheConsole() {
        let lines = lines(snapshot([PrometheusTextTests.pool("app"), PrometheusTextTests.pool("app", "worker")]))
        #expect(lines.contains("pgbouncer_version_info{version=\"PgBouncer 1.26.1\"} 1"))
        #expect(lines.contains("pgbouncer_used_clients 12"))
        #expect(
            lines.contains(
                "pgbouncer_databases_current_connections{name=\"app\",host=\"db1,db2\",port=\"5432\",database=\"app_production\","
                    + "force_user=\"\",pool_mode=\"\"} 7"))
        #expect(lines.contains("pgbouncer_pools_client_waiting_connections{database=\"app\",user=\"worker\"} 2"))
        #expect(lines.contains("pgbouncer_pools_client_maxwait_seconds{database=\"app\",user=\"web\"} 1"))
        // The console has a row of its own in SHOW POOLS and SHOW STATS_TOTALS; pools of one database are added up.
        #expect(lines.contains("pgbouncer_pools_client_active_connections{database=\"pgbouncer\",user=\"pgbouncer\"} 0"))
        for prefix in ["pgbouncer_stats_totals_", "pgbouncer_stats_"] {
            #expect(lines.contains("\(prefix)client_wait_seconds_total{database=\"app\"} 10.0002"))
            #expect(lines.contains("\(prefix)client_wait_seconds_total{database=\"pgbouncer\"} 5.0001"))
        }
    }

    @Test func onlyWhereTheyAreWanted() {
        var snapshot = snapshot([PrometheusTextTests.pool("app")])
        snapshot.servesExporterNames = false
        #expect(!lines(snapshot).contains { $0.contains("pgbouncer_") })
    }

    /// Pools and limits together had twice as many names as either.
    @Test func databasesOfPoolsComeFirst() {
        let pools = (800..<1000).map { PrometheusTextTests.pool("db\($0)", "user\($0)") }
        var snapshot = PrometheusTextTests.snapshot(pools)
        snapshot.databases = (0..<1000).map { DatabaseStatistics(name: "db\($0)") }
        snapshot.users = (0..<1000).map { UserStatistics(name: "user\($0)") }
        for index in 0..<1000 {
            snapshot.databases[index].clients = 1
            snapshot.users[index].clients = 1
        }
        let shown = LimitSelection.databases(snapshot.databases, of: pools).map(\.name)
        #expect(shown == pools.map(\.database))
        #expect(LimitSelection.users(snapshot.users, of: pools).map(\.name) == pools.map(\.user))
    }

    @Test func databasesAndUsersAreBounded() {
        var snapshot = snapshot([])
        snapshot.databases = (0..<1000).map { DatabaseStatistics(name: "db\($0)") }
        snapshot.databases[999].clients = 1
        snapshot.users = (0..<1000).map { UserStatistics(name: "user\($0)") }
        snapshot.users[998].servers = 1
        snapshot.users[997].maximumClients = 10
        let lines = lines(snapshot)
        #expect(lines.count { $0.hasPrefix("sluice_database_clients{") } == LimitSelection.limit)
        #expect(lines.contains("sluice_database_clients{database=\"db999\"} 1"))
        #expect(lines.count { $0.hasPrefix("pgbouncer_databases_pool_size{") } == LimitSelection.limit)
        #expect(
            lines.filter { $0.hasPrefix("sluice_user_servers{") } == [
                "sluice_user_servers{user=\"user997\"} 0", "sluice_user_servers{user=\"user998\"} 1",
            ])
    }
}
