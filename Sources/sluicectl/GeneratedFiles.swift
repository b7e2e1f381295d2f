import Configuration

/// The files that `sluicectl generate` writes, as texts.
struct GeneratedFiles {
    static let iniName = "sluice.ini"
    static let userListName = "userlist.txt"

    private var configuration: Configuration
    private let url: DatabaseURL
    private var secrets: [String: String] = [:]
    private var server: LiveServer?
    private(set) var warnings: [String] = []

    /// - Parameter folder: where the files will be; nil: nobody knows yet.
    init(_ url: DatabaseURL, folder: String?) {
        self.url = url
        configuration = url.configuration()
        warnings = url.warnings
        configuration.settings.statsUsers = [url.user]
        configuration.settings.maxClientConn = 10_000
        configuration.settings.metricsListen = "127.0.0.1:9127"
        configuration.settings.authFile = "\(folder ?? "/etc/sluice")/\(Self.userListName)"
        if let password = url.password { secrets[url.user] = password }
        for name in configuration.databases.values.first?.serverParameters.map(\.name) ?? [] where name == "options" {
            warnings.append("options: a database entry has no key for it, so it is left out: ALTER ROLE ... SET does the same")
        }
    }

    /// What the server says takes the place of guesses.
    mutating func add(_ server: LiveServer) {
        self.server = server
        let template = configuration.fallbackDatabase
        let names = server.facts.databases.filter { $0.value.allowsConnections && $0.key != "template1" }.map(\.key).sorted()
        for name in names where name != url.database {
            guard name != "pgbouncer" else {
                warnings.append("database \"pgbouncer\" is left out: the name is the console's")
                continue
            }
            guard var entry = template else { continue }
            entry.name = name
            configuration.databases[name] = entry
        }
        configuration.fallbackDatabase = nil
        configuration.settings.defaultPoolSize = poolSize(server.facts)
        for (role, secret) in server.secrets.sorted(by: { $0.key < $1.key }) where secrets[role] == nil {
            guard secret.hasPrefix("SCRAM-SHA-256$") else {
                warnings.append("role \"\(role)\" is left out of the user list: its secret is no SCRAM secret (password_encryption)")
                continue
            }
            secrets[role] = secret
        }
        if server.secrets.isEmpty {
            warnings.append(
                "the user \"\(url.user)\" may not read the secrets of other roles: add them to the user list, or set auth_query")
        }
    }

    /// A pool for each database and one user may fill four fifths of the slots: the rest is for whoever comes past the pooler.
    private func poolSize(_ facts: ServerFacts) -> Int {
        let pools = max(1, configuration.databases.count)
        return max(1, min(20, (facts.usableSlots - facts.connectionsInUse) * 4 / 5 / pools))
    }

    var ini: String {
        var head = ["Written by sluicectl generate. docs/configuration.md and sluice.ini(5) list every setting."]
        var notes = ["auth_file": ["\"user\" \"password\" in each line, or the SCRAM secret as PostgreSQL stores it"]]
        if let facts = server?.facts {
            head.append("The server: PostgreSQL \(facts.version), \(facts.usableSlots) connection slots for ordinary roles.")
            notes["default_pool_size"] = [
                "\(configuration.databases.count) pools of this size, one for each database and user, fit the server's slots"
            ]
        }
        return IniText(configuration, head: head, notes: notes).text
    }

    var userList: String {
        func quoted(_ text: String) -> String {
            "\"" + text.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
        }
        return secrets.sorted { $0.key < $1.key }.map { "\(quoted($0.key)) \(quoted($0.value))\n" }.joined()
    }
}
