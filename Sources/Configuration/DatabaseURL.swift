/// A connection URL as drivers take it, `postgres://user:password@host:port/database?parameters`, from which a whole
/// configuration can be made.
public struct DatabaseURL: Sendable, Equatable {
    /// The user on the server, who is also the user that clients log in as.
    public var user: String
    /// The password; nil when the URL has none.
    public var password: String?
    /// Names, addresses or `/directory`; empty means the Unix socket in `unix_socket_dir`.
    public var hosts: [String]
    /// Port on every host.
    public var port: Int
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
    /// `application_name`.
    public var applicationName: String?

    /// Reads a URL. No message repeats the password or the URL that it stands in.
    public init(parsing text: String) throws(ConfigurationError) {
        guard let scheme = ["postgres://", "postgresql://"].first(where: { text.lowercased().hasPrefix($0) }) else {
            throw Self.fault(nil, "expected postgres://user:password@host:port/database")
        }
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
        // An unescaped @ in a password is a common slip, and a host can have none, so the last one counts.
        if let at = authority.lastIndex(of: UInt8(ascii: "@")) {
            let login = authority[..<at]
            let colon = login.firstIndex(of: UInt8(ascii: ":")) ?? login.endIndex
            parts.user = try Self.decoded(login[..<colon], "user")
            if colon < login.endIndex { parts.password = try Self.decoded(login[colon...].dropFirst(), "password") }
            try parts.setHosts(authority[at...].dropFirst())
        } else {
            try parts.setHosts(authority)
        }
        parts.database = try Self.decoded(path, "dbname")
        for pair in query.dropFirst().split(separator: UInt8(ascii: "&")) { try parts.setParameter(pair) }

        guard let user = parts.user, !user.isEmpty else { throw Self.fault("user", "the URL names no user") }
        self.user = user
        password = parts.password.flatMap { $0.isEmpty ? nil : $0 }
        hosts = parts.hosts
        port = parts.port ?? 5432
        database = parts.database.flatMap { $0.isEmpty ? nil : $0 } ?? user
        sslMode = parts.sslMode
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
        applicationName = parts.applicationName
        do throws(InvalidValue) {
            try Names.checkUser(user)
            try Names.checkDatabase(database)
        } catch {
            throw Self.fault(nil, error.message)
        }
    }

    /// The configuration of a pooler in front of this database: transaction mode, SCRAM logins as the URL's own user, and
    /// every other database of the same server under its own name.
    public func configuration(listenAddress: String = "127.0.0.1", listenPort: Int = 6543) -> Configuration {
        var configuration = Configuration()
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
        if password == nil {
            configuration.warnings.append("\(Self.file): password: the URL has none, so nobody can log in with scram-sha-256")
        }
        configuration.userList = UserList(secrets: [user: password ?? ""])
        configuration.databases[database] = entry(named: database)
        configuration.fallbackDatabase = entry(named: "*")
        return configuration
    }

    private func entry(named name: String) -> Database {
        var entry = Database(name: name)
        entry.hosts = hosts
        entry.port = port
        entry.sslNegotiation = sslNegotiation
        entry.channelBinding = channelBinding
        if let applicationName { entry.serverParameters = [ServerParameter(name: "application_name", value: applicationName)] }
        return entry
    }

    /// What stands for the file name in messages.
    private static let file = "database URL"

    private static func fault(_ part: String?, _ message: String) -> ConfigurationError {
        ConfigurationError(file: file, key: part, message: message)
    }

    private static func decoded(_ bytes: Substring.UTF8View, _ part: String) throws(ConfigurationError) -> String {
        var decoded: [UInt8] = []
        var rest = bytes
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                decoded.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(ValueSyntax.digitValue), let low = rest.popFirst().flatMap(ValueSyntax.digitValue)
            else { throw fault(part, "expected two hexadecimal digits after \"%\"; a percent sign is written %25") }
            decoded.append(UInt8(high * 16 + low))
        }
        guard !decoded.contains(0), let text = String(validating: decoded, as: UTF8.self) else {
            throw fault(part, "the value is not text in UTF-8")
        }
        return text
    }

    /// The parts as they are met; parameters come last and win.
    private struct Parts {
        var user: String?
        var password: String?
        var hosts: [String] = []
        var port: Int?
        var database: String?
        var sslMode: TLSMode?
        var authorityFile = ""
        var certificateFile = ""
        var keyFile = ""
        var sslNegotiation = SSLNegotiation.postgres
        var channelBinding = ChannelBinding.prefer
        var applicationName: String?

        /// `host:port` once, or several times with commas.
        mutating func setHosts(_ authority: Substring.UTF8View) throws(ConfigurationError) {
            guard !authority.isEmpty else { return }
            for part in authority.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) { try addHost(part) }
        }

        private mutating func addHost(_ part: Substring.UTF8View) throws(ConfigurationError) {
            var host = part
            var port = part[part.endIndex...]
            if part.first == UInt8(ascii: "[") {
                guard let close = part.firstIndex(of: UInt8(ascii: "]")) else {
                    throw fault("host", "the IPv6 address has no closing \"]\"")
                }
                host = part[..<close].dropFirst()
                port = part[close...].dropFirst()
                guard port.isEmpty || port.first == UInt8(ascii: ":") else { throw fault("host", "expected \":\" and a port after \"]\"") }
            } else if let colon = part.firstIndex(of: UInt8(ascii: ":")) {
                host = part[..<colon]
                port = part[colon...]
            }
            let name = try decoded(host, "host")
            if !name.isEmpty {
                hosts.append(name)
            } else if part.first == UInt8(ascii: "[") {
                throw fault("host", "the address in brackets is empty")
            }
            if !port.dropFirst().isEmpty { try setPort(decoded(port.dropFirst(), "port")) }
        }

        private mutating func setPort(_ text: String) throws(ConfigurationError) {
            for part in ValueSyntax.list(text, blanksToo: false) {
                let number: Int
                do throws(InvalidValue) {
                    number = try ValueSyntax.integer(part, in: 1...65535)
                } catch {
                    throw fault("port", error.message)
                }
                guard port == nil || port == number else { throw fault("port", "all hosts must have the same port") }
                port = number
            }
        }

        mutating func setParameter(_ pair: Substring.UTF8View) throws(ConfigurationError) {
            let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
            let name = try decoded(pair[..<equals], "parameter")
            let value = try decoded(pair[equals...].dropFirst(), name)
            switch name {
            case "host":
                hosts = ValueSyntax.list(value, blanksToo: false)
            case "port":
                port = nil
                try setPort(value)
            case "user": user = value
            case "password": password = value
            case "dbname": database = value
            case "application_name": applicationName = value.isEmpty ? nil : value
            case "sslmode":
                do throws(InvalidValue) {
                    sslMode = try ValueSyntax.choice(value, of: TLSMode.self)
                } catch {
                    throw fault("sslmode", error.message)
                }
            case "sslnegotiation":
                do throws(InvalidValue) {
                    sslNegotiation = try ValueSyntax.choice(value, of: SSLNegotiation.self)
                } catch {
                    throw fault("sslnegotiation", error.message)
                }
            case "channel_binding":
                do throws(InvalidValue) {
                    channelBinding = try ValueSyntax.choice(value, of: ChannelBinding.self)
                } catch {
                    throw fault("channel_binding", error.message)
                }
            // What the system knows is taken without a file, too.
            case "sslrootcert": authorityFile = value == "system" ? "" : value
            case "sslcert": certificateFile = value
            case "sslkey": keyFile = value
            default: break
            }
        }
    }
}
