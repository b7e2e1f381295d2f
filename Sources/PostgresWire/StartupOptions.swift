/// Takes the startup parameter `options` apart.
///
/// PostgreSQL documentation, section "Message Formats", StartupMessage, and the manual page of `postgres`. Of a server's
/// switches only `-c name=value` and `--name=value` are allowed.
public enum StartupOptions {
    /// Why options were refused.
    public struct Failure: Error, Hashable, Sendable {
        /// The text for the client and for the log.
        public let message: String
    }

    /// The settings in their order. Hyphens in a name become underscores, as PostgreSQL's own parser makes them.
    public static func parse(_ options: String) throws(Failure) -> [(name: String, value: String)] {
        var settings: [(name: String, value: String)] = []
        var words = split(options)[...]
        while let word = words.popFirst() {
            guard word.count >= 2, word[0] == hyphen, word[1] == hyphen || word[1] == UInt8(ascii: "c") else { throw refused }
            var setting = word[2...]
            // `-c` may stand apart from its setting.
            if setting.isEmpty, word[1] != hyphen {
                guard let next = words.popFirst() else { throw refused }
                setting = next[...]
            }
            guard let equals = setting.firstIndex(of: UInt8(ascii: "=")), equals > setting.startIndex else { throw refused }
            let name = setting[..<equals].map { $0 == hyphen ? UInt8(ascii: "_") : $0 }
            settings.append((String(decoding: name, as: UTF8.self), String(decoding: setting[(equals + 1)...], as: UTF8.self)))
        }
        return settings
    }

    private static let hyphen = UInt8(ascii: "-")

    private static let refused = Failure(
        message: "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed")

    /// Words between white space; a backslash takes the meaning from the byte after it.
    private static func split(_ options: String) -> [[UInt8]] {
        var words: [[UInt8]] = []
        var inWord = false
        var escaped = false
        for byte in options.utf8 {
            let isSpace = byte == 0x20 || (0x09...0x0D).contains(byte)
            if isSpace, !escaped {
                inWord = false
                continue
            }
            if !inWord {
                words.append([])
                inWord = true
            }
            escaped = byte == UInt8(ascii: "\\") && !escaped
            if !escaped { words[words.count - 1].append(byte) }
        }
        return words
    }
}
