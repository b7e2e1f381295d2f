/// A run of PBKDF2 that a login waits for. It takes milliseconds, so it is described as a value and run where it delays nobody else.
public struct KeyDerivation: Sendable, Hashable {
    /// As typed or stored; SASLprep is applied by ``run()``.
    public let password: [UInt8]
    public let salt: [UInt8]
    /// At least 1; the time is proportional to it.
    public let iterations: Int

    public init(password: [UInt8], salt: [UInt8], iterations: Int) {
        self.password = password
        self.salt = salt
        self.iterations = iterations
    }

    /// Does the work. May be called on any thread.
    public func run() -> SaltedPassword {
        SaltedPassword.derive(password: password, salt: salt, iterations: iterations)
    }
}

extension KeyDerivation: CustomStringConvertible, CustomDebugStringConvertible {
    /// Names the kind and nothing secret.
    public var description: String { "PBKDF2, \(iterations) iterations" }
    public var debugDescription: String { description }
}
