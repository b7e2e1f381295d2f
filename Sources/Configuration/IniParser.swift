/// One thing that a configuration file says.
public enum IniEvent: Sendable, Equatable {
    /// `[name]`.
    case section(String)
    /// `key = value`; the value may be empty.
    case entry(key: String, value: String)
    /// `%include path`.
    case include(String)
    /// `%expand_environment`: `${NAME}` in the values that follow stands for a variable.
    case expandEnvironment
}

/// Reads one configuration file from its bytes, event by event, with PgBouncer's rules:
/// comments fill whole lines, values reach to the end of the line and have no quoting.
public struct IniParser {
    /// The line of the event that was returned last, from 1.
    public private(set) var line = 1

    private let bytes: [UInt8]
    private let file: String
    private var position = 0
    /// The line that `position` is in.
    private var currentLine = 1

    /// Starts at the first byte. `file` is the name for messages.
    public init(_ bytes: [UInt8], file: String) throws(ConfigurationError) {
        self.bytes = bytes
        self.file = file
        if let zero = bytes.firstIndex(of: 0) {
            let line = 1 + bytes[..<zero].count { $0 == Self.newline }
            throw ConfigurationError(file: file, line: line, message: "the line holds a NUL byte")
        }
    }

    /// The next event, or nil at the end of the file.
    public mutating func next() throws(ConfigurationError) -> IniEvent? {
        while let byte = peek {
            if Self.isSpace(byte) {
                if byte == Self.newline { currentLine += 1 }
                position += 1
            } else if byte == UInt8(ascii: ";") || byte == UInt8(ascii: "#") {
                skipToLineEnd()
            } else {
                line = currentLine
                if byte == UInt8(ascii: "[") { return try section() }
                if byte == UInt8(ascii: "%") { return try directive() }
                return try entry()
            }
        }
        return nil
    }

    /// Leaves out what is unread of the line, after a fault in it.
    public mutating func skipLine() { skipToLineEnd() }

    /// What follows the bracket on the same line is read on its own, so a comment may stand there.
    private mutating func section() throws(ConfigurationError) -> IniEvent {
        position += 1
        let start = position
        while let byte = peek, byte != UInt8(ascii: "]"), byte != Self.newline { position += 1 }
        guard peek == UInt8(ascii: "]") else { throw fault("the section name has no closing \"]\"") }
        let name = try text(start..<position)
        position += 1
        return .section(name)
    }

    private mutating func directive() throws(ConfigurationError) -> IniEvent {
        let expansion = Array("%expand_environment".utf8)
        if bytes[position...].starts(with: expansion) {
            position += expansion.count
            guard try value().isEmpty else { throw fault("expected nothing after %expand_environment") }
            return .expandEnvironment
        }
        let directive = Array("%include".utf8)
        guard bytes[position...].starts(with: directive) else {
            throw fault("unknown directive: expected %include FILE or %expand_environment")
        }
        position += directive.count
        guard let byte = peek, Self.isBlank(byte) else { throw fault("expected a file name after %include") }
        let path = try value()
        guard !path.isEmpty else { throw fault("expected a file name after %include") }
        return .include(path)
    }

    private mutating func entry() throws(ConfigurationError) -> IniEvent {
        let key = try peek == UInt8(ascii: "'") ? quotedKey() : plainKey()
        skipBlanks()
        guard peek == UInt8(ascii: "=") else {
            if let byte = peek, !Self.isSpace(byte), !isAtBlank {
                throw fault("a key with anything but letters, digits, \"_\", \".\", \"-\" and \"*\" needs single quotes")
            }
            throw fault("expected \"=\" after \"\(key)\"")
        }
        guard !key.isEmpty else { throw fault("expected a key before \"=\"") }
        position += 1
        return .entry(key: key, value: try value())
    }

    /// Whether blanks were skipped right before the current byte.
    private var isAtBlank: Bool {
        position > 0 && Self.isBlank(bytes[position - 1])
    }

    private mutating func plainKey() throws(ConfigurationError) -> String {
        let start = position
        while let byte = peek, Self.isKeyByte(byte) { position += 1 }
        return try text(start..<position)
    }

    private mutating func quotedKey() throws(ConfigurationError) -> String {
        var key: [UInt8] = []
        position += 1
        while let byte = peek, byte != Self.newline {
            position += 1
            if byte == UInt8(ascii: "'") {
                guard peek == UInt8(ascii: "'") else { return try text(key[...]) }
                position += 1
            }
            key.append(byte)
        }
        throw fault("the quoted key has no closing quote")
    }

    private mutating func value() throws(ConfigurationError) -> String {
        skipBlanks()
        let start = position
        skipToLineEnd()
        var end = position
        while end > start, Self.isSpace(bytes[end - 1]) { end -= 1 }
        return try text(start..<end)
    }

    private func text(_ range: Range<Int>) throws(ConfigurationError) -> String {
        try text(bytes[range])
    }

    private func text(_ slice: ArraySlice<UInt8>) throws(ConfigurationError) -> String {
        guard let text = String(validating: slice, as: UTF8.self) else { throw fault("the line is not valid UTF-8") }
        return text
    }

    private func fault(_ message: String) -> ConfigurationError {
        ConfigurationError(file: file, line: line, message: message)
    }

    private var peek: UInt8? {
        position < bytes.count ? bytes[position] : nil
    }

    private mutating func skipBlanks() {
        while let byte = peek, Self.isBlank(byte) { position += 1 }
    }

    private mutating func skipToLineEnd() {
        while let byte = peek, byte != Self.newline { position += 1 }
    }

    private static let newline = UInt8(ascii: "\n")

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
    }

    /// C's `isspace`, which makes CRLF files work.
    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || (9...13).contains(byte)
    }

    private static func isKeyByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "*"):
            true
        default: false
        }
    }
}
