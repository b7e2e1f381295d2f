import Bytes

/// Turns the events of the files into a configuration.
struct ConfigurationLoader {
    private enum Section: String, CaseIterable {
        case pgbouncer, sluice, databases, users, peers

        /// Sluice's own section means the same as PgBouncer's.
        var isMain: Bool { self == .pgbouncer || self == .sluice }
    }

    /// A place for messages.
    private struct Place {
        let file: String
        let line: Int

        func error(_ key: String? = nil, _ message: String) -> ConfigurationError {
            ConfigurationError(file: file, line: line, key: key, message: message)
        }
    }

    private let path: String
    private let read: FileReader
    private let variable: VariableReader
    /// Go on after a fault, to find them all.
    private let findsAll: Bool
    private(set) var faults: [ConfigurationError] = []
    /// Inside a section that does not exist: what stands there means nothing.
    private var isLost = false
    private var configuration = Configuration()
    private var section: Section?
    private var sawMainSection = false
    /// The settings that lines of the files have set since the last return to defaults, and where.
    private var settingsGiven: [String: Place] = [:]
    /// Where databases, users and peers stand, by their section and name.
    private var entriesGiven: [Section: NameTable<Place>] = [:]
    /// The sections that the file has had, for each file that is being read.
    private var sectionsGiven: [[Section: Place]] = []

    /// As in PgBouncer, and enough to end a file that includes itself.
    private static let maximumDepth = 10

    /// Whether `${NAME}` in values stands for a variable, from the directive on.
    private var expandsVariables = false

    init(path: String, findsAll: Bool = false, read: @escaping FileReader, variable: @escaping VariableReader) {
        self.path = path
        self.findsAll = findsAll
        self.read = read
        self.variable = variable
    }

    /// For a configuration that comes of something else than a file.
    init(path: String, prepared: Configuration, read: @escaping FileReader) {
        self.init(path: path, read: read) { _ in nil }
        configuration = prepared
    }

    /// Stops at a fault, or takes note of it.
    private mutating func report(_ fault: ConfigurationError) throws(ConfigurationError) {
        guard findsAll else { throw fault }
        faults.append(fault)
    }

    mutating func load() throws(ConfigurationError) -> Configuration {
        configuration.sourceFile = path
        try load(read(path), file: path, depth: 0)
        if !sawMainSection {
            try report(ConfigurationError(file: path, message: "main section missing: expected [pgbouncer] or [sluice]"))
        }
        if configuration.settings.conffile?.isEmpty ?? true { configuration.settings.conffile = path }
        return try complete()
    }

    /// What hangs together, and the files that the settings name.
    mutating func complete() throws(ConfigurationError) -> Configuration {
        try checkTLSOfDatabases()
        loadUserList()
        try loadAccessFiles()
        return configuration
    }

    /// Direct TLS has no way to hear that a server wants none, so it must not depend on one; and channel binding needs a channel.
    private mutating func checkTLSOfDatabases() throws(ConfigurationError) {
        let mode = configuration.settings.serverTlsSslmode
        guard [.disable, .allow, .prefer].contains(mode) else { return }
        let entries = configuration.databases.values.sorted { $0.name < $1.name } + [configuration.fallbackDatabase].compactMap { $0 }
        if let database = entries.first(where: { $0.sslNegotiation == .direct }) {
            try report(
                ConfigurationError(
                    file: path, key: "sslnegotiation",
                    message:
                        "database \"\(database.name)\": direct needs server_tls_sslmode require, verify-ca or verify-full, not \(mode.rawValue)"
                ))
        }
        if mode == .disable, let database = entries.first(where: { $0.channelBinding == .require }) {
            try report(
                ConfigurationError(
                    file: path, key: "channel_binding",
                    message: "database \"\(database.name)\": require needs TLS, so server_tls_sslmode must not be disable"))
        }
    }

