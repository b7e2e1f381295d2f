extension DatabaseURL {
    /// The text with `***` in place of every password, for eyes other than its owner's; nil when it holds none. It need not be a good
    /// URL: what could be a password is taken for one.
    public static func withoutPasswords(_ text: String) -> String? {
        let bytes = Array(text.utf8)
        guard let scheme = bytes.indices.first(where: { bytes[$0...].starts(with: Array("://".utf8)) }) else { return nil }
        let start = scheme + 3
        let authorityEnd = bytes[start...].firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? bytes.endIndex
        var secrets: [Range<Int>] = []
        var queryFrom = start
        // The last @ of the host's part; else somebody forgot to escape a / or ? in the password.
        if let at = bytes[start..<authorityEnd].lastIndex(of: UInt8(ascii: "@")) ?? bytes[start...].lastIndex(of: UInt8(ascii: "@")),
            let colon = bytes[start..<min(at, authorityEnd)].firstIndex(of: UInt8(ascii: ":")), colon + 1 < at
        {
            secrets.append(colon + 1..<at)
            queryFrom = at
        }
        if let question = bytes[queryFrom...].firstIndex(of: UInt8(ascii: "?")) {
            for pair in bytes[(question + 1)...].split(separator: UInt8(ascii: "&")) {
                guard let equals = pair.firstIndex(of: UInt8(ascii: "=")), equals + 1 < pair.endIndex else { continue }
                let name = pair[..<equals]
                // An escaped name may be any name.
                guard name.contains(UInt8(ascii: "%")) || String(decoding: name, as: UTF8.self).lowercased().hasSuffix("password") else {
                    continue
                }
                secrets.append(equals + 1..<pair.endIndex)
            }
        }
        guard !secrets.isEmpty else { return nil }
        var result: [UInt8] = []
        var from = 0
        for secret in secrets {
            // Never longer than it was, so that it fits into its place in memory.
            result += bytes[from..<secret.lowerBound] + Array("***".utf8.prefix(secret.count))
            from = secret.upperBound
        }
        return String(decoding: result + bytes[from...], as: UTF8.self)
    }
}
