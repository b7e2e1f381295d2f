import Statistics

/// Metrics in Prometheus' text format, version 0.0.4.
enum PrometheusText {
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// All metrics of a snapshot whose pools are `pools`.
    static func render(_ snapshot: MonitoringSnapshot, pools: [PoolStatistics]) -> [UInt8] {
        var writer = Writer()
        let labels = pools.map { Writer.labels(["database", "user"], [$0.database, $0.user]) }
        let databases = LimitSelection.databases(snapshot.databases, of: pools)
        let users = LimitSelection.users(snapshot.users, of: pools)
        for metric in MetricsTable.all {
            writer.head(metric.name, metric.type, metric.help)
            switch metric.values {
            case .process(let value): writer.line(metric.name, "", value(snapshot))
            case .labelled(let name, let values):
                for (label, value) in values(snapshot) { writer.line(metric.name, Writer.label(name, label), value) }
            case .pool(let value):
                for (pool, label) in zip(pools, labels) { writer.line(metric.name, label, value(pool)) }
            case .poolLabelled(let name, let values):
                for (pool, label) in zip(pools, labels) {
                    for (more, value) in values(pool) { writer.line(metric.name, label + "," + Writer.label(name, more), value) }
                }
            case .database(let value):
                for database in databases where !database.isConsole {
                    writer.line(metric.name, Writer.label("database", database.name), value(database))
                }
            case .user(let value):
                for user in users { writer.line(metric.name, Writer.label("user", user.name), value(user)) }
            case .reach(let value):
                for (pool, label) in zip(pools, labels) {
                    let name = MonitoringSnapshot.PoolName(database: pool.database, user: pool.user)
                    if let reach = snapshot.reach[name] { writer.line(metric.name, label, value(reach)) }
                }
            case .durations(let values):
                for (pool, label) in zip(pools, labels) {
                    let (histogram, sum) = values(pool)
                    writer.histogram(metric.name, label, histogram, sum: sum)
                }
            }
        }
        if snapshot.servesExporterNames { renderExporterNames(snapshot, pools, databases, &writer) }
        return writer.bytes
    }

    private static func renderExporterNames(
        _ snapshot: MonitoringSnapshot, _ pools: [PoolStatistics], _ databases: [DatabaseStatistics], _ writer: inout Writer
    ) {
        let pools = pools + (snapshot.console.map { [$0] } ?? [])
        for family in ExporterMetrics.process { writer.family(family, [(snapshot, "")]) }
        writer.family(ExporterMetrics.version, [(snapshot, Writer.label("version", snapshot.compatibleVersion))])
        let databaseRows = databases.map { ($0, Writer.labels(ExporterMetrics.databaseLabels, ExporterMetrics.labels($0))) }
        for family in ExporterMetrics.databases { writer.family(family, databaseRows) }
        let totals = ExporterMetrics.databaseTotals(pools).map { ($0, Writer.label("database", $0.name)) }
        for family in ExporterMetrics.statistics { writer.family(family, totals) }
        let poolRows = pools.map { ($0, Writer.labels(["database", "user"], [$0.database, $0.user])) }
        for family in ExporterMetrics.pools { writer.family(family, poolRows) }
    }

    private struct Writer {
        var bytes: [UInt8] = []

        mutating func head(_ name: String, _ type: MetricType, _ help: String) {
            bytes += "# HELP \(name) \(Self.escaped(help, quotes: false))\n# TYPE \(name) \(type.rawValue)\n".utf8
        }

        mutating func family<Row>(_ family: ExporterMetrics.Family<Row>, _ rows: [(row: Row, labels: String)]) {
            head(family.name, family.type, "pgbouncer_exporter's: \(family.column)")
            for (row, labels) in rows { line(family.name, labels, family.value(row)) }
        }

        mutating func line(_ name: String, _ labels: String, _ value: Double) {
            bytes += name.utf8
            if !labels.isEmpty { bytes += "{\(labels)}".utf8 }
            bytes += " \(Self.number(value))\n".utf8
        }

        mutating func histogram(_ name: String, _ labels: String, _ histogram: Histogram, sum: Int64) {
            let count = histogram.count
            for bound in MetricsTable.bounds {
                line("\(name)_bucket", "\(labels),le=\"\(Self.number(Double(bound) / 1e6))\"", Double(histogram.count(below: bound)))
            }
            line("\(name)_bucket", "\(labels),le=\"+Inf\"", Double(count))
            line("\(name)_sum", labels, Double(sum) / 1e6)
            line("\(name)_count", labels, Double(count))
        }

        static func labels(_ names: [String], _ values: [String]) -> String {
            zip(names, values).map { label($0, $1) }.joined(separator: ",")
        }

        static func label(_ name: String, _ value: String) -> String { "\(name)=\"\(escaped(value, quotes: true))\"" }

        private static func escaped(_ text: String, quotes: Bool) -> String {
            guard text.utf8.contains(where: { $0 == 10 || $0 == 34 || $0 == 92 }) else { return text }
            var result = ""
            for character in text.unicodeScalars {
                switch character {
                case "\\": result += "\\\\"
                case "\n": result += "\\n"
                case "\"" where quotes: result += "\\\""
                default: result.unicodeScalars.append(character)
                }
            }
            return result
        }

        private static func number(_ value: Double) -> String {
            value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : "\(value)"
        }
    }
}