    private mutating func load(_ bytes: [UInt8], file: String, depth: Int) throws(ConfigurationError) {
        var parser = try IniParser(bytes, file: file)
        sectionsGiven.append([:])
        defer { sectionsGiven.removeLast() }
        while true {
            do throws(ConfigurationError) {
                guard let event = try parser.next() else { return }
                let place = Place(file: file, line: parser.line)
                switch event {
                case .section(let name): try enter(name, at: place)
                case .include(let included): try include(included, at: place, depth: depth)
                case .expandEnvironment: expandsVariables = true
                case .entry(let key, let value): try entry(key, value, at: place)
                }
            } catch {
                try report(error)
                parser.skipLine()
            }
        }
    }

    private func expanded(_ value: String, _ key: String, at place: Place) throws(ConfigurationError) -> String {
        guard expandsVariables else { return value }
        do throws(InvalidValue) {
            return try VariableSyntax.expand(value, variable: variable)
        } catch {
            throw place.error(key, error.message)
        }
    }

    private mutating func include(_ included: String, at place: Place, depth: Int) throws(ConfigurationError) {
        guard depth < Self.maximumDepth else {
            throw place.error("%include", "files are nested deeper than \(Self.maximumDepth) levels")
        }
        let bytes: [UInt8]
        do throws(ConfigurationError) {
            bytes = try read(included)
        } catch {
            throw place.error("%include", error.description)
        }
        try load(bytes, file: included, depth: depth + 1)
    }

    private mutating func enter(_ name: String, at place: Place) throws(ConfigurationError) {
        isLost = false
        guard let section = Section(rawValue: name) else {
            isLost = true
            throw place.error(
                nil, "unknown section [\(name)]: expected \(ValueSyntax.oneOf(Section.allCases.map { "[\($0.rawValue)]" }))")
        }
        self.section = section
        if let before = sectionsGiven[sectionsGiven.count - 1].updateValue(place, forKey: section) {
            warn("section [\(name)] stands in line \(before.line) already", at: place)
        }
        if section.isMain { sawMainSection = true }
        if section == .pgbouncer { returnToDefaults(at: place) }
    }

    /// PgBouncer puts every setting that has a default back to it at each `[pgbouncer]` line. Files may lean on that without
    /// their owners knowing, so it is kept, but said. `[sluice]` only adds.
    private mutating func returnToDefaults(at place: Place) {
        let lost = SettingsTable.all.filter { $0.defaultText != nil && settingsGiven[$0.name] != nil }
        guard !lost.isEmpty else { return }
        var settings = Settings()
        for specification in SettingsTable.all where specification.defaultText == nil {
            // What was accepted once is accepted again.
            if let text = specification.text(in: configuration.settings) { try? specification.apply(text, to: &settings) }
        }
        configuration.settings = settings
        settingsGiven.removeAll()
        let names = lost.map(\.name).joined(separator: ", ")
        configuration.warnings.append("\(place.file):\(place.line): [pgbouncer] starts again, which puts \(names) back to the default")
    }

    private mutating func entry(_ key: String, _ value: String, at place: Place) throws(ConfigurationError) {
        if isLost { return }
        switch section {
        case nil: throw place.error(nil, "setting \"\(key)\" stands before the first section")
        case .pgbouncer, .sluice: try setting(key, value, at: place)
        case .databases: try database(key, value, at: place)
        case .users: try user(key, value, at: place)
        case .peers: try peer(key, value, at: place)
        }
    }

    private mutating func setting(_ key: String, _ value: String, at place: Place) throws(ConfigurationError) {
        guard let specification = SettingsTable.named(key) else {
            throw unknown(key, in: "section [\(section?.rawValue ?? "")]", among: SettingsTable.all.map(\.name), at: place)
        }
        let holdsComment = Self.seemsToHoldComment(value)
        let value = try expanded(value, key, at: place)
        do throws(InvalidValue) {
            try specification.apply(value, to: &configuration.settings)
        } catch {
            throw place.error(key, error.message + (holdsComment ? Self.commentHint : ""))
        }
        // A query may well have a semicolon in it.
        if holdsComment, !key.hasSuffix("_query") {
            warn("\(key): what follows the semicolon is part of the value\(Self.commentHint)", at: place)
        }
        if let before = settingsGiven.updateValue(place, forKey: key) { warnAgain("setting \"\(key)\"", before: before, at: place) }
        if let warning = specification.warning { warn(warning, at: place) }
    }

