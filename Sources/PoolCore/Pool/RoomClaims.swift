/// Room for pools whose startup values set them apart from the others of their family: these hold servers that are no use to them.
///
/// An idle server makes room at once. Where all are busy, the next one that is free is closed for the pool that has waited longest, as long
/// as the clients of its own pool have not waited about as long: a server that is opened anew for each transaction would serve nobody well.
/// One worker's list of what it and others have claimed.
public struct RoomClaims: Sendable {
    /// Somebody waits in a pool that has no room for another server, since other pools of its family have them all.
    private struct Claim {
        /// Since when the client waits that has waited longest.
        let since: Int64
        /// When this was said last. Who still waits says it again.
        let time: Int64
    }

    /// For so long the clients of a pool may go first though those of another one have waited longer (microseconds).
    static let turn: Int64 = 50_000
    /// A claim is void when it has not been repeated for so long (microseconds); the janitor repeats it more often.
    static let life: Int64 = 1_000_000

    private var claims: [CapacityLedger.PoolKey: Claim] = [:]
    /// The pool that room is made for just now.
    private var beneficiary: CapacityLedger.PoolKey?

    /// No claims.
    public init() {}

    public var isEmpty: Bool { claims.isEmpty }

    /// A pool claims room for a client that has waited since then. True: the other workers are to hear of it.
    public mutating func claim(_ pool: CapacityLedger.PoolKey, since: Int64, now: Int64) -> Bool {
        let isNews = claims[pool].map { now - $0.time > Self.turn } ?? true
        claims[pool] = Claim(since: since, time: now)
        return isNews
    }

    /// The pool for which a free server of another pool of the family is to be closed; its claim is over. `oldestDemand`: since when the
    /// clients of the server's own pool wait, in all workers; `Int64.max`: nobody does.
    public mutating func takeRival(of pool: CapacityLedger.PoolKey, oldestDemand: Int64, now: Int64) -> CapacityLedger.PoolKey? {
        claims = claims.filter { now - $0.value.time < Self.life }
        let limit = oldestDemand < .max ? oldestDemand - Self.turn : .max
        let rivals = claims.filter { $0.key.family == pool.family && $0.key != pool && $0.value.since < limit }
        guard let rival = rivals.min(by: { $0.value.since < $1.value.since })?.key else { return nil }
        claims[rival] = nil
        return rival
    }

    /// Room is being made for this pool: no other one of its family takes it.
    public mutating func beginYielding(to pool: CapacityLedger.PoolKey) { beneficiary = pool }

    /// It has been made.
    public mutating func endYielding() { beneficiary = nil }

    /// Room is just being made for another pool of the family.
    public func isYielding(_ pool: CapacityLedger.PoolKey) -> Bool {
        guard let beneficiary else { return false }
        return beneficiary != pool && beneficiary.family == pool.family
    }
}
