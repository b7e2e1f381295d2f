import Glibc
import PostgresClient

/// Asks the console for samples. What a console does not have (PgBouncer has neither histograms nor WHY) is asked once and then left out.
struct TopSource {
    let connection: PostgresConnection
    let timeout: Double
    let interrupt: Int32
    private var missing: Set<String> = []

    init(_ connection: PostgresConnection, timeout: Double, interrupt: Int32) {
        self.connection = connection
        self.timeout = timeout
        self.interrupt = interrupt
    }

    static func clock() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private func ask(_ text: String) throws(PostgresError) -> QueryResult {
        try connection.query(text, timeout: timeout, interrupt: interrupt)
    }

    /// nil when the console refused: it will not be asked again.
    private mutating func askIfKnown(_ text: String, key: String? = nil) throws(PostgresError) -> QueryResult? {
        if missing.contains(key ?? text) { return nil }
        do throws(PostgresError) {
            return try ask(text)
        } catch {
            guard case .server = error else { throw error }
            missing.insert(key ?? text)
            return nil
        }
    }

    /// One sample; `view` tells whether all clients or all servers are wanted.
    mutating func sample(_ view: TopModel.View) throws(PostgresError) -> TopSample {
        var sample = TopSample(time: Self.clock())
        sample.version = try ask("SHOW VERSION").rows.first?.first.flatMap { $0 } ?? ""
        sample.isPaused = try askIfKnown("SHOW STATE")?.records.contains { $0["key"] == "paused" && $0["value"] == "yes" } ?? false
        for row in try ask("SHOW POOLS").records {
            func number(_ name: String) -> Int { Int(row[name] ?? "") ?? 0 }
            sample.pools.append(
                TopSample.Pool(
                    database: row["database"] ?? "", user: row["user"] ?? "", clientsActive: number("cl_active"),
                    clientsWaiting: number("cl_waiting"), serversActive: number("sv_active"),
                    serversIdle: number("sv_idle") + number("sv_used"), serversLogin: number("sv_login") + number("sv_tested"),
                    longestWait: number("maxwait") * 1_000_000 + number("maxwait_us"), mode: row["pool_mode"] ?? ""))
        }
        for row in try ask("SHOW STATS").records {
            func number(_ name: String) -> Double { Double(row[name] ?? "") ?? 0 }
            sample.databases[row["database"] ?? ""] = TopSample.Counts(
                transactions: number("total_xact_count"), queries: number("total_query_count"), received: number("total_received"),
                sent: number("total_sent"), waitTime: number("total_wait_time"), assignments: number("total_server_assignment_count"))
        }
        for row in try ask("SHOW DATABASES").records { sample.poolSizes[row["name"] ?? ""] = Int(row["pool_size"] ?? "") }
        let hasWaiters = sample.pools.contains { $0.clientsWaiting > 0 }
        if view == .clients {
            sample.clients = try ask("SHOW CLIENTS").records
        } else if hasWaiters {
            if let result = try askIfKnown("SHOW CLIENTS WHERE state = 'waiting'") {
                sample.clients = result.records
            } else {
                sample.clients = try ask("SHOW CLIENTS").records
            }
        }
        if view == .servers { sample.servers = try ask("SHOW SERVERS").records }
        if let result = try askIfKnown("SHOW HISTOGRAMS") { sample.waits = Self.waits(result) }
        if let result = try askIfKnown("SHOW ERRORS") { sample.errors = Self.errors(result) }
        if hasWaiters, let pool = sample.pools.max(by: { $0.longestWait < $1.longestWait }) {
            let text = "WHY POOL \(ConsoleSyntax.name(pool.database)) \(ConsoleSyntax.name(pool.user))"
            if let result = try askIfKnown(text, key: "WHY") { sample.why = Self.why(result) }
        }
        return sample
    }

    private static func waits(_ result: QueryResult) -> [TopSample.PoolName: [TopSample.Bucket]] {
        var waits: [TopSample.PoolName: [TopSample.Bucket]] = [:]
        for row in result.records where row["kind"] == "wait" {
            guard let from = Double(row["from_us"] ?? ""), let upTo = Double(row["to_us"] ?? ""), let count = Double(row["count"] ?? "")
            else { continue }
            let name = TopSample.PoolName(database: row["database"] ?? "", user: row["user"] ?? "")
            waits[name, default: []].append(TopSample.Bucket(from: from, upTo: upTo, count: count))
        }
        return waits
    }

    /// How clients leave by themselves, and how servers are replaced, is no error.
    private static func errors(_ result: QueryResult) -> [String: Double] {
        var errors: [String: Double] = [:]
        for row in result.records where row["is_error"] == "1" {
            errors["\(row["kind"] ?? "") \(row["reason"] ?? "")", default: 0] += Double(row["count"] ?? "") ?? 0
        }
        return errors
    }

    /// The rows of WHY that a glance needs: the reason, what would help, then who holds the servers.
    private static func why(_ result: QueryResult) -> [String] {
        let records = result.records
        let words = ["reason", "advice", "expected_wait"].flatMap { item in
            records.filter { $0["item"] == item }.map { "\(item.replacing("_", with: " ")): \($0["value"] ?? "")" }
        }
        let holders = records.filter { $0["item"] == "holder" }.map { row in
            let age = row["transaction_us"].flatMap { Double($0) }.map { ", in transaction for \(Figures.time($0))" } ?? ""
            let client = row["client"].map { "client \($0) \(row["application_name"] ?? "")" } ?? "nobody"
            return "held by \(client): \(row["state"] ?? "")\(age): \(row["statement"] ?? "")"
        }
        return words + holders
    }
}