    private mutating func database(_ name: String, _ value: String, at place: Place) throws(ConfigurationError) {
        try check(name, Names.checkDatabase, at: place)
        var database = Database(name: name)
        try fill(&database, from: value, with: SettingsTable.databaseKeys, kind: "database", name: name, at: place)
        if let user = database.forcedUser { try check(user, Names.checkUser, at: place) }
        if let problem = database.problem { try report(place.error(problem.key, "database \"\(name)\": \(problem.text)")) }
        if let warning = database.passwordSource?.warning(read) { warn(warning, at: place) }
        noteEntry(name, of: .databases, kind: "database", at: place)
        if name == "*" {
            configuration.fallbackDatabase = database
        } else {
            configuration.databases[name] = database
        }
    }

    private mutating func user(_ name: String, _ value: String, at place: Place) throws(ConfigurationError) {
        try check(name, Names.checkUser, at: place)
        var user = UserOverrides()
        try fill(&user, from: value, with: SettingsTable.userKeys, kind: "user", name: name, at: place)
        if let problem = user.problem { try report(place.error(problem.key, "user \"\(name)\": \(problem.text)")) }
        if let warning = user.passwordSource?.warning(read) { warn(warning, at: place) }
        noteEntry(name, of: .users, kind: "user", at: place)
        configuration.users[name] = user
    }

    private mutating func peer(_ name: String, _ value: String, at place: Place) throws(ConfigurationError) {
        let number: Int
        do throws(InvalidValue) {
            number = try ValueSyntax.integer(name, in: 1...65535)
        } catch {
            throw place.error(nil, "peer \(error.message)")
        }
        var peer = Peer()
        try fill(&peer, from: value, with: SettingsTable.peerKeys, kind: "peer", name: name, at: place)
        guard peer.host != nil else { throw place.error("host", "peer \(number) has no host") }
        noteEntry(String(number), of: .peers, kind: "peer", at: place)
        configuration.peers[number] = peer
    }

    private func check(_ name: String, _ rule: (String) throws(InvalidValue) -> Void, at place: Place) throws(ConfigurationError) {
        do throws(InvalidValue) {
            try rule(name)
        } catch {
            throw place.error(nil, error.message)
        }
    }

    private mutating func fill<Target>(
        _ target: inout Target, from text: String, with keys: [ConnectStringKey<Target>], kind: String, name: String, at place: Place
    ) throws(ConfigurationError) {
        let pairs: [ConnectString.Pair]
        do throws(InvalidValue) {
            pairs = try ConnectString.pairs(in: text)
        } catch {
            throw place.error(nil, "\(kind) \"\(name)\": \(error.message)\(Self.seemsToHoldComment(text) ? Self.commentHint : "")")
        }
        var given: Set<String> = []
        for pair in pairs {
            guard let key = keys.first(where: { $0.name == pair.key }) else {
                try report(unknown(pair.key, in: "\(kind) \"\(name)\"", among: keys.map(\.name), at: place))
                continue
            }
            do throws(InvalidValue) {
                // Here and not in the text as a whole: a password may hold blanks and quotes.
                try key.apply(expandsVariables ? VariableSyntax.expand(pair.value, variable: variable) : pair.value, to: &target)
            } catch {
                try report(place.error(pair.key, error.message))
            }
            if !given.insert(key.name).inserted {
                warn("\(kind) \"\(name)\": \(key.name) is given twice, and the last one counts", at: place)
            }
            if !key.isBuilt { warn("setting \"\(key.name)\" is accepted but has no effect yet", at: place) }
        }
    }

