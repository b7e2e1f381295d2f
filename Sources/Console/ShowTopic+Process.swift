import Configuration

/// CONFIG, MEM and STATE.
extension ShowTopic {
    @Sendable static func config(_ facts: ConsoleFacts) -> [[Cell]] {
        SettingsTable.all.map { setting in
            [
                .text(setting.name), .optional(setting.text(in: facts.configuration.settings)), .optional(setting.defaultText),
                .text(setting.reloadable ? "yes" : "no"),
            ]
        }
    }

    @Sendable static func memory(_ facts: ConsoleFacts) -> [[Cell]] {
        let used: [(String, Int)] = [
            ("user", users(facts).count), ("credentials", facts.configuration.userList.secrets.count),
            ("db", facts.configuration.databases.count + facts.autoDatabases.count + 1), ("peer", facts.configuration.peers.count),
            ("peer_pool", facts.configuration.peers.count), ("pool", facts.statistics.pools.count),
            ("outstanding_request", 0), ("server", facts.statistics.servers), ("client", facts.statistics.clients), ("iobuf", 0),
            ("var_list", 0), ("server_prepared_statement", 0),
        ]
        return used.map { name, count in
            let size = facts.statistics.objectSizes[name] ?? 0
            return [.text("\(name)_cache"), .number(size), .number(count), .number(0), .number(size * count)]
        }
    }

    @Sendable static func state(_ facts: ConsoleFacts) -> [[Cell]] {
        let isPaused = facts.holds.isPaused
        return [("active", !isPaused), ("paused", isPaused), ("suspended", false)].map { [.text($0.0), .text($0.1 ? "yes" : "no")] }
    }
}
