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

    /// One sample; `view` tells whether all clients or all servers are wanted, `chosen` which pool shall be explained if somebody waits there.
    mutating func sample(_ view: TopModel.View, explaining chosen: TopSample.PoolName? = nil) throws(PostgresError) -> TopSample {
        var sample = TopSample(time: Self.clock())
        // PgBouncer does not know the first one.
        var version = try askIfKnown("SHOW SLUICE")
        if version == nil { version = try ask("SHOW VERSION") }
        sample.version = version?.rows.first?.first.flatMap { $0 } ?? ""
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
        for row in try ask("SHOW DATABASES").records {
            let name = row["name"] ?? ""
            sample.poolSizes[name] = Int(row["pool_size"] ?? "")
            let words = ["paused", "disabled"].filter { row[$0] == "1" }
            if !words.isEmpty { sample.held[name] = words.joined(separator: ", ") }
        }
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
        let asked = sample.pools.first { $0.clientsWaiting > 0 && $0.name == chosen }
        if hasWaiters, let pool = asked ?? sample.pools.max(by: { $0.longestWait < $1.longestWait }) {
            let text = "WHY POOL \(ConsoleSyntax.name(pool.database)) \(ConsoleSyntax.name(pool.user))"
            if let result = try askIfKnown(text, key: "WHY") {
                sample.why = Self.why(result)
                sample.whyPool = pool.name
            }
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
        let holders = records.filter { $0["item"] == "holder" }.map(holder)
        return words + holders
    }

    private static func holder(_ row: [String: String]) -> String {
        func time(_ name: String) -> Double { Double(row[name] ?? "") ?? 0 }
        let application = row["application_name"].flatMap { $0.isEmpty ? nil : " (\($0))" } ?? ""
        var text = row["client"].map { "held by client \($0)\(application): " } ?? "held by nobody: "
        text += "\(row["state"] ?? "") for \(Figures.time(time("age_us")))"
        // The transaction says more only where it is older than what is going on in it.
        if time("transaction_us") > 1.1 * time("age_us") { text += ", in transaction for \(Figures.time(time("transaction_us")))" }
        return text + (row["statement"].map { ": \($0)" } ?? "")
    }
}
