/// A version of the protocol with servers (`min_protocol_version`, `max_protocol_version`), with libpq's words.
public enum ProtocolLimit: String, Sendable, Equatable, CaseIterable {
    /// What every server speaks.
    case oldest = "3.0"
    /// From PostgreSQL 18 on.
    case longKeys = "3.2"
    /// The newest that is spoken here.
    case latest

    /// The version's second number.
    public var minor: UInt16 {
        switch self {
        case .oldest: 0
        case .longKeys, .latest: 2
        }
    }
}

/// Which versions of the protocol are spoken with a server.
public struct ProtocolLimits: Sendable, Equatable {
    /// `min_protocol_version`: a server that only speaks an older one is turned away.
    public var oldest = ProtocolLimit.oldest
    /// `max_protocol_version`: what servers are asked for.
    public var newest: ProtocolLimit?

    /// As libpq 18: 3.0, which also those servers and poolers understand that do not negotiate.
    public init() {}

    /// The versions' second numbers. Whoever insists on a newer one than 3.0 is not held back by a maximum that nobody gave.
    public var minors: ClosedRange<UInt16> {
        let newest = (newest ?? (oldest.minor > 0 ? .latest : .oldest)).minor
        return min(oldest.minor, newest)...newest
    }

    /// What is wrong with the two; nil for nothing.
    var problem: String? {
        guard let newest, newest.minor < oldest.minor else { return nil }
        return "\(oldest.rawValue) is newer than max_protocol_version, which is \(newest.rawValue)"
    }
}
