/// How often which duration occurred, in buckets that grow with the duration: four for each doubling, so a bucket is at most a quarter
/// of its lower bound wide.
///
/// Recording is a few instructions and allocates nothing: it happens on the query path.
@frozen public struct Histogram: Sendable {
    /// Buckets in all; the last one holds everything from about 4.2 hours on.
    public static let bucketCount = 132

    @usableFromInline var counts = InlineArray<132, Int64>(repeating: 0)

    /// No duration yet.
    @inlinable
    public init() {}

    /// The bucket of a duration in microseconds. Durations below 4 have a bucket each.
    @inlinable @inline(__always)
    public static func bucket(of duration: Int64) -> Int {
        guard duration >= 4 else { return max(0, Int(duration)) }
        let exponent = 63 - duration.leadingZeroBitCount
        let quarter = Int(truncatingIfNeeded: duration &>> Int64(exponent &- 2)) & 3
        return min((exponent &- 1) &* 4 &+ quarter, bucketCount &- 1)
    }

    /// The shortest duration, in microseconds, that falls into a bucket.
    public static func lowerBound(of bucket: Int) -> Int64 {
        guard bucket >= 4 else { return Int64(max(0, bucket)) }
        let exponent = bucket / 4 + 1
        return Int64(4 + bucket % 4) << Int64(exponent - 2)
    }

    /// Counts one duration, in microseconds.
    @inlinable @inline(__always)
    public mutating func record(_ duration: Int64) {
        counts[Self.bucket(of: duration)] &+= 1
    }

    /// How many durations fell into a bucket.
    public subscript(bucket: Int) -> Int64 { counts[bucket] }

    /// How many durations were recorded.
    public var count: Int64 {
        var sum: Int64 = 0
        for bucket in 0..<Self.bucketCount { sum += counts[bucket] }
        return sum
    }

    /// How many recorded durations are shorter than `bound` microseconds; exact for the lower bound of a bucket.
    public func count(below bound: Int64) -> Int64 {
        var sum: Int64 = 0
        for bucket in 0..<Self.bucketCount where Self.lowerBound(of: bucket) < bound { sum += counts[bucket] }
        return sum
    }

    /// The duration in microseconds that a share (0 to 1) of all durations does not exceed, interpolated inside its bucket; nil when
    /// nothing was recorded.
    public func quantile(_ share: Double) -> Double? {
        let total = count
        guard total > 0 else { return nil }
        let rank = min(1, max(0, share)) * Double(total)
        var before = 0.0
        for bucket in 0..<Self.bucketCount where counts[bucket] > 0 {
            let inside = Double(counts[bucket])
            if before + inside >= rank {
                let low = Double(Self.lowerBound(of: bucket))
                let high = bucket + 1 < Self.bucketCount ? Double(Self.lowerBound(of: bucket + 1)) : low
                // The buckets below 4 hold one whole microsecond each.
                return bucket < 4 ? low : low + (high - low) * (rank - before) / inside
            }
            before += inside
        }
        return nil
    }

    /// Adds what another histogram has counted.
    public static func += (sum: inout Histogram, other: Histogram) {
        for bucket in 0..<bucketCount { sum.counts[bucket] &+= other.counts[bucket] }
    }

    /// What was counted since an earlier copy.
    public static func - (now: Histogram, earlier: Histogram) -> Histogram {
        var difference = now
        for bucket in 0..<bucketCount { difference.counts[bucket] &-= earlier.counts[bucket] }
        return difference
    }
}
