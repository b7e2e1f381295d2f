import Bytes

/// A connection URL as drivers take it, `postgres://user:password@host:port/database?parameters`, from which a whole
/// configuration can be made.
public struct DatabaseURL: Sendable, Equatable {
    /// The user on the server, who is also the user that clients log in as.
    public var user: String
    /// The password; nil when the URL has none.
    public var password: String?
    /// Names, addresses or `/directory`; empty means the Unix socket in `unix_socket_dir`.
    public var hosts: [String]
    /// The port on each host; one where all have the same.
    public var ports: [Int]
    /// The database.
    public var database: String
    /// `sslmode`; nil when the URL does not say.
    public var sslMode: TLSMode?
    /// `sslrootcert`, `sslcert` and `sslkey`; empty when the URL does not say.
    public var authorityFile: String
    public var certificateFile: String
    public var keyFile: String
    /// `sslnegotiation`.
    public var sslNegotiation: SSLNegotiation
    /// `channel_binding`.
    public var channelBinding: ChannelBinding
    /// `min_protocol_version` and `max_protocol_version`.
    public var protocolLimits: ProtocolLimits
    /// What every server connection starts with: `application_name`, `options`, and settings of PostgreSQL such as `statement_timeout`.
    public var serverParameters: [ServerParameter]
    /// `load_balance_hosts`. As with libpq, a list of hosts is gone through from failure to failure unless it says `random`.
    public var loadBalanceHosts: LoadBalanceHosts
    /// The pooler's settings that have a parameter of libpq: `connect_timeout`, `keepalives` and the like.
    public var settings: Settings
    /// What the URL says without effect, in a sentence each.
    public var warnings: [String]

    /// Reads a URL. No message repeats the password or the URL that it stands in.
    public init(parsing text: String) throws(ConfigurationError) {
        guard let scheme = ["postgres://", "postgresql://"].first(where: { text.lowercased().hasPrefix($0) }) else {
            throw Self.fault(nil, "expected postgres://user:password@host:port/database" + Self.advice(text))
        }
        if let slip = Self.slip(in: text) { throw slip }
        let rest = text.utf8.dropFirst(scheme.utf8.count)
        let authorityEnd = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
        let authority = rest[..<authorityEnd]
        var query = rest[authorityEnd...]
        var path = rest[authorityEnd..<authorityEnd]
        if query.first == UInt8(ascii: "/") {
            path = query.dropFirst().prefix { $0 != UInt8(ascii: "?") }
            query = query[path.endIndex...]
        }

        var parts = Parts()
        try Self.checkUnescaped(authority, path: path, query: query)
        if let at = authority.firstIndex(of: UInt8(ascii: "@")) {
            let login = authority[..<at]
            let colon = login.firstIndex(of: UInt8(ascii: ":")) ?? login.endIndex
            parts.user = try Self.decoded(login[..<colon], "user")
            if colon < login.endIndex { parts.password = try Self.decoded(login[colon...].dropFirst(), "password") }
            try parts.setHosts(authority[at...].dropFirst())
        } else {
            // Half a password is not to be taken for a port: an error about that would repeat it.
            guard Self.hasPorts(authority) || !rest.contains(UInt8(ascii: "@")) else {
                throw Self.fault("password", "a \"/\" in it is written %2F, a \"?\" %3F")
            }
            try parts.setHosts(authority)
        }
        parts.database = try Self.decoded(path, "dbname")
        for pair in query.dropFirst().split(separator: UInt8(ascii: "&")) { try parts.setParameter(pair) }

        for (part, value) in [("user", parts.user), ("password", parts.password), ("host", parts.hosts.first), ("dbname", parts.database)] {
            guard let value, Self.isPlaceholder(value) else { continue }
            throw Self.fault(part, "a placeholder stands there: expected what it stands for")
        }
        guard let user = parts.user, !user.isEmpty else { throw Self.fault("user", "the URL names no user") }
        self.user = user
        password = parts.password.flatMap { $0.isEmpty ? nil : $0 }
        hosts = parts.hosts
        ports = try parts.resolvedPorts()
        database = parts.database.flatMap { $0.isEmpty ? nil : $0 } ?? user
        sslMode = parts.sslMode ?? parts.sslFlag
        authorityFile = parts.authorityFile
        certificateFile = parts.certificateFile
        keyFile = parts.keyFile
        sslNegotiation = parts.sslNegotiation
        guard sslNegotiation != .direct || [.require, .verifyCA, .verifyFull].contains(sslMode) else {
            throw Self.fault("sslnegotiation", "direct needs sslmode require, verify-ca or verify-full")
        }
        channelBinding = parts.channelBinding
        guard channelBinding != .require || sslMode != .disable else {
            throw Self.fault("channel_binding", "require needs TLS, so sslmode must not be disable")
        }
        protocolLimits = parts.protocolLimits
        if let problem = protocolLimits.problem { throw Self.fault("min_protocol_version", problem) }
        serverParameters = parts.serverParameters
        loadBalanceHosts = parts.loadBalanceHosts
        settings = parts.settings
        warnings = parts.allWarnings
        do throws(InvalidValue) {
            try Names.checkUser(user)
            try Names.checkDatabase(database)
        } catch {
            throw Self.fault(nil, error.message)
        }
    }

