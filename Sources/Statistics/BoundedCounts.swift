/// Counts by name, of which there are only so many: names beyond the limit are counted together. So whoever can make names up (SQLSTATEs
/// of RAISE, texts in reasons) can't fill the memory, nor a monitoring system.
public struct BoundedCounts: Sendable, Equatable {
    /// What the surplus is called.
    public static let other = "other"

    /// Longer names are cut to this many bytes.
    public static let nameLimit = 64

    /// How many names are kept apart.
    public let limit: Int
    /// The counts.
    public private(set) var counts: [String: Int64] = [:]

    /// No counts yet.
    public init(limit: Int) {
        self.limit = limit
    }

    /// The count of a name.
    public subscript(name: String) -> Int64 { counts[name, default: 0] }

    /// Counts one more, or several.
    public mutating func add(_ name: String, _ count: Int64 = 1) {
        let name = name.utf8.count <= Self.nameLimit ? name : Self.cut(name)
        let isKnown = counts.count < limit || counts[name] != nil
        counts[isKnown ? name : Self.other, default: 0] &+= count
    }

    private static func cut(_ name: String) -> String {
        var (result, length) = (String.UnicodeScalarView(), 0)
        for scalar in name.unicodeScalars {
            length += UTF8.width(scalar)
            if length > nameLimit { break }
            result.append(scalar)
        }
        return String(result)
    }

    /// Adds what was counted elsewhere.
    public static func += (sum: inout BoundedCounts, other: BoundedCounts) {
        for (name, count) in other.counts { sum.add(name, count) }
    }
}
