import EventLoop
import Statistics
import Testing

@testable import Monitoring

@Suite struct PrometheusTextTests {
    static func pool(_ database: String, _ user: String = "web", logins: Int64 = 1) -> PoolStatistics {
        var counters = PoolCounters()
        counters.totals.logins = logins
        counters.assigned(waited: 100)
        counters.assigned(waited: 5_000_000)
        counters.errors.add("42P01", 3)
        var gauges = PoolGauges()
        gauges.clientsWaiting = 2
        gauges.longestWait = 1_500_000
        return PoolStatistics(database: database, user: user, counters: counters, period: PeriodTotals(), gauges: gauges, poolSize: 20)
    }

    static func snapshot(_ pools: [PoolStatistics]) -> MonitoringSnapshot {
        MonitoringSnapshot(statistics: ProcessStatistics([WorkerStatistics(pools: pools)]))
    }

    private func text(_ pools: [PoolStatistics]) -> String {
        String(decoding: PrometheusText.render(Self.snapshot(pools), pools: pools), as: UTF8.self)
    }

    @Test func everyMetricHasHelpAndType() {
        let lines = text([Self.pool("app")]).split(separator: "\n")
        for metric in MetricsTable.all {
            #expect(lines.contains("# TYPE \(metric.name) \(metric.type.rawValue)"))
            #expect(metric.type != .counter || metric.name.hasSuffix("_total"))
            #expect(metric.type == .counter || !metric.name.hasSuffix("_total"))
        }
        #expect(Set(MetricsTable.all.map(\.name)).count == MetricsTable.all.count)
    }

    @Test func histogram() {
        let text = text([Self.pool("app")])
        #expect(text.contains("sluice_wait_seconds_bucket{database=\"app\",user=\"web\",le=\"6.4e-05\"} 0\n"))
        #expect(text.contains("sluice_wait_seconds_bucket{database=\"app\",user=\"web\",le=\"0.000128\"} 1\n"))
        #expect(text.contains("sluice_wait_seconds_bucket{database=\"app\",user=\"web\",le=\"4.194304\"} 1\n"))
        #expect(text.contains("sluice_wait_seconds_bucket{database=\"app\",user=\"web\",le=\"8.388608\"} 2\n"))
        #expect(text.contains("sluice_wait_seconds_bucket{database=\"app\",user=\"web\",le=\"+Inf\"} 2\n"))
        #expect(text.contains("sluice_wait_seconds_sum{database=\"app\",user=\"web\"} 5.0001\n"))
        #expect(text.contains("sluice_errors_total{database=\"app\",user=\"web\",sqlstate=\"42P01\"} 3\n"))
        #expect(text.contains("sluice_pool_longest_wait_seconds{database=\"app\",user=\"web\"} 1.5\n"))
    }

    @Test func namesAreEscaped() {
        #expect(text([Self.pool("a\"b\\c\nd")]).contains("database=\"a\\\"b\\\\c\\nd\""))
    }

    @Test func theNumberOfSeriesIsBounded() {
        var selection = PoolSelection()
        let pools = (0..<1000).map { Self.pool("db\($0)") }
        let shown = selection.select(pools)
        #expect(shown.count == PoolSelection.limit + 1)
        #expect(shown.last?.database == "(other)" && shown.last?.counters.totals.logins == 800)
        #expect(shown.last?.gauges.clientsWaiting == 1600)
    }

    @Test func countersOfTheRestNeverGoBack() {
        var selection = PoolSelection()
        let first = (0..<200).map { Self.pool("a\($0)") }
        func rest(_ pools: [PoolStatistics]) -> Int64? {
            selection.select(first + pools).last { $0.database == "(other)" }?.counters.totals.logins
        }
        #expect(rest([Self.pool("x", logins: 5), Self.pool("y", logins: 7)]) == 12)
        // One is forgotten, then comes back with nothing counted yet.
        #expect(rest([Self.pool("x", logins: 6)]) == 13)
        #expect(rest([Self.pool("x", logins: 6), Self.pool("y", logins: 1)]) == 14)
        #expect(rest([Self.pool("x", logins: 2), Self.pool("y", logins: 1)]) == 16)
        #expect(rest([]) == 16)
        // Forgotten and back between two looks, with as many logins as before but nothing else.
        var busy = Self.pool("z", logins: 1)
        busy.counters.totals.queries = 100
        #expect(rest([busy]) == 17)
        busy.counters.totals.queries = 2
        #expect(rest([busy]) == 18)
    }

    @Test func whoHasSeriesKeepsThem() {
        var selection = PoolSelection()
        let late = Self.pool("late")
        _ = selection.select((0..<199).map { Self.pool("b\($0)") } + [late])
        let shown = selection.select((0..<300).map { Self.pool("b\($0)") } + [late])
        #expect(shown.contains { $0.database == "late" })
    }
}

@Suite struct MonitoringSiteTests {
    /// A process that does not exist.
    private struct Source: MonitoringSource {
        var pools: [PoolStatistics] = []
        var reach: [MonitoringSnapshot.PoolName: MonitoringSnapshot.Reach] = [:]
        var isDraining = false
        var reachable: [String] = ["db:5432"]
        var unreachable: [String] = []

        func snapshot() async -> MonitoringSnapshot {
            var snapshot = PrometheusTextTests.snapshot(pools)
            snapshot.reach = reach
            snapshot.isDraining = isDraining
            return snapshot
        }
        func probe() async -> (reachable: [String], unreachable: [String]) { (reachable, unreachable) }
    }

    private let name = MonitoringSnapshot.PoolName(database: "app", user: "web")
    private static let tasks = {
        let tasks = TaskThread(name: "tasks")
        _ = tasks.start()
        return tasks
    }()

    private func status(_ path: String, _ source: Source = Source(), method: String = "GET") async -> Int {
        await MonitoringSite(source: source, tasks: Self.tasks).respond(HTTPRequest(method: method, path: path)).status
    }

    @Test func paths() async {
        for path in ["/", "/metrics", "/healthz", "/readyz", "/status.json"] {
            #expect(await status(path) == 200)
            #expect(await status(path, method: "HEAD") == 200)
            #expect(await status(path, method: "OTHER") == 405)
        }
        #expect(await status("/metrics/") == 404)
    }

    @Test func readiness() async {
        #expect(await status("/readyz", Source(isDraining: true)) == 503)
        #expect(await status("/healthz", Source(isDraining: true)) == 200)
        #expect(await status("/readyz", Source(reachable: [], unreachable: ["db:5432"])) == 503)
        #expect(await status("/readyz", Source(reachable: ["a:1"], unreachable: ["b:1"])) == 200)
        #expect(await status("/readyz", Source(reachable: [], unreachable: [])) == 200)
        #expect(await status("/readyz", Source(reach: [name: .init(connected: 0, failure: "refused")])) == 503)
        #expect(await status("/readyz", Source(reach: [name: .init(connected: 1, failure: "refused")])) == 200)
    }
}
