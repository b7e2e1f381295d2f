import Configuration

/// Everything known about one topic of SHOW.
public struct ShowTopic: Sendable {
    /// What has to be collected from the workers before rows can be made.
    public enum Need: Sendable {
        /// Configuration and counters, which are small.
        case little
        /// Every connection.
        case connections
    }

    /// The name, in lower case.
    public let name: String
    /// The columns, in PgBouncer's order.
    public let columns: [Column]
    /// What has to be collected.
    public let need: Need
    /// What it shows, in one line.
    public let doc: String
    /// Makes the rows.
    public let rows: @Sendable (ConsoleFacts) -> [[Cell]]

    init(_ name: String, _ columns: String, needs need: Need = .little, _ doc: String, rows: @escaping @Sendable (ConsoleFacts) -> [[Cell]])
    {
        self.name = name
        self.columns = Column.list(columns)
        self.need = need
        self.doc = doc
        self.rows = rows
    }

    /// The answer to a SHOW.
    public func table(_ facts: ConsoleFacts, _ selection: Selection) -> ConsoleTable {
        ConsoleTable(columns: columns, rows: rows(facts)).selected(selection)
    }

    /// All topics, in the order of SHOW HELP.
    public static let all: [ShowTopic] = [
        ShowTopic("databases", databaseColumns, "Databases of the file and those made from `*`, with their limits.", rows: databases),
        ShowTopic("pools", poolColumns, "Pools: how many clients and servers are in which state, and the longest wait.", rows: pools),
        ShowTopic("clients", connectionColumns, needs: .connections, "Clients that have logged in.", rows: clients),
        ShowTopic("servers", connectionColumns, needs: .connections, "Server connections.", rows: servers),
        ShowTopic("sockets", connectionColumns + bufferColumns, needs: .connections, "All connections, with their buffers.") {
            sockets($0, all: true)
        },
        ShowTopic("active_sockets", connectionColumns + bufferColumns, needs: .connections, "The connections that are busy.") {
            sockets($0, all: false)
        },
        ShowTopic("stats", statsColumns, "Totals and averages of each database.", rows: stats),
        ShowTopic("stats_totals", totalsColumns, "Totals of each database.", rows: statsTotals),
        ShowTopic(
            "stats_averages", averagesColumns, "Averages of each database over the last whole `stats_period` and the time since.",
            rows: statsAverages),
        ShowTopic("totals", "name:t value:n", "Totals and averages of the whole process.", rows: totals),
        ShowTopic(
            "histograms", histogramColumns, "How long clients waited, queries and transactions took: what percentiles are made of.",
            rows: histograms),
        ShowTopic("errors", errorColumns, "Errors by SQLSTATE, and closed connections by reason.", rows: errors),
        ShowTopic("users", userColumns, "Users with their limits.", rows: users),
        ShowTopic("lists", "list:t items:i", "How many there are of everything.", rows: lists),
        ShowTopic("config", "key:t value:t default:t changeable:t", "Settings in force.", rows: config),
        ShowTopic("peers", "peer_id:i host:t port:i pool_size:i", "Peers of the file.", rows: peers),
        ShowTopic(
            "peer_pools", "peer_id:i cl_active_cancel_req:i cl_waiting_cancel_req:i sv_active_cancel:i sv_login:i",
            "Cancel requests on their way to peers.", rows: peerPools),
        ShowTopic("dns_hosts", "hostname:t ttl:q addrs:t", "Host names that were looked up.", rows: dnsHosts),
        ShowTopic(
            "dns_zones", "zonename:t serial:q count:i",
            "Domains of the host names that were looked up, and how many there are in each; the serial is 0, for it is not watched.",
            rows: dnsZones),
        ShowTopic("mem", "name:t size:i used:i free:i memtotal:i", "Memory of the objects there are most of.", rows: memory),
        ShowTopic("state", "key:t value:t", "Whether the pooler is active or paused.", rows: state),
        ShowTopic("version", "version:t", "The release of PgBouncer that Sluice stands in for; tools take it apart.") {
            [[.text($0.version)]]
        },
        ShowTopic("sluice", "version:t", "Sluice's own version.") { _ in [[.text(Version.own)]] },
    ]

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    /// Finds a topic by its name in lower case.
    public static func named(_ name: String) -> ShowTopic? { byName[name] }
}
