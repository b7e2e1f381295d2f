import Configuration
import Console
import EventLoop
import Locking
import Monitoring
import PoolCore
import Statistics
import Synchronization

/// What the HTTP server tells about this process. Lives off the loops: it asks the workers, as the console does.
final class ProcessMonitor: MonitoringSource {
    private let workers: [Worker]
    private let shared: SharedState
    private let configuration: Locked<Configuration>
    private let startTime = ProcessFigures.wallClock
    /// What `probe` found last; asking more often would be a nuisance to the hosts.
    private let lastProbe = Locked<Probe?>(nil)

    private struct Probe: Sendable {
        let time: Int64
        let reachable: [String]
        let unreachable: [String]
    }

    private static let probeLifetime: Int64 = 2_000_000
    /// Hosts that are asked; more would not change the answer by much.
    private static let probeLimit = 16

    init(workers: [Worker], shared: SharedState, configuration: Configuration) {
        self.workers = workers
        self.shared = shared
        self.configuration = Locked(configuration)
    }

    /// A reload has changed the settings.
    func apply(_ configuration: Configuration) { self.configuration.withLock { $0 = configuration } }

    func snapshot() async -> MonitoringSnapshot {
        let configuration = configuration.withLock { $0 }
        async let adminState = workers[0].heldBack()
        let parts = await withTaskGroup(of: (WorkerStatistics, PoolStatistics).self) { group in
            for worker in workers { group.addTask { (await worker.statistics(), await worker.consoleStatistics()) } }
            var parts: [(WorkerStatistics, PoolStatistics)] = []
            for await part in group { parts.append(part) }
            return parts
        }
        var snapshot = MonitoringSnapshot(statistics: ProcessStatistics(parts.map(\.0)))
        for (_, console) in parts {
            if snapshot.console == nil { snapshot.console = console } else { snapshot.console? += console }
        }
        for pool in shared.allPools {
            let name = MonitoringSnapshot.PoolName(database: pool.key.database, user: pool.key.user)
            // The pool that asks auth_query may have the name of another one.
            let other = snapshot.reach[name]
            snapshot.reach[name] = .init(
                connected: pool.connected + (other?.connected ?? 0),
                failure: pool.failure.map(\.text) ?? other?.failure)
        }
        var facts = ConsoleFacts(shared, configuration, await adminState, now: MonotonicClock.now())
        facts.statistics = snapshot.statistics
        if let console = snapshot.console { facts.statistics.pools.append(console) }
        snapshot.databases = ShowTopic.databaseStatistics(facts)
        snapshot.users = ShowTopic.userStatistics(facts)
        snapshot.lists = ShowTopic.listCounts(facts)
        snapshot.compatibleVersion = facts.version
        snapshot.servesExporterNames = configuration.settings.metricsNames == .pgbouncer
        snapshot.maximumUserServers = configuration.settings.maxUserConnections
        snapshot.maximumClients = configuration.settings.maxClientConn
        snapshot.version = Version.line
        snapshot.startTime = startTime
        snapshot.time = ProcessFigures.wallClock
        snapshot.workers = workers.count
        snapshot.isDraining = shared.shutdown.load(ordering: .acquiring) != .none
        snapshot.process.processorSeconds = ProcessFigures.processorSeconds
        snapshot.process.residentBytes = ProcessFigures.residentBytes
        snapshot.process.openDescriptors = ProcessFigures.openDescriptors
        snapshot.process.maximumDescriptors = ProcessFigures.maximumDescriptors
        return snapshot
    }

    func probe() async -> (reachable: [String], unreachable: [String]) {
        let now = MonotonicClock.now()
        if let last = lastProbe.withLock({ $0 }), now - last.time < Self.probeLifetime { return (last.reachable, last.unreachable) }
        let answers = await withTaskGroup(of: (String, Bool).self) { group in
            for (host, port) in hosts() {
                group.addTask { ("\(host):\(port)", await Connector.answers(host: host, port: UInt16(clamping: port))) }
            }
            var answers: [(String, Bool)] = []
            for await answer in group { answers.append(answer) }
            return answers
        }
        let reachable = answers.filter(\.1).map(\.0).sorted()
        let unreachable = answers.filter { !$0.1 }.map(\.0).sorted()
        lastProbe.withLock { $0 = Probe(time: now, reachable: reachable, unreachable: unreachable) }
        return (reachable, unreachable)
    }

    private func hosts() -> [(host: String, port: Int)] {
        configuration.withLock { configuration in
            var seen: Set<String> = []
            var hosts: [(host: String, port: Int)] = []
            let entries = configuration.databases.sorted { $0.key < $1.key }.map(\.value)
            for database in entries + (configuration.fallbackDatabase.map { [$0] } ?? []) {
                for place in database.places(unixDirectory: configuration.settings.unixSocketDir) {
                    guard hosts.count < Self.probeLimit, seen.insert("\(place.host):\(place.port)").inserted else { continue }
                    hosts.append(place)
                }
            }
            return hosts
        }
    }
}
