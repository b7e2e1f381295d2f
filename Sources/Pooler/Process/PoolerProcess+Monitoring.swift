import Configuration
import EventLoop
import Monitoring

/// The HTTP server of the process: one, from the first time that `metrics_listen` names an address.
final class MonitoringServer {
    private let server: HTTPServer
    private let monitor: ProcessMonitor
    /// The setting that it follows.
    private(set) var setting = ""

    /// Starts the server; it listens nowhere yet. Throws what the system says.
    init(monitor: ProcessMonitor, tasks: TaskThread) throws(SystemError) {
        let site = MonitoringSite(source: monitor, tasks: tasks)
        server = try HTTPServer(tasks: tasks) { request in await site.respond(request) }
        self.monitor = monitor
        if let problem = server.start() { throw problem }
    }

    /// A reload has changed the settings.
    func apply(_ configuration: Configuration) { monitor.apply(configuration) }

    fileprivate func listen(_ change: MonitoringChange) {
        setting = change.setting
        server.listen(on: change.descriptor.map { [$0] } ?? [])
    }
}

/// Where the HTTP server is to listen from now on: opened already, so that nothing else has to change when that can't be done.
struct MonitoringChange {
    /// The new value of `metrics_listen`.
    let setting: String
    /// nil: nowhere.
    let descriptor: Int32?

    /// It does not come to that.
    func discard() { if let descriptor { Connector.discard(descriptor) } }
}

extension PoolerProcess {
    /// Opens what `metrics_listen` asks for; nil when that is what there is already.
    func monitoringChange(_ settings: Settings) throws(InvalidValue) -> MonitoringChange? {
        let text = settings.metricsListen ?? ""
        guard text != monitoring?.setting ?? "" else { return nil }
        if text.isEmpty { return MonitoringChange(setting: text, descriptor: nil) }
        let listen = try ListenAddress(parsing: text)
        let port = UInt16(clamping: listen.port)
        let address =
            listen.host == "*"
            ? SocketAddress.any(port: port)
            : SocketAddress(numeric: listen.host, port: port) ?? Resolver.resolveNow(listen.host, port: port).first
        guard let address else { throw InvalidValue("\"\(listen.host)\" is not an address: expected an IP address, a host name or *") }
        func open(sharesPort: Bool) throws(SystemError) -> Int32 {
            try Listener.open(address, backlog: 2048, sharesPort: sharesPort, deferAccept: 0, options: SocketOptions())
        }
        do throws(SystemError) {
            // The old listener goes when the new one is there, so both may have the port for a moment (from loopback to all addresses,
            // say); a port that is not this server's has to be free.
            let oldPort = (try? ListenAddress(parsing: monitoring?.setting ?? ""))?.port
            if oldPort != listen.port { Connector.discard(try open(sharesPort: false)) }
            return MonitoringChange(setting: text, descriptor: try open(sharesPort: true))
        } catch {
            throw InvalidValue("cannot listen on \(address.description): \(error.reason)")
        }
    }

    /// Opens what `metrics_listen` asks for, or, where that is taken, the same address with a port that is not.
    func changeToFreePort() throws(InvalidValue) -> MonitoringChange? {
        do throws(InvalidValue) { return try monitoringChange(configuration.settings) } catch {
            guard let listen = try? ListenAddress(parsing: configuration.settings.metricsListen ?? ""),
                let address = SocketAddress(numeric: listen.host, port: 0)
            else { throw error }
            do throws(SystemError) {
                let descriptor = try Listener.open(
                    address, backlog: 2048, sharesPort: true, deferAccept: 0, options: SocketOptions())
                let bound = SocketAddress.local(of: descriptor)?.description ?? ""
                configuration.settings.metricsListen = bound
                loadedSettings.metricsListen = bound
                return MonitoringChange(setting: bound, descriptor: descriptor)
            } catch { throw InvalidValue("\(error)") }
        }
    }

    /// Lets the HTTP server listen there. Returns what went wrong.
    @discardableResult
    func carryOut(_ change: MonitoringChange?) -> String? {
        guard let change else { return nil }
        do throws(SystemError) {
            if monitoring == nil {
                monitoring = try MonitoringServer(
                    monitor: ProcessMonitor(workers: workers, shared: shared, configuration: configuration), tasks: shared.tasks)
            }
        } catch {
            change.discard()
            return error.description
        }
        monitoring?.listen(change)
        shared.log.info("\(change.setting.isEmpty ? "metrics are served no more" : "page and metrics on http://\(change.setting)/")")
        return nil
    }
}
