import Statistics

/// STATS and its relatives.
extension ShowTopic {
    private static let names = [
        "server_assignment_count", "xact_count", "query_count", "received", "sent", "xact_time", "query_time", "wait_time",
        "client_parse_count", "server_parse_count", "bind_count", "client_login_count",
    ]
    static let statsColumns =
        "database:t "
        + (names.map { "total_\($0):n" } + names.map { "avg_\($0 == "received" ? "recv" : $0):n" }).joined(separator: " ")
    private static let counted =
        "server_assignment_count:n xact_count:n query_count:n bytes_received:n bytes_sent:n xact_time:n query_time:n wait_time:n"
    static let totalsColumns = "database:t \(counted) client_parse_count:n server_parse_count:n bind_count:n client_login_count:n"
    static let averagesColumns =
        "database:t \(counted) avg_client_parse_count:n avg_server_parse_count:n avg_bind_count:n avg_client_login_count:n"

    private static func totals(_ totals: PoolTotals) -> [Cell] {
        [
            totals.assignments, totals.transactions, totals.queries, totals.bytesReceived, totals.bytesSent, totals.transactionTime,
            totals.queryTime, totals.waitTime, totals.clientParses, totals.serverParses, totals.binds, totals.logins,
        ].map(Cell.integer)
    }

    /// Counts a second, and times for each of what they belong to.
    private static func averages(_ period: PeriodTotals) -> [Cell] {
        let totals = period.totals
        func each(_ time: Int64, _ count: Int64) -> Int64 { count > 0 ? time / count : 0 }
        return [
            period.rate(totals.assignments), period.rate(totals.transactions), period.rate(totals.queries),
            period.rate(totals.bytesReceived), period.rate(totals.bytesSent), each(totals.transactionTime, totals.transactions),
            each(totals.queryTime, totals.queries), each(totals.waitTime, totals.assignments), period.rate(totals.clientParses),
            period.rate(totals.serverParses), period.rate(totals.binds), period.rate(totals.logins),
        ].map(Cell.integer)
    }

    @Sendable static func stats(_ facts: ConsoleFacts) -> [[Cell]] {
        facts.statistics.databases.map { [.text($0.name)] + totals($0.totals) + averages($0.recent) }
    }

    @Sendable static func statsTotals(_ facts: ConsoleFacts) -> [[Cell]] {
        facts.statistics.databases.map { [.text($0.name)] + totals($0.totals) }
    }

    @Sendable static func statsAverages(_ facts: ConsoleFacts) -> [[Cell]] {
        facts.statistics.databases.map { [.text($0.name)] + averages($0.recent) }
    }

    @Sendable static func totals(_ facts: ConsoleFacts) -> [[Cell]] {
        let names = [
            "server_assignment_count", "xact_count", "query_count", "client_bytes", "server_bytes", "xact_time", "query_time", "wait_time",
            "ps_client_parse_count", "ps_server_parse_count", "ps_bind_count", "client_login_count",
        ]
        let total = facts.statistics.total
        return zip(names, totals(total.totals)).map { [.text("total_\($0)"), $1] }
            + zip(names, averages(total.recent)).map { [.text("avg_\($0)"), $1] }
    }

    /// The line that the log gets once a `stats_period`.
    public static func logLine(_ period: PeriodTotals) -> String {
        let values = averages(period).map { $0.text ?? "0" }
        return "stats: \(values[1]) xacts/s, \(values[2]) queries/s, \(values[8]) client parses/s, \(values[9]) server parses/s, "
            + "\(values[10]) binds/s, in \(values[3]) B/s, out \(values[4]) B/s, xact \(values[5]) us, query \(values[6]) us, "
            + "wait \(values[7]) us"
    }
}
