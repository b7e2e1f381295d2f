import CLibevent

/// What the kernel said about a socket. A hint, not a promise: a socket that was closed and whose token was given to another one in
/// the same turn leaves a stale event behind, so handlers must bear a call for nothing.
public struct Readiness: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let readable = Readiness(rawValue: 1)
    public static let writable = Readiness(rawValue: 2)
    /// The other side has closed its sending half: read until the end of the stream, a short read is not the end.
    public static let closed = Readiness(rawValue: 4)

    @inline(__always)
    init(libevent what: Int16) {
        var bits: UInt8 = 0
        if what & Int16(EV_READ) != 0 { bits |= 1 }
        if what & Int16(EV_WRITE) != 0 { bits |= 2 }
        if what & Int16(EV_CLOSED) != 0 { bits |= 4 }
        rawValue = bits
    }
}

/// A socket, named by the token its owner chose, and what may be done with it.
public struct ReadyEvent: Sendable {
    public let token: UInt32
    public let readiness: Readiness
}