    /// The configuration of a pooler in front of this database: transaction mode, SCRAM logins as the URL's own user, and
    /// every other database of the same server under its own name.
    ///
    /// - Parameters:
    ///   - passwordFile, passwordCommand: where the password for PostgreSQL comes from, if it changes; clients log in with the URL's.
    ///   - read: tries the file.
    public func configuration(
        listenAddress: String = "127.0.0.1", listenPort: Int = 6543, passwordFile: String? = nil, passwordCommand: String? = nil,
        read: FileReader? = nil
    ) -> Configuration {
        var configuration = Configuration()
        configuration.settings = settings
        configuration.settings.poolMode = .transaction
        configuration.settings.listenAddr = [listenAddress]
        configuration.settings.listenPort = listenPort
        configuration.settings.authType = .scramSHA256
        if let sslMode {
            configuration.settings.serverTlsSslmode = sslMode
        }
        configuration.settings.serverTlsCaFile = authorityFile
        configuration.settings.serverTlsCertFile = certificateFile
        configuration.settings.serverTlsKeyFile = keyFile
        configuration.warnings += warnings.map { "\(Self.file): \($0)" }
        let source = PasswordSource(file: passwordFile, command: passwordCommand)
        if password == nil {
            let hint = source.map { "; \($0.key) is for PostgreSQL, and clients log in with the URL's password" } ?? ""
            configuration.warnings.append("\(Self.file): password: the URL has none, so nobody can log in with scram-sha-256\(hint)")
        }
        if let read, let warning = source?.warning(read) { configuration.warnings.append(warning) }
        configuration.userList = UserList(secrets: [user: password ?? ""])
        for name in [database, "*"] {
            var entry = entry(named: name)
            (entry.passwordFile, entry.passwordCommand) = (passwordFile, passwordCommand)
            if name == "*" { configuration.fallbackDatabase = entry } else { configuration.databases[name] = entry }
        }
        return configuration
    }

    private func entry(named name: String) -> Database {
        var entry = Database(name: name)
        entry.hosts = hosts
        entry.port = ports[0]
        entry.ports = ports.count > 1 ? ports : []
        entry.sslNegotiation = sslNegotiation
        entry.channelBinding = channelBinding
        entry.protocolLimits = protocolLimits
        entry.loadBalanceHosts = loadBalanceHosts
        entry.serverParameters = serverParameters
        return entry
    }

    /// Drivers disagree about these two: libpq ends the password at the first "@", others at the last one, and many drop what follows a
    /// "#". So the same URL would mean one thing here and another one in the application.
    private static func checkUnescaped(
        _ authority: Substring.UTF8View, path: Substring.UTF8View, query: Substring.UTF8View
    ) throws(ConfigurationError) {
        let (at, number) = (UInt8(ascii: "@"), UInt8(ascii: "#"))
        let hosts = authority.lastIndex(of: at) ?? authority.startIndex
        let login = authority[..<hosts]
        for (byte, name, written) in [(at, "an \"@\"", "%40"), (number, "a \"#\"", "%23")] {
            guard let slip = login.firstIndex(of: byte) else { continue }
            let isPassword = login[..<slip].contains(UInt8(ascii: ":"))
            throw fault(isPassword ? "password" : "user", "\(name) in it is written \(written)")
        }
        // With an "@" in front, too, it is anybody's guess where the password was to end.
        if path.contains(at) || query.prefix(while: { $0 != UInt8(ascii: "=") }).contains(at), hosts > authority.startIndex {
            throw fault(nil, "an \"@\" stands behind the host: in a password or a name \"@\" is written %40, \"/\" %2F and \"?\" %3F")
        }
        if authority[hosts...].contains(number) || path.contains(number) || query.contains(number) {
            throw fault(nil, "a \"#\" in it is written %23")
        }
    }

    /// Whether nothing but digits stands behind the colons of a list of hosts.
    private static func hasPorts(_ authority: Substring.UTF8View) -> Bool {
        authority.split(separator: UInt8(ascii: ",")).allSatisfy { part in
            guard part.first != UInt8(ascii: "["), let colon = part.firstIndex(of: UInt8(ascii: ":")) else { return true }
            return part[colon...].dropFirst().allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        }
    }

    /// What stands for the file name in messages.
    private static let file = "database URL"

    static func fault(_ part: String?, _ message: String) -> ConfigurationError {
        ConfigurationError(file: file, key: part, message: message)
    }

    static func decoded(_ bytes: Substring.UTF8View, _ part: String) throws(ConfigurationError) -> String {
        var decoded: [UInt8] = []
        var rest = bytes
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                decoded.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(Hexadecimal.value), let low = rest.popFirst().flatMap(Hexadecimal.value)
            else { throw fault(part, "expected two hexadecimal digits after \"%\"; a percent sign is written %25") }
            decoded.append(high << 4 | low)
        }
        guard !decoded.contains(0), let text = String(validating: decoded, as: UTF8.self) else {
            throw fault(part, "the value is not text in UTF-8; a percent sign is written %25")
        }
        return text
    }
}
