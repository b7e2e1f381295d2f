/// SplitMix64: the same seed gives the same numbers, on every machine and in every version.
public struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    /// For one of many that share a seed: each its own sequence.
    public init(seed: UInt64, stream: Int) { state = Self.seed(seed, stream: stream) }

    /// A seed for one of many that share one.
    static func seed(_ seed: UInt64, stream: Int) -> UInt64 {
        var mixer = SeededRandom(seed: seed ^ UInt64(truncatingIfNeeded: stream) &* 0x9e37_79b9_7f4a_7c15)
        return mixer.next()
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }

    /// From 0 up to, but not including, 1.
    public mutating func fraction() -> Double { Double(next() >> 11) * 0x1p-53 }
}
