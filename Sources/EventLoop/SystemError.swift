import Glibc

/// A system call that failed.
public struct SystemError: Error, Sendable, CustomStringConvertible {
    public let call: String
    public let number: Int32

    public init(call: String, number: Int32) {
        self.call = call
        self.number = number
    }

    /// The kernel's words, such as `Connection refused`.
    public var reason: String { String(cString: strerror(number)) }
    public var description: String { "\(call): \(reason)" }
}
