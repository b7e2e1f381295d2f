import EventLoop
import Logging
import PoolCore
import PostgresWire

/// A server connection that is being made: where it goes, and where else it may.
struct Opening {
    let shard: PoolShard
    let generation: UInt32
    let started: Int64
    /// What of the database's list of hosts is tried; nil for the Unix socket that stands for an empty list.
    var host: String?
    /// The list, from the entry that is tried first.
    var hosts: [String] = []
    /// How many of them have been tried.
    var hostsTried = 0
    /// The replication client that the server is for, if it is for one.
    var dedication: Dedication?
    /// Addresses of `host` that have not been tried.
    var addresses: [SocketAddress] = []

    init(shard: PoolShard, generation: UInt32, started: Int64) {
        self.shard = shard
        self.generation = generation
        self.started = started
    }

    /// A failure to connect is not the end.
    var isToGoOn: Bool { !addresses.isEmpty || hostsTried < hosts.count }
}

/// Where servers are: lists of hosts, names, addresses.
extension WorkerCore {
    /// The first step towards a server. False: it failed at once.
    func start(_ opening: Opening) -> Bool {
        var opening = opening
        let shard = opening.shard
        let hosts = shard.database.hosts
        guard !hosts.isEmpty else {
            return connect(opening, unixDirectory: settings.unixSocketDir.isEmpty ? "/tmp" : settings.unixSocketDir)
        }
        let first = shard.shared.hostIndex(of: hosts.count, isSticky: shard.database.loadBalanceHosts == .disable)
        opening.hosts = Array(hosts[first...] + hosts[..<first])
        return nextHost(opening)
    }

    /// The next address of the host, or the next host. Only where `isToGoOn`.
    func goOn(_ opening: Opening) -> Bool { opening.addresses.isEmpty ? nextHost(opening) : connect(opening) }

    private func nextHost(_ opening: Opening) -> Bool {
        var opening = opening
        leaveHost(opening)
        let shard = opening.shard
        let host = opening.hosts[opening.hostsTried]
        opening.host = host
        opening.hostsTried += 1
        if host.hasPrefix("/") || host.hasPrefix("@") { return connect(opening, unixDirectory: host) }
        let port = UInt16(clamping: shard.database.port)
        if let address = SocketAddress(numeric: host, port: port) {
            opening.addresses = [address]
            return connect(opening)
        }
        switch shared.hosts.withLock({ $0.find(host, now: now) }) {
        case .addresses(let addresses):
            opening.addresses = addresses.map { $0.with(port: port) }
            return connect(opening)
        case .failure(let reason):
            return lookUpFailed(opening, reason)
        case .unknown:
            return lookUp(host, for: opening)
        }
    }

    /// A list that is not balanced is gone through from failure to failure.
    func leaveHost(_ opening: Opening) {
        let database = opening.shard.database
        guard database.loadBalanceHosts == .disable, let host = opening.host, let index = database.hosts.firstIndex(of: host) else {
            return
        }
        opening.shard.shared.leaveHost(index, of: database.hosts.count)
    }

    // MARK: Names

    private func lookUp(_ host: String, for opening: Opening) -> Bool {
        let listed = HostsFile.addresses(of: host)
        if !listed.isEmpty {
            shared.hosts.withLock { $0.keep(.addresses(listed), of: host, timeToLive: settings.dnsMaxTtl, now: now) }
            var opening = opening
            opening.addresses = find(host, orElse: listed).map { $0.with(port: UInt16(clamping: opening.shard.database.port)) }
            return connect(opening)
        }
        lookups[host, default: []].append(opening)
        guard lookups[host]?.count == 1 else { return true }
        do throws(SystemError) {
            if resolver == nil { resolver = try NameResolver(on: loop, resolvConf: settings.resolvConf) }
            // Unowned: the resolver is this worker's, and ends before it.
            resolver?.ask(host) { [unowned self] answer in
                refreshClock()
                lookedUp(host, answer)
            }
        } catch {
            lookedUp(host, .failed(error.description))
        }
        return true
    }

    /// The addresses of a name that has just been kept, with the next one first; those given if it is not kept (time to live 0).
    private func find(_ host: String, orElse addresses: [SocketAddress]) -> [SocketAddress] {
        if case .addresses(let found) = shared.hosts.withLock({ $0.find(host, now: now) }) { return found }
        return addresses
    }

    private func lookedUp(_ host: String, _ answer: NameResolver.Answer) {
        switch answer {
        case .found(let addresses, let seconds):
            let timeToLive = min(Int64(seconds) * 1_000_000, settings.dnsMaxTtl)
            shared.hosts.withLock { $0.keep(.addresses(addresses), of: host, timeToLive: timeToLive, now: now) }
            for var opening in lookups.removeValue(forKey: host) ?? [] {
                opening.addresses = find(host, orElse: addresses).map { $0.with(port: UInt16(clamping: opening.shard.database.port)) }
                _ = connect(opening)
            }
        case .failed(let reason):
            shared.hosts.withLock { $0.keep(.failure(reason), of: host, timeToLive: settings.dnsNxdomainTtl, now: now) }
            for opening in lookups.removeValue(forKey: host) ?? [] { _ = lookUpFailed(opening, reason) }
        }
    }

    private func lookUpFailed(_ opening: Opening, _ reason: String) -> Bool {
        let text = "server DNS lookup failed: \(opening.host ?? ""): \(reason)"
        guard opening.isToGoOn else {
            shared.log.warning("\(mark(opening.shard)) \(text)")
            leaveHost(opening)
            openingFailed(opening, ServerLogin.error(text))
            return false
        }
        shared.log.warning("\(mark(opening.shard)) \(text), trying the next host")
        return nextHost(opening)
    }

    /// Name servers are read from the file anew.
    func renewResolver() {
        if resolver?.pending == 0 { resolver = nil }
    }

    // MARK: Connecting

    private func connect(_ opening: Opening, unixDirectory: String) -> Bool {
        guard let address = SocketAddress(unixPath: "\(unixDirectory)/.s.PGSQL.\(opening.shard.database.port)") else {
            openingFailed(opening, ServerLogin.error("Unix socket path is too long: \(unixDirectory)"))
            return false
        }
        var opening = opening
        opening.addresses = [address]
        return connect(opening)
    }

    /// Starts connecting to the first address; those after it are tried if it fails.
    private func connect(_ opening: Opening) -> Bool {
        var opening = opening
        let shard = opening.shard
        while !opening.addresses.isEmpty {
            let address = opening.addresses.removeFirst()
            do {
                let descriptor = try Connector.start(to: address, options: socketOptions)
                let slot = servers.reserve()
                let server = ServerConnection(
                    slot: slot, id: shared.nextID(), descriptor: descriptor, loop: loop, opening: opening, address: address, now: now,
                    parameters: shard.shared.greeting?.defaults ?? shard.shared.parameters.empty)
                servers.set(slot, server)
                return true
            } catch {
                shared.hosts.withLock { $0.couldNotReach(address.with(port: 0), now: now) }
                shared.log.warning("\(mark(shard)) connect to \(address.description) failed: \(error.reason)")
            }
        }
        if opening.isToGoOn { return nextHost(opening) }
        leaveHost(opening)
        openingFailed(opening, ServerLogin.error("connect failed"))
        return false
    }

    var socketOptions: SocketOptions { SocketOptions(settings) }
}
