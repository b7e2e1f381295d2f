/// A stage in the life of a connection, and which stage may follow which.
public protocol Stage: RawRepresentable<UInt8>, CaseIterable, Sendable {
    /// The stages that may follow this one, as bits: they are asked for on the query path.
    var followers: UInt16 { get }
}

extension Stage {
    @inlinable @inline(__always)
    public var bit: UInt16 { 1 &<< UInt16(rawValue) }

    /// Whether this stage may be followed by another one.
    @inlinable @inline(__always)
    public func mayBecome(_ other: Self) -> Bool { followers & other.bit != 0 }
}
