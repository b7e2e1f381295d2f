import Bytes
import PostgresWire

/// What a server said of a prepared statement when it described it: a digest of the types of its parameters, and one of the names and types
/// of its columns.
///
/// Drivers decode by what they were told once. So what a name was told is compared with what the server's plan gives.
public struct PlanDescription: Sendable, Equatable {
    /// 0: not known.
    var columns: UInt32 = 0
    /// 0: not known.
    var parameters: UInt32 = 0

    @inline(__always)
    init(columns: UInt32 = 0, parameters: UInt32 = 0) {
        self.columns = columns
        self.parameters = parameters
    }

    static let unknown = PlanDescription()

    @inline(__always)
    var isUnknown: Bool { self == .unknown }
    var isWhole: Bool { columns != 0 && parameters != 0 }

    /// Nothing of the other one is known to be different.
    func agrees(with other: PlanDescription) -> Bool {
        (columns == other.columns || columns == 0 || other.columns == 0)
            && (parameters == other.parameters || parameters == 0 || other.parameters == 0)
    }

    /// All that is known of the other one is known here, too.
    func covers(_ other: PlanDescription) -> Bool {
        (other.columns == 0 || columns != 0) && (other.parameters == 0 || parameters != 0)
    }

    // MARK: Digests of messages

    /// The digest of a ParameterDescription.
    static func digest(parameters frame: Frame, _ bytes: Span<UInt8>, at offset: Int) -> UInt32 {
        // One that is not all here is too long to be looked at.
        guard frame.length <= bytes.count - offset else { return digest(ofLength: frame.length) }
        return digest(bytes.extracting(frame.body(at: offset)))
    }

    /// The digest of a RowDescription or NoData. The table that a column is from is no part of it, nor its format: PostgreSQL does not look at
    /// them either when it decides whether a plan gives what it gave.
    static func digest(columns frame: Frame, _ bytes: Span<UInt8>, at offset: Int) -> UInt32 {
        guard frame.length <= bytes.count - offset else { return digest(ofLength: frame.length) }
        let body = bytes.extracting(frame.body(at: offset))
        var kept: [UInt8] = [frame.type]
        // Behind the count: a name, six bytes of table and column, eight of type, its length and modifier (the latter are ten), two of format.
        var at = 2
        while at < body.count {
            while at < body.count, body[at] != 0 {
                kept.append(body[at])
                at += 1
            }
            kept.append(0)
            let type = at + 7..<at + 17
            guard type.upperBound <= body.count else { break }
            for index in type { kept.append(body[index]) }
            at = type.upperBound + 2
        }
        return digest(kept.span)
    }

    private static func digest(_ bytes: Span<UInt8>) -> UInt32 {
        let hash = BytesHash.of(bytes)
        return max(1, UInt32(truncatingIfNeeded: hash ^ hash >> 32))
    }

    private static func digest(ofLength length: Int) -> UInt32 { UInt32(truncatingIfNeeded: max(1, length)) }
}
