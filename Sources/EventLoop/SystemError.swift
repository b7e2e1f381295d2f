import Glibc

/// A system call that failed.
public struct SystemError: Error, Sendable, CustomStringConvertible {
    public let call: String
    public let number: Int32

    public init(call: String, number: Int32) {
        self.call = call
        self.number = number
    }

    /// There is no memory for what the call would bring.
    public static func outOfMemory(_ call: String) -> SystemError { SystemError(call: call, number: ENOMEM) }

    /// The kernel's words, such as `Connection refused`.
    public var reason: String { ErrorNumber(number).reason }
    public var description: String { "\(call): \(reason)" }
}

/// Why a system call failed, without which. The results of `Socket.receive` and `send` hold it: with no text inside they need no clean-up,
/// which would be paid in every transaction.
public struct ErrorNumber: Sendable {
    public let number: Int32

    public init(_ number: Int32) { self.number = number }

    /// The kernel's words, such as `Connection reset by peer`.
    public var reason: String { String(cString: strerror(number)) }
}
