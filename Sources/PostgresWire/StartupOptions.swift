/// Takes the startup parameter `options` apart: a command line for the server, with the switches of `postgres`.
///
/// PostgreSQL documentation, section "Message Formats", StartupMessage, and the manual page of `postgres`. What is refused, and in which
/// words, is what PostgreSQL does.
public enum StartupOptions {
    /// Why options were refused.
    public struct Failure: Error, Hashable, Sendable {
        /// SQLSTATE.
        public let code: String
        /// The text for the client and for the log.
        public let message: String
        /// What may help.
        public let hint: String?
    }

    /// The settings in their order. Hyphens in a name become underscores, as PostgreSQL's own parser makes them.
    public static func parse(_ options: String) throws(Failure) -> [(name: String, value: String)] {
        var settings: [(name: String, value: String)] = []
        let words = split(options)
        var stray: [UInt8]?
        var at = 0
        while at < words.count {
            let word = words[at]
            at += 1
            if word == [hyphen, hyphen] {
                stray = stray ?? (at < words.count ? words[at] : nil)
                break
            }
            guard word.count > 1, word[0] == hyphen else {
                // As getopt has it, what is no switch is looked at last.
                stray = stray ?? word
                continue
            }
            var letter = 1
            while letter < word.count {
                let isLast = letter + 1 == word.count
                guard let meaning = Switch(word[letter]) else {
                    throw invalid(isLast ? word : at > 1 ? words[at - 2] : Array("postgres".utf8))
                }
                letter += 1
                guard meaning.hasArgument else {
                    if let setting = meaning.setting { settings.append(setting) }
                    continue
                }
                // The rest of the word, or the next one.
                guard !isLast || at < words.count else { throw invalid(word) }
                let argument = isLast ? words[at][...] : word[letter...]
                if isLast { at += 1 }
                guard let more = try meaning.settings(argument) else { throw invalid(words[at - 1]) }
                settings += more
                break
            }
        }
        if let stray { throw invalid(stray) }
        return settings
    }

    /// Complains about a word; getopt's idea of which it is may be the one before.
    private static func invalid(_ word: [UInt8]) -> Failure {
        Failure(
            code: SQLState.syntaxError,
            message: "invalid command-line argument for server process: \(String(decoding: word, as: UTF8.self))",
            hint: "Try \"postgres --help\" for more information.")
    }

    fileprivate static let hyphen = UInt8(ascii: "-")

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

/// One letter of the command line, as `process_postgres_switches` has them.
private struct Switch {
    private let letter: Character

    init?(_ byte: UInt8) {
        letter = Character(Unicode.Scalar(byte))
        guard Self.plain[letter] != nil || Self.naming[letter] != nil || "bEjnTPcdfDCrtvW-".contains(letter) else { return nil }
    }

    /// Those that stand for a setting.
    private static let plain: [Character: (name: String, value: String)] = [
        "e": ("datestyle", "euro"), "F": ("fsync", "false"), "i": ("listen_addresses", "*"), "l": ("ssl", "true"),
        "O": ("allow_system_table_mods", "true"), "s": ("log_statement_stats", "true"),
    ]
    /// Those that give a setting the argument as its value.
    private static let naming: [Character: String] = [
        "B": "shared_buffers", "h": "listen_addresses", "k": "unix_socket_directories", "N": "max_connections", "p": "port",
        "S": "work_mem",
    ]

    var hasArgument: Bool { Self.naming[letter] != nil || "cdfDCrtvW-".contains(letter) }

    /// Without an argument. PostgreSQL takes some for the single-user mode only and ignores them here. What `-P` asks for can be had
    /// at the start of a server alone, and changes no result.
    var setting: (name: String, value: String)? { Self.plain[letter] }

    /// With the argument; nil when that makes no sense.
    func settings(_ argument: ArraySlice<UInt8>) throws(StartupOptions.Failure) -> [(name: String, value: String)]? {
        let text = String(decoding: argument, as: UTF8.self)
        if let name = Self.naming[letter] { return [(name, text)] }
        switch letter {
        case "c", "-": return [try assignment(argument, text)]
        case "d": return Self.debugging(text)
        case "f": return argument.first.flatMap { Self.methods[Character(Unicode.Scalar($0))] }.map { [("enable_\($0)", "false")] }
        case "t":
            if text.hasPrefix("pa") { return [("log_parser_stats", "true")] }
            if text.hasPrefix("pl") { return [("log_planner_stats", "true")] }
            return text.hasPrefix("e") ? [("log_executor_stats", "true")] : nil
        case "W":
            // A pause for debuggers, which nobody needs on a server that has long been there.
            guard let first = argument.first, (48...57).contains(first) else {
                throw StartupOptions.Failure(
                    code: SQLState.invalidParameterValue, message: "invalid value for parameter \"post_auth_delay\": \"\(text)\"", hint: nil
                )
            }
            return []
        default: return []
        }
    }

    private func assignment(_ argument: ArraySlice<UInt8>, _ text: String) throws(StartupOptions.Failure) -> (name: String, value: String) {
        guard let equals = argument.firstIndex(of: UInt8(ascii: "=")) else {
            let start = letter == "c" ? "-c " : "--"
            throw StartupOptions.Failure(code: SQLState.syntaxError, message: "\(start)\(text) requires a value", hint: nil)
        }
        guard equals > argument.startIndex else {
            throw StartupOptions.Failure(
                code: SQLState.undefinedObject, message: "unrecognized configuration parameter \"\"", hint: nil)
        }
        let name = argument[..<equals].map { $0 == StartupOptions.hyphen ? UInt8(ascii: "_") : $0 }
        return (String(decoding: name, as: UTF8.self), String(decoding: argument[(equals + 1)...], as: UTF8.self))
    }

    /// What plans may not use.
    private static let methods: [Character: String] = [
        "s": "seqscan", "o": "indexonlyscan", "i": "indexscan", "b": "bitmapscan", "t": "tidscan", "n": "nestloop", "h": "hashjoin",
        "m": "mergejoin",
    ]

    /// A level of `-d`, which C's `atoi` reads.
    private static func debugging(_ text: String) -> [(name: String, value: String)] {
        let level = Int(text.prefix { $0.isASCII && $0.isNumber }) ?? 0
        var settings = [(name: "log_min_messages", value: level > 0 ? "debug\(level)" : "notice")]
        if level >= 2 { settings.append(("log_statement", "all")) }
        if level >= 3 { settings.append(("debug_print_parse", "true")) }
        if level >= 4 { settings.append(("debug_print_plan", "true")) }
        if level >= 5 { settings.append(("debug_print_rewritten", "true")) }
        return settings
    }
}
