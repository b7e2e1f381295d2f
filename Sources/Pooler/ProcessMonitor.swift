import Configuration
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
        let parts = await withTaskGroup(of: WorkerStatistics.self) { group in
            for worker in workers { group.addTask { await worker.statistics() } }
            var parts: [WorkerStatistics] = []
            for await part in group { parts.append(part) }
            return parts
        }
        var snapshot = MonitoringSnapshot(statistics: ProcessStatistics(parts))
        for pool in shared.allPools {
            let name = MonitoringSnapshot.PoolName(database: pool.key.database, user: pool.key.user)
            snapshot.reach[name] = .init(
                connected: pool.connected.load(ordering: .relaxed), failure: pool.failure.map { $0.fields.message ?? "login failed" })
        }
        snapshot.version = Version.line
        snapshot.startTime = startTime
        snapshot.time = ProcessFigures.wallClock
        snapshot.workers = workers.count
        snapshot.maximumClients = configuration.withLock { $0.settings.maxClientConn }
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
                for host in database.hosts.isEmpty ? [configuration.settings.unixSocketDir] : database.hosts {
                    guard hosts.count < Self.probeLimit, seen.insert("\(host):\(database.port)").inserted else { continue }
                    hosts.append((host, database.port))
                }
            }
            return hosts
        }
    }
}

/// The HTTP server of the process.
final class MonitoringServer {
    private let server: HTTPServer
    let monitor: ProcessMonitor

    /// Listens and serves. Throws what the system says.
    init(at address: SocketAddress, monitor: ProcessMonitor) throws(SystemError) {
        let descriptor = try Listener.open(address, backlog: 2048, sharesPort: false, deferAccept: 0, options: SocketOptions())
        let site = MonitoringSite(source: monitor)
        server = try HTTPServer(adopting: [descriptor]) { request in await site.respond(request) }
        self.monitor = monitor
        if let problem = server.start() { throw problem }
    }
}

extension PoolerProcess {
    /// Opens what `metrics_listen` asks for; nil when it asks for nothing.
    func openMonitoring(_ workers: [Worker]) throws(StartError) -> MonitoringServer? {
        guard let text = configuration.settings.metricsListen, !text.isEmpty else { return nil }
        let listen: ListenAddress
        do throws(InvalidValue) {
            listen = try ListenAddress(parsing: text)
        } catch {
            throw StartError(description: "metrics_listen: \(error.message)")
        }
        let port = UInt16(clamping: listen.port)
        let address =
            listen.host == "*"
            ? SocketAddress.any(port: port)
            : SocketAddress(numeric: listen.host, port: port) ?? Resolver.resolveNow(listen.host, port: port).first
        guard let address else {
            throw StartError(description: "metrics_listen: \"\(listen.host)\" is not an address: expected an IP address, a host name or *")
        }
        do throws(SystemError) {
            let server = try MonitoringServer(
                at: address, monitor: ProcessMonitor(workers: workers, shared: shared, configuration: configuration))
            shared.log.info("metrics on http://\(address.description)/")
            return server
        } catch {
            throw StartError(description: "metrics_listen: cannot listen on \(address.description): \(error.reason)")
        }
    }
}
