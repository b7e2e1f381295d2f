import Bytes

/// The text of a configuration file that says the same as a configuration made otherwise, without the users' secrets.
public struct IniText {
    /// The file.
    public private(set) var text: String

    /// Writes a file of the databases and of every setting that is not the default.
    ///
    /// - Parameters:
    ///   - head: lines for a reader, without the semicolons.
    ///   - notes: the same in front of a setting, by its name.
    public init(_ configuration: Configuration, head: [String] = [], notes: [String: [String]] = [:]) {
        text = head.map { ";; \($0)\n" }.joined() + (head.isEmpty ? "" : "\n") + "[databases]\n"
        let entries = configuration.databases.values.sorted { $0.name < $1.name } + [configuration.fallbackDatabase].compactMap { $0 }
        for entry in entries { text += "\(Self.key(entry.name)) = \(Self.connectString(entry))\n" }
        text += "\n[sluice]\n"
        let defaults = Settings()
        for specification in SettingsTable.all {
            guard let value = specification.text(in: configuration.settings), value != specification.text(in: defaults) else { continue }
            for note in notes[specification.name] ?? [] { text += "; \(note)\n" }
            text += "\(specification.name) = \(value)\n"
        }
    }

    private static func key(_ name: String) -> String {
        let isPlain = name.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || "_.-*".utf8.contains(byte)
        }
        return isPlain && !name.isEmpty ? name : quoted(name)
    }

    private static func quoted(_ value: String) -> String {
        var result = "'"
        for character in value.unicodeScalars { result += character == "'" ? "''" : String(character) }
        return result + "'"
    }

    /// `key=value` pairs of an entry.
    static func connectString(_ entry: Database) -> String {
        var pairs: [(String, String)] = []
        if !entry.hosts.isEmpty { pairs.append(("host", entry.hosts.joined(separator: ","))) }
        pairs.append(("port", (entry.ports.isEmpty ? [entry.port] : entry.ports).map(String.init).joined(separator: ",")))
        if entry.name != "*" { pairs.append(("dbname", entry.serverName)) }
        if let user = entry.forcedUser { pairs.append(("user", user)) }
        if entry.hosts.count > 1 { pairs.append(("load_balance_hosts", entry.loadBalanceHosts.rawValue)) }
        if entry.sslNegotiation != .postgres { pairs.append(("sslnegotiation", entry.sslNegotiation.rawValue)) }
        if entry.channelBinding != .prefer { pairs.append(("channel_binding", entry.channelBinding.rawValue)) }
        if let size = entry.poolSize { pairs.append(("pool_size", String(size))) }
        var statements: [String] = []
        for parameter in entry.serverParameters {
            if SettingsTable.databaseKeys.contains(where: { $0.name == parameter.name }) {
                pairs.append((parameter.name, parameter.value))
            } else if parameter.name != "options" {
                // An entry has no key for it; a setting is the same when it is made right after the login.
                statements.append("SELECT pg_catalog.set_config(\(quoted(parameter.name)), \(quoted(parameter.value)), false)")
            }
        }
        if !statements.isEmpty { pairs.append(("connect_query", statements.joined(separator: "; "))) }
        return pairs.map { key, value in
            let isPlain = !value.isEmpty && !value.utf8.contains { $0 == 0x20 || $0 == 0x27 }
            return "\(key)=\(isPlain ? value : quoted(value))"
        }.joined(separator: " ")
    }
}