    private func unknown(_ key: String, in home: String, among names: [String], at place: Place) -> ConfigurationError {
        let hint = Names.nearest(to: key, among: names).map { " (did you mean \"\($0)\"?)" } ?? ""
        return place.error(nil, "unknown setting \"\(key)\" in \(home)\(hint)")
    }

    private mutating func noteEntry(_ name: String, of section: Section, kind: String, at place: Place) {
        let before = entriesGiven[section, default: [:]][name]
        entriesGiven[section, default: [:]][name] = place
        if let before { warnAgain("\(kind) \"\(name)\"", before: before, at: place) }
    }

    private mutating func warnAgain(_ what: String, before: Place, at place: Place) {
        let home = before.file.hasSameBytes(as: place.file) ? "line \(before.line)" : "\(before.file):\(before.line)"
        warn("\(what) is given in \(home) already, and this one counts", at: place)
    }

    /// Comments fill whole lines, so whoever writes one behind a value makes it a part of that.
    private static func seemsToHoldComment(_ value: String) -> Bool {
        let bytes = Array(value.utf8)
        return bytes.indices.dropFirst().contains { index in
            bytes[index] == UInt8(ascii: ";") && (bytes[index - 1] == UInt8(ascii: " ") || bytes[index - 1] == UInt8(ascii: "\t"))
        }
    }

    private static let commentHint = "; a comment needs a line of its own"

    private mutating func warn(_ message: String, at place: Place) {
        configuration.warnings.append("\(place.file):\(place.line): \(message)")
    }

    private mutating func loadUserList() {
        guard let file = configuration.settings.authFile, !file.isEmpty else { return }
        do throws(ConfigurationError) {
            configuration.userList = UserList(parsing: try read(file), file: file)
            configuration.userListFault = configuration.userList.fault
            if let fault = configuration.userList.fault {
                configuration.warnings.append("\(fault.description); the lines from here on are not read")
            }
        } catch {
            configuration.userListFault = error
            configuration.warnings.append("auth_file is not read: \(error.description)")
        }
    }

    /// The rules and maps of `auth_type = hba`. Without the rules nobody would be let in, so a file that can't be read is an error; a
    /// line that is not understood is a warning.
    private mutating func loadAccessFiles() throws(ConfigurationError) {
        let settings = configuration.settings
        if settings.authType == .ldap { try checkLDAPOptions() }
        if settings.authType == .cert, settings.clientTlsSslmode != .verifyFull || settings.clientTlsCaFile.isEmpty {
            throw ConfigurationError(
                file: path, key: "auth_type", message: "\"cert\" needs client_tls_sslmode = verify-full and a client_tls_ca_file")
        }
        guard settings.authType == .hba else { return }
        guard !settings.authHbaFile.isEmpty else {
            throw ConfigurationError(file: path, key: "auth_hba_file", message: "auth_type \"hba\" needs a file of rules")
        }
        let rules = try read(settings.authHbaFile)
        configuration.hostRules = HostRules(parsing: rules, file: settings.authHbaFile, read: read)
        configuration.warnings += configuration.hostRules.warnings
        if settings.clientTlsSslmode == .disable || settings.clientTlsCaFile.isEmpty,
            let rule = configuration.hostRules.rules.first(where: { $0.method == .cert })
        {
            configuration.warnings.append(
                "\(settings.authHbaFile):\(rule.line): hba: nobody can show a certificate: cert needs client_tls_ca_file, "
                    + "and a client_tls_sslmode other than disable")
        }
        guard let file = settings.authIdentFile, !file.isEmpty else { return }
        configuration.identMaps = IdentMaps(parsing: try read(file), file: file)
        configuration.warnings += configuration.identMaps.warnings
    }

    private func checkLDAPOptions() throws(ConfigurationError) {
        guard let text = configuration.settings.authLdapOptions else { return }
        do throws(InvalidValue) {
            _ = try LDAPOptions(parsing: text)
        } catch {
            throw ConfigurationError(file: path, key: "auth_ldap_options", message: error.message)
        }
    }
}
