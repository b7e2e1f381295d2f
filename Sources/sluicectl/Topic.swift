import ArgumentParser

/// What `show` can show.
struct Topic: ExpressibleByArgument, Equatable {
    let name: String
    let doc: String

    init?(_ text: String) {
        let name = text.lowercased().map { $0 == "-" ? "_" : String($0) }.joined()
        guard let topic = Self.all.first(where: { $0.name == name }) else { return nil }
        self = topic
    }

    init?(argument: String) { self.init(argument) }

    private init(name: String, doc: String) {
        self.name = name
        self.doc = doc
    }

    static var allValueStrings: [String] { all.map(\.name) }

    static let all: [Topic] = [
        Topic(name: "pools", doc: "Pools: clients and servers by state, and the longest wait."),
        Topic(name: "clients", doc: "Client connections."),
        Topic(name: "servers", doc: "Server connections."),
        Topic(name: "databases", doc: "Databases: where they lead, sizes, limits, counts."),
        Topic(name: "users", doc: "Users: limits and counts."),
        Topic(name: "stats", doc: "Totals and averages of each database."),
        Topic(name: "stats_totals", doc: "Totals of each database."),
        Topic(name: "stats_averages", doc: "Averages of each database over the last stats_period."),
        Topic(name: "totals", doc: "Totals and averages of the process."),
        Topic(name: "config", doc: "Settings with their values and defaults."),
        Topic(name: "lists", doc: "Counts of everything."),
        Topic(name: "sockets", doc: "Sockets with the states of their buffers."),
        Topic(name: "active_sockets", doc: "Sockets that are in use."),
        Topic(name: "peers", doc: "Peers of this process."),
        Topic(name: "peer_pools", doc: "Connections to peers."),
        Topic(name: "mem", doc: "Memory."),
        Topic(name: "dns_hosts", doc: "Host names that were looked up."),
        Topic(name: "dns_zones", doc: "DNS zones."),
        Topic(name: "state", doc: "Whether the process is active or paused."),
        Topic(name: "version", doc: "The version of the pooler."),
        Topic(name: "help", doc: "The console's own help."),
    ]

    /// All topics, a line each.
    static var list: String {
        let widest = all.reduce(0) { max($0, $1.name.count) }
        return all.map { "  \($0.name)\(String(repeating: " ", count: widest - $0.name.count))  \($0.doc)" }.joined(separator: "\n")
    }
}

/// `sluicectl show pools --help`, and for short `sluicectl pools --help`.
enum TopicHelp {
    static func page(for arguments: [String]) -> String? {
        guard arguments.count >= 3, arguments[0] == "show", let topic = Topic(arguments[1]),
            arguments.dropFirst(2).contains("--help")
        else { return nil }
        return "OVERVIEW: \(topic.doc)\n\n"
            + Sluicectl.helpMessage(for: Show.self).split(separator: "\n", omittingEmptySubsequences: false)
            .drop { !$0.hasPrefix("USAGE") }.joined(separator: "\n").replacing("<TOPIC>", with: topic.name) + "\n"
    }
}
