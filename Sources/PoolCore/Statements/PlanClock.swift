import Synchronization

/// The order in which the plans of a database were made, and in which clients have sent their Parses: numbers that only go up, called
/// *moments*. Their upper half is the time in seconds.
final class PlanClock: Sendable {
    private let now = Atomic<UInt64>(1)
    private let from = Atomic<UInt64>(0)

    /// A moment that is later than all others.
    func moment() -> UInt64 { now.add(1, ordering: .relaxed).newValue }

    /// A plan that was made before this moment answers no further Parse: the catalogue has changed since, or it is too old.
    @inline(__always)
    var freshFrom: UInt64 { from.load(ordering: .relaxed) }

    /// The catalogue has changed, or may have.
    func beginEpoch() { from.max(moment(), ordering: .relaxed) }

    /// Time has passed. `maxAge`: in seconds; 0 for no limit.
    func advance(to seconds: Int, maxAge: Int) {
        now.max(UInt64(max(seconds, 0)) << 32, ordering: .relaxed)
        if maxAge > 0, seconds > maxAge { from.max(UInt64(seconds - maxAge) << 32, ordering: .relaxed) }
    }
}
