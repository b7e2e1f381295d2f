/// What is known of host names: addresses and failures, each for a while. Times are microseconds of one clock.
public struct HostCache<Address: Hashable & Sendable>: Sendable {
    /// What a name is known to mean.
    public enum Finding: Sendable, Equatable {
        /// Where to connect, in the order in which to try.
        case addresses([Address])
        /// The name was looked up a moment ago and has no address.
        case failure(String)
        /// It has to be looked up.
        case unknown
    }

    /// One name, for an operator.
    public struct Line: Sendable, Equatable {
        /// The name as the configuration has it.
        public let name: String
        /// Seconds that the entry is still good for.
        public let timeToLive: Int
        /// All that it means.
        public let addresses: [Address]

        /// Makes a line.
        public init(name: String, timeToLive: Int, addresses: [Address]) {
            (self.name, self.timeToLive, self.addresses) = (name, timeToLive, addresses)
        }
    }

    private struct Entry: Sendable {
        var finding: Finding
        var expires: Int64
        /// The address that is the next one's turn.
        var turn = 0
        /// When connecting to it failed last.
        var failed: [Address: Int64] = [:]
    }

    private var entries: [String: Entry] = [:]

    /// How long an address that could not be reached comes after the others of its name.
    public static var penalty: Int64 { 60_000_000 }
    /// Names come from the configuration; more than this are leftovers of earlier ones.
    private static var sweepAbove: Int { 100 }

    public init() {}

    /// The addresses of a name, each time beginning with the next one; those that could not be reached come last.
    public mutating func find(_ name: String, now: Int64) -> Finding {
        guard var entry = entries[name], now < entry.expires else { return .unknown }
        guard case .addresses(let all) = entry.finding, all.count > 1 else { return entry.finding }
        let first = entry.turn % all.count
        entry.turn = first + 1
        entry.failed = entry.failed.filter { now - $0.value < Self.penalty }
        entries[name] = entry
        let turned = all[first...] + all[..<first]
        return .addresses(turned.filter { entry.failed[$0] == nil } + turned.filter { entry.failed[$0] != nil })
    }

    /// Keeps an answer for `timeToLive` microseconds.
    public mutating func keep(_ finding: Finding, of name: String, timeToLive: Int64, now: Int64) {
        if entries.count > Self.sweepAbove { entries = entries.filter { now < $0.value.expires } }
        var entry = Entry(finding: finding, expires: now + timeToLive)
        if let old = entries[name] { (entry.turn, entry.failed) = (old.turn, old.failed) }
        entries[name] = entry
    }

    /// An address could not be reached. When that holds for all addresses of a name, it is looked up again before it is used again.
    public mutating func couldNotReach(_ address: Address, now: Int64) {
        for (name, entry) in entries {
            guard case .addresses(let all) = entry.finding, all.contains(address) else { continue }
            entries[name]?.failed[address] = now
            if all.allSatisfy({ $0 == address || entry.failed[$0].map { now - $0 < Self.penalty } == true }) {
                entries[name]?.expires = now
            }
        }
    }

    /// The names with addresses that hold, in alphabetical order.
    public func lines(now: Int64) -> [Line] {
        entries.compactMap { name, entry in
            guard case .addresses(let all) = entry.finding, now < entry.expires else { return nil }
            return Line(name: name, timeToLive: Int((entry.expires - now) / 1_000_000), addresses: all)
        }.sorted { $0.name < $1.name }
    }
}
