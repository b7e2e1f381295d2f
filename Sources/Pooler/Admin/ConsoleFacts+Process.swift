import Bytes
import Configuration
import Console
import EventLoop
import Statistics

extension ConsoleFacts {
    /// What is known of the process without asking the workers.
    init(_ shared: SharedState, _ configuration: Configuration, _ adminState: AdminState, now: Int64) {
        self.init(
            now: now, wallNow: WallClock.now(), version: Version.compatible, configuration: configuration, statistics: ProcessStatistics([])
        )
        let counts = shared.capacity.withLock { $0.counts }
        self.counts.serversOfDatabase = counts.servers
        self.counts.serversOfUser = counts.userServers
        self.counts.clientsOfDatabase = counts.clients
        self.counts.clientsOfUser = counts.userClients
        self.adminState = adminState
        // Also those that nobody uses, but an operator holds back.
        var names = shared.autoDatabaseNames
        names.formUnion(adminState.pausedDatabases)
        names.formUnion(adminState.disabledDatabases)
        autoDatabases = names.compactMap { configuration.database(named: $0) }
        hosts = shared.hosts.withLock { $0.lines(now: now) }.map {
            HostFacts(name: $0.name, timeToLive: $0.timeToLive, addresses: $0.addresses.map(\.host))
        }
        let texts = shared.statementMemory.use
        objects["statement_text"] = ObjectUse(
            count: texts.count, size: texts.count > 0 ? texts.bytes / texts.count : 0, total: texts.bytes)
        let sets = shared.allPools.map(\.parameters)
        if let first = sets.first {
            objects["var_list"] = ObjectUse(count: sets.reduce(0) { $0 + $1.count }, size: ObjectSize.of(first.empty))
        }
    }
}
