import Bytes

/// The users of `auth_file`, with their secrets as they are written there: plain text, an MD5 hash or a SCRAM secret.
public struct UserList: Sendable, Equatable {
    /// Secrets by user name; an empty secret matches no password.
    public private(set) var secrets: NameTable<String>
    /// What stopped the reading before the end of the file.
    public private(set) var fault: ConfigurationError?

    /// Most secrets are plain passwords, neither SCRAM secrets nor MD5 hashes.
    public var isMostlyPlain: Bool {
        let plain = secrets.values.count { !$0.utf8.starts(with: "SCRAM-SHA-256$".utf8) && !$0.utf8.starts(with: "md5".utf8) }
        return plain > secrets.count / 2
    }

    /// Most secrets are SCRAM secrets, so that most users are asked for SCRAM, under `md5` as well. Counted once: it is looked at whenever
    /// somebody comes who is not in the list.
    public private(set) var isMostlySCRAM = false

    private static func isMostlySCRAM(_ secrets: NameTable<String>) -> Bool {
        secrets.values.count { $0.utf8.starts(with: "SCRAM-SHA-256$".utf8) } > secrets.count / 2
    }

    /// A list made by hand.
    public init(secrets: NameTable<String> = [:]) {
        self.secrets = secrets
        isMostlySCRAM = Self.isMostlySCRAM(secrets)
    }

    /// Reads `"name" "secret"` lines. `""` inside quotes is one quote, the rest of a line is ignored, `;` starts a comment
    /// line. The first broken line stops the reading and leaves a fault; users before it stay. `file` is for its text.
    public init(parsing bytes: [UInt8], file: String) {
        secrets = [:]
        var scanner = Scanner(bytes: bytes)
        do throws(InvalidValue) {
            while let (name, secret) = try scanner.next() { secrets[name] = secret }
        } catch {
            fault = ConfigurationError(file: file, line: scanner.line, message: "broken auth file: \(error.message)")
        }
        isMostlySCRAM = Self.isMostlySCRAM(secrets)
    }

    private struct Scanner {
        let bytes: [UInt8]
        var position = 0
        var line = 1

        mutating func next() throws(InvalidValue) -> (name: String, secret: String)? {
            while let byte = peek {
                if byte == Self.newline {
                    line += 1
                    position += 1
                } else if byte == UInt8(ascii: " ") || (9...13).contains(byte) {
                    position += 1
                } else if byte == UInt8(ascii: ";") {
                    skipToLineEnd()
                } else {
                    return try user()
                }
            }
            return nil
        }

        private mutating func user() throws(InvalidValue) -> (name: String, secret: String) {
            guard peek == Self.quote else { throw InvalidValue("expected a user name in double quotes") }
            let name = try quoted("user name", limit: Names.maximumUserBytes)
            while let byte = peek, byte != Self.quote, byte != Self.newline { position += 1 }
            guard peek == Self.quote else { throw InvalidValue("expected a secret in double quotes after the user name") }
            let secret = try quoted("secret", limit: Names.maximumSecretBytes)
            skipToLineEnd()
            return (name, secret)
        }

        /// A quote left open must not swallow the lines after it, so a line break ends the search.
        private mutating func quoted(_ part: String, limit: Int) throws(InvalidValue) -> String {
            var content: [UInt8] = []
            position += 1
            while let byte = peek, byte != Self.newline {
                position += 1
                if byte == Self.quote {
                    guard peek == Self.quote else { return try text(content, part, limit: limit) }
                    position += 1
                }
                content.append(byte)
            }
            throw InvalidValue("the \(part) has no closing quote")
        }

        private func text(_ content: [UInt8], _ part: String, limit: Int) throws(InvalidValue) -> String {
            guard content.count <= limit else { throw InvalidValue("the \(part) is longer than \(limit) bytes") }
            guard !content.contains(0), let text = String(validating: content, as: UTF8.self) else {
                throw InvalidValue("the \(part) is not valid UTF-8")
            }
            return text
        }

        private var peek: UInt8? {
            position < bytes.count ? bytes[position] : nil
        }

        private mutating func skipToLineEnd() {
            while let byte = peek, byte != Self.newline { position += 1 }
        }

        private static let newline = UInt8(ascii: "\n")
        private static let quote = UInt8(ascii: "\"")
    }
}
