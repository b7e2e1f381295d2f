import Configuration
import Statistics

/// CONFIG, MEM and STATE.
extension ShowTopic {
    @Sendable static func config(_ facts: ConsoleFacts) -> [[Cell]] {
        SettingsTable.all.map { setting in
            let value = setting.text(in: facts.configuration.settings)
            return [
                .text(setting.name), .optional(facts.rights == .admin ? value : value.map(setting.withoutSecrets)),
                .optional(setting.defaultText), .text(setting.reloadable ? "yes" : "no"),
            ]
        }
    }

    @Sendable static func memory(_ facts: ConsoleFacts) -> [[Cell]] {
        let configuration = facts.configuration
        let own: [String: ObjectUse] = [
            "user": ObjectUse(count: userStatistics(facts).count, size: MemoryLayout<UserOverrides>.stride),
            "credentials": ObjectUse(count: configuration.userList.secrets.count, size: 2 * MemoryLayout<String>.stride),
            "db": ObjectUse(count: databaseStatistics(facts).count, size: MemoryLayout<Database>.stride),
            "peer": ObjectUse(count: configuration.peers.count, size: MemoryLayout<Peer>.stride),
            "peer_pool": ObjectUse(count: configuration.peers.count, size: MemoryLayout<PeerRequests>.stride),
        ]
        let kinds = [
            "user", "credentials", "db", "peer", "peer_pool", "pool", "outstanding_request", "server", "client", "iobuf", "var_list",
            "server_prepared_statement", "statement_text",
        ]
        return kinds.map { kind in
            var use = own[kind] ?? facts.statistics.objects[kind] ?? facts.objects[kind] ?? ObjectUse(count: 0, size: 0)
            // The console's own, which no worker has.
            if kind == "pool" { use += ObjectUse(count: 1, size: MemoryLayout<PoolStatistics>.stride) }
            return [.text("\(kind)_cache"), .number(use.size), .number(use.count), .number(0), .number(use.total)]
        }
    }

    @Sendable static func state(_ facts: ConsoleFacts) -> [[Cell]] {
        let isPaused = facts.adminState.isPaused
        return [("active", !isPaused), ("paused", isPaused), ("suspended", false)].map { [.text($0.0), .text($0.1 ? "yes" : "no")] }
    }
}
