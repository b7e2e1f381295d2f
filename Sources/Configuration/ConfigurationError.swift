/// A fault in a configuration file or a database URL, placed so that an editor can jump to it.
public struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file as it was named on the command line or after `%include`.
    public let file: String
    /// The line, counted from 1; 0 when the fault is not in one line.
    public let line: Int
    /// The setting or part that is wrong, where the fault is in a value.
    public let key: String?
    /// What is wrong and what was expected, in one line without a full stop.
    public let message: String

    /// Describes a fault.
    public init(file: String, line: Int = 0, key: String? = nil, message: String) {
        self.file = file
        self.line = line
        self.key = key
        self.message = message
    }

    /// `FILE:LINE: KEY: MESSAGE`, without the parts that are not known.
    public var description: String {
        var text = file
        if line > 0 { text += ":\(line)" }
        if let key { text += ": \(key)" }
        return text + ": " + message
    }
}

/// A value that its setting does not take. The caller knows which setting and line it came from.
public struct InvalidValue: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong and what was expected.
    public let message: String

    /// Describes a value that was refused.
    public init(_ message: String) {
        self.message = message
    }

    /// The message.
    public var description: String { message }
}
