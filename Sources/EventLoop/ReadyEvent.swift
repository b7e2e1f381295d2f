import CLibevent

/// What the kernel said about a socket. A hint, not a promise: a socket that was closed and whose token was given to another one in
/// the same turn leaves a stale event behind, so handlers must bear a call for nothing.
public struct Readiness: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    // libevent's own bits, so that nothing is translated for each event.
    public static let readable = Readiness(rawValue: UInt8(EV_READ))
    public static let writable = Readiness(rawValue: UInt8(EV_WRITE))
    /// The other side has closed its sending half: read until the end of the stream, a short read is not the end.
    public static let closed = Readiness(rawValue: UInt8(EV_CLOSED))

    @inline(__always)
    init(libevent what: Int16) { rawValue = UInt8(truncatingIfNeeded: what) }
}

/// A socket, named by the token its owner chose, and what may be done with it.
public struct ReadyEvent: Sendable {
    public let token: UInt32
    public let readiness: Readiness
}
