import EventLoop
import PoolCore
import PostgresWire

/// A server connection that is being made: where it goes, and where else it may.
struct Opening {
    let shard: PoolShard
    let generation: UInt32
    let started: Int64
    /// What of the database's list of hosts is tried; nil for the Unix socket that stands for an empty list.
    var host: String?
    /// The list as it was when this began: each host and the port there.
    var hosts: [(host: String, port: Int)] = []
    /// Which of them is tried first, and how many have been tried.
    var firstHost = 0
    var hostsTried = 0
    /// The place in the list of the one that is tried; nil for none.
    var hostIndex: Int? { hosts.isEmpty || hostsTried == 0 ? nil : (firstHost + hostsTried - 1) % hosts.count }
    /// The replication client that the server is for, if it is for one.
    var lease: ReplicationLease?
    /// The question at the start that this server is to answer, if it is the first one.
    var probe: StartProbe?
    /// Addresses of `host` that have not been tried.
    var addresses: [SocketAddress] = []
    /// The password for this host, if it comes from a file or a command; and whether the server has refused one before.
    var password: ServerPassword?
    var hasAskedAgain = false

    init(shard: PoolShard, generation: UInt32, started: Int64) {
        self.shard = shard
        self.generation = generation
        self.started = started
    }

    /// A failure to connect is not the end.
    var isToGoOn: Bool { !addresses.isEmpty || hostsTried < hosts.count }
}

/// Where servers are: lists of hosts, names, addresses.
extension ServerOpener {
    /// The first step towards a server. False: it failed at once.
    func start(_ opening: Opening) -> Bool {
        var opening = opening
        let shard = opening.shard
        guard !shard.database.hosts.isEmpty else {
            let directory = settings.unixSocketDir.isEmpty ? "/tmp" : settings.unixSocketDir
            let port = shard.database.port
            return withPassword(opening, host: directory, port: port) { [unowned self] in connect($0, unixDirectory: directory, port: port)
            }
        }
        opening.hosts = shard.database.places(unixDirectory: "")
        opening.firstHost = shard.shared.hostIndex(of: opening.hosts.count, isSticky: shard.database.loadBalanceHosts == .disable)
        return nextHost(opening)
    }

    /// The next address of the host, or the next host. Only where `isToGoOn`.
    func goOn(_ opening: Opening) -> Bool { opening.addresses.isEmpty ? nextHost(opening) : connect(opening) }

    private func nextHost(_ opening: Opening) -> Bool {
        var opening = opening
        leaveHost(opening)
        let (host, port) = opening.hosts[(opening.firstHost + opening.hostsTried) % opening.hosts.count]
        opening.host = host
        opening.hostsTried += 1
        return withPassword(opening, host: host, port: port) { [unowned self] in connect($0, host: host, port: port) }
    }

    private func connect(_ opening: Opening, host: String, port: Int) -> Bool {
        if host.hasPrefix("/") || host.hasPrefix("@") { return connect(opening, unixDirectory: host, port: port) }
        var isImmediate = true
        var didStart = true
        hosts.find(host, port: UInt16(clamping: port), now: now) { [unowned self] finding in
            var opening = opening
            let succeeded: Bool
            switch finding {
            case .addresses(let addresses):
                opening.addresses = addresses
                succeeded = connect(opening)
            case .failure(let reason):
                succeeded = lookUpFailed(opening, reason)
            case .unknown:
                succeeded = lookUpFailed(opening, "no answer")
            }
            if isImmediate { didStart = succeeded }
        }
        isImmediate = false
        return didStart
    }

    /// A list that is not balanced is gone through from failure to failure.
    func leaveHost(_ opening: Opening) {
        guard opening.shard.database.loadBalanceHosts == .disable, let index = opening.hostIndex else { return }
        opening.shard.shared.leaveHost(index, of: opening.hosts.count)
    }

    private func lookUpFailed(_ opening: Opening, _ reason: String) -> Bool {
        let failure = OpeningFailure.hostUnknown(host: opening.host ?? "", reason)
        guard opening.isToGoOn else {
            shared.log.warning("\(failure.message)", about: subject(opening.shard))
            leaveHost(opening)
            openingFailed(opening, failure)
            return false
        }
        shared.log.warning("\(failure.message), trying the next host", about: subject(opening.shard))
        return nextHost(opening)
    }

    // MARK: Connecting

    private func connect(_ opening: Opening, unixDirectory: String, port: Int) -> Bool {
        guard let address = SocketAddress(unixPath: "\(unixDirectory)/.s.PGSQL.\(port)") else {
            openingFailed(opening, .pathTooLong(unixDirectory))
            return false
        }
        var opening = opening
        opening.addresses = [address]
        return connect(opening)
    }

    /// Starts connecting to the first address; those after it are tried if it fails.
    func connect(_ opening: Opening) -> Bool {
        var opening = opening
        let shard = opening.shard
        var reason: String?
        while !opening.addresses.isEmpty {
            let address = opening.addresses.removeFirst()
            do {
                let descriptor = try Connector.start(to: address, options: socketOptions)
                let slot = worker.servers.reserve()
                let server = ServerConnection(
                    slot: slot, id: shared.nextID(), descriptor: descriptor, loop: worker.loop, opening: opening, address: address,
                    now: now,
                    settings: ServerParameters(empty: shard.shared.parameters.empty))
                worker.servers.set(slot, server)
                shard.shared.countServer(server.generation, 1)
                return true
            } catch {
                shared.hosts.withLock { $0.couldNotReach(address.with(port: 0), now: now) }
                shared.log.warning("connect to \(address.description) failed: \(error.reason)", about: subject(shard))
                reason = error.reason
            }
        }
        if opening.isToGoOn { return nextHost(opening) }
        leaveHost(opening)
        openingFailed(opening, .connectFailed(reason))
        return false
    }

    var socketOptions: SocketOptions { SocketOptions(settings) }
}
