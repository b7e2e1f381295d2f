extension DatabaseURL {
    /// What to change in a text that does not begin like a URL of PostgreSQL; empty when it is like nothing that is known. Nothing of the
    /// text is repeated but its scheme.
    static func advice(_ text: String) -> String {
        if let first = text.first, quotes.contains(first) { return "; leave out the quotes" }
        if text.first?.isWhitespace == true { return "; leave out the blanks in front of it" }
        let lowered = text.lowercased()
        if lowered.hasPrefix("psql ") { return "; leave out the command, and the quotes" }
        if let equals = lowered.firstIndex(of: "="), lowered[equals...].dropFirst().drop(while: quotes.contains).hasPrefix("postgres") {
            return "; leave out the name of the variable and the \"=\""
        }
        if !lowered.contains("://"), lowered.contains("=") {
            return lowered.contains(";")
                ? "; a connection string of .NET has the same parts: Username, Password, Host, Port and Database"
                : "; key=value pairs stand in the section [databases] of a file"
        }
        return scheme(lowered.prefix { $0 != "/" })
    }

    /// - Parameter scheme: all in front of the first slash, in small letters.
    private static func scheme(_ scheme: Substring) -> String {
        for prefix in ["jdbc:", "r2dbc:"] where scheme.hasPrefix(prefix) {
            return "; leave out \"\(prefix)\", and write user and password in front of the host"
        }
        guard scheme.hasSuffix(":") else { return "" }
        let name = scheme.dropLast()
        if name.hasPrefix("prisma") { return "; that is the address of a service of Prisma's, and not of PostgreSQL" }
        if let plus = name.firstIndex(of: "+"), ["postgres", "postgresql"].contains(name[..<plus]) {
            return "; leave out \"\(name[plus...])\", which names a driver"
        }
        if ["postgres", "postgresql"].contains(name) { return "; two slashes follow the colon" }
        if synonyms.contains(String(name)) || Names.nearest(to: String(name), among: ["postgres", "postgresql"]) != nil {
            return "; write \"postgres://\" in place of \"\(name)://\""
        }
        return ""
    }

    /// What goes wrong between a shell or a file and here, in a text that begins as it should; nil when nothing has.
    static func slip(in text: String) -> ConfigurationError? {
        guard let last = text.unicodeScalars.last else { return nil }
        if last == "\r" || last == "\n" || last == " " || last == "\t" {
            return fault(nil, "leave out the blanks and line breaks at its end")
        }
        if quotes.contains(Character(last)) {
            return fault(nil, "leave out the quote at its end; one that belongs to it is written %22 or %27")
        }
        if text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7f }) {
            return fault(nil, "a control character stands in it: expected one line of text")
        }
        return nil
    }

    /// A part that somebody should have filled in.
    static func isPlaceholder(_ text: String) -> Bool {
        text.contains("${") || text.contains("{{") || text == "[YOUR-PASSWORD]" || (text.hasPrefix("<") && text.hasSuffix(">"))
    }

    private static let quotes: Set<Character> = ["\"", "'", "`", "\u{201c}", "\u{201d}", "\u{2018}", "\u{2019}"]

    /// How some frameworks call PostgreSQL.
    private static let synonyms: Set<String> = ["psql", "pgsql", "pg", "postgis", "postgre", "timescaledb", "timescale"]
}
