import Configuration
import EventLoop
import PoolCore

/// Addresses of the hosts of one worker's connections: of `/etc/hosts`, and of name servers, which are asked on the worker's own loop. What
/// they answer is kept for all workers (`SharedState.hosts`).
final class HostResolver {
    typealias Finding = HostCache<SocketAddress>.Finding

    private let loop: EventLoop
    private let shared: SharedState
    /// What the time is when an answer comes, which is between two turns.
    private let clock: () -> Int64
    /// Who waits for a host name to be looked up.
    private var waiting: [String: [(Finding) -> Void]] = [:]
    /// Made when the first name is looked up.
    private var resolver: NameResolver?
    /// Those of earlier configurations that still wait for answers.
    private var formerResolvers: [NameResolver] = []
    /// For how long a failure is kept, how long an address at most, and where the name servers stand.
    private var settings: Settings

    init(loop: EventLoop, shared: SharedState, settings: Settings, clock: @escaping () -> Int64) {
        self.loop = loop
        self.shared = shared
        self.settings = settings
        self.clock = clock
    }

    /// Names that are being looked up.
    var pending: Int { waiting.count }

    /// Name servers are read from the file anew.
    func apply(_ settings: Settings) {
        self.settings = settings
        // Who has been asked already may still answer.
        if let old = resolver, old.pending > 0 { formerResolvers.append(old) }
        resolver = nil
    }

    /// Drops resolvers of earlier configurations that nobody waits for any more.
    func sweep() { formerResolvers.removeAll { $0.pending == 0 } }

    /// Finds the addresses of a host, those first whose turn it is. `done` is called at once when they are known.
    func find(_ host: String, port: UInt16, now: Int64, _ done: @escaping (Finding) -> Void) {
        if let address = SocketAddress(numeric: host, port: port) { return done(.addresses([address])) }
        func answer(_ finding: Finding) {
            if case .addresses(let addresses) = finding { done(.addresses(addresses.map { $0.with(port: port) })) } else { done(finding) }
        }
        let known = shared.hosts.withLock { $0.find(host, now: now) }
        if known != .unknown { return answer(known) }
        let listed = HostsFile.addresses(of: host)
        if !listed.isEmpty {
            keep(.addresses(listed), of: host, for: settings.dnsMaxTtl, now: now)
            return answer(next(of: host, orElse: .addresses(listed), now: now))
        }
        waiting[host, default: []].append(answer)
        guard waiting[host]?.count == 1 else { return }
        do throws(SystemError) {
            if resolver == nil { resolver = try NameResolver(on: loop, resolvConf: settings.resolvConf) }
            // Unowned: the resolver is this object's, and ends before it.
            resolver?.ask(host) { [unowned self] answer in answered(host, answer, now: clock()) }
        } catch {
            answered(host, .failed(error.description), now: now)
        }
    }

    private func keep(_ finding: Finding, of host: String, for time: Int64, now: Int64) {
        shared.hosts.withLock { $0.keep(finding, of: host, timeToLive: time, now: now) }
    }

    /// What has just been kept, with the next address first; what was found itself if it may not be kept (time to live 0).
    private func next(of host: String, orElse finding: Finding, now: Int64) -> Finding {
        let known = shared.hosts.withLock { $0.find(host, now: now) }
        return known == .unknown ? finding : known
    }

    private func answered(_ host: String, _ answer: NameResolver.Answer, now: Int64) {
        let finding: Finding
        switch answer {
        case .found(let addresses, let seconds):
            finding = .addresses(addresses)
            keep(finding, of: host, for: min(Int64(seconds) * 1_000_000, settings.dnsMaxTtl), now: now)
        case .failed(let reason):
            finding = .failure(reason)
            keep(finding, of: host, for: settings.dnsNxdomainTtl, now: now)
        }
        for done in waiting.removeValue(forKey: host) ?? [] { done(next(of: host, orElse: finding, now: now)) }
    }
}
