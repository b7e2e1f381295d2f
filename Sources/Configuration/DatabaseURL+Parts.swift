extension DatabaseURL {
    /// The parts as they are met; parameters come last and win.
    struct Parts {
        var user: String?
        var password: String?
        var hosts: [String] = []
        /// Of the list of hosts; nil where a host has none.
        private var hostPorts: [Int?] = []
        /// Of the parameter `port`.
        private var ports: [Int]?
        var database: String?
        var sslMode: TLSMode?
        var authorityFile = ""
        var certificateFile = ""
        var keyFile = ""
        var sslNegotiation = SSLNegotiation.postgres
        var channelBinding = ChannelBinding.prefer
        var protocolLimits = ProtocolLimits()
        /// `ssl`, which counts where there is no `sslmode`.
        var sslFlag: TLSMode?
        var serverParameters: [ServerParameter] = []
        var loadBalanceHosts = LoadBalanceHosts.disable
        var settings = Settings()
        private var warnings: [String] = []
        private var idle: [String] = []

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
            guard !port.dropFirst().isEmpty else {
                hostPorts.append(nil)
                return
            }
            let text = try decoded(port.dropFirst(), "port")
            do throws(InvalidValue) { hostPorts.append(try Self.port(text)) } catch { throw fault("port", error.message) }
        }

        private static func port(_ text: String) throws(InvalidValue) -> Int { try ValueSyntax.integer(text, in: 1...65535) }

        /// The port of each host, or one for all of them.
        func resolvedPorts() throws(ConfigurationError) -> [Int] {
            let all = ports ?? hostPorts.map { $0 ?? 5432 }
            guard let first = all.first else { return [5432] }
            if all.allSatisfy({ $0 == first }) { return [first] }
            guard all.count == hosts.count else {
                throw fault("port", "there are \(all.count) ports and \(hosts.count) hosts: expected one port, or one for each host")
            }
            return all
        }

        mutating func setParameter(_ pair: Substring.UTF8View) throws(ConfigurationError) {
            let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
            let name = try decoded(pair[..<equals], "parameter")
            guard name.utf8.allSatisfy(Self.isNameByte), !name.isEmpty else {
                // Perhaps the rest of a password: not to be repeated.
                warnings.append("a parameter whose name is no name has no effect: expected letters, digits and underscores")
                return
            }
            let value = try decoded(pair[equals...].dropFirst(), name)
            do throws(InvalidValue) {
                if try setServer(name, value) { return }
                if try setTLS(name, value) { return }
                if try setSocket(name, value) { return }
            } catch {
                throw fault(name, error.message)
            }
            if setSession(name, value) { return }
            noteWithoutEffect(name, value)
        }

        private static func isNameByte(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"):
                true
            default: false
            }
        }

        /// Where the server is, and who logs in there. False: something else.
        private mutating func setServer(_ name: String, _ value: String) throws(InvalidValue) -> Bool {
            switch name {
            case "host": hosts = ValueSyntax.list(value, blanksToo: false)
            case "port":
                let all = try ValueSyntax.list(value, blanksToo: false).map { (text) throws(InvalidValue) in try Self.port(text) }
                ports = all.isEmpty ? nil : all
            case "user": user = value
            case "password": password = value
            case "dbname": database = value
            case "min_protocol_version": protocolLimits.oldest = try ValueSyntax.choice(value, of: ProtocolLimit.self)
            case "max_protocol_version": protocolLimits.newest = try ValueSyntax.choice(value, of: ProtocolLimit.self)
            case "load_balance_hosts":
                // libpq's words. In turn is as good as at random.
                switch value {
                case "disable": loadBalanceHosts = .disable
                case "random", LoadBalanceHosts.roundRobin.rawValue: loadBalanceHosts = .roundRobin
                default: throw InvalidValue("\"\(value)\" is not known: expected disable or random")
                }
            case "target_session_attrs":
                let words = ["any", "read-write", "read-only", "primary", "standby", "prefer-standby"]
                guard words.contains(value) else { throw InvalidValue("\"\(value)\" is not known: expected \(ValueSyntax.oneOf(words))") }
                if value != "any" {
                    warnings.append(
                        "target_session_attrs: \(value) has no effect: any server that answers is taken, so name none but the right ones")
                }
            default: return false
            }
            return true
        }

        private mutating func setTLS(_ name: String, _ value: String) throws(InvalidValue) -> Bool {
            switch name {
            case "sslmode":
                // node-postgres' word for what is called require everywhere else.
                sslMode = value == "no-verify" ? .require : try ValueSyntax.choice(value, of: TLSMode.self)
            case "ssl" where ["true", "1", "require", "no-verify"].contains(value): sslFlag = .require
            case "sslnegotiation": sslNegotiation = try ValueSyntax.choice(value, of: SSLNegotiation.self)
            case "channel_binding": channelBinding = try ValueSyntax.choice(value, of: ChannelBinding.self)
            // What the system knows is taken without a file, too.
            case "sslrootcert": authorityFile = value == "system" ? "" : value
            case "sslcert": certificateFile = value
            case "sslkey": keyFile = value
            default: return false
            }
            return true
        }

        private mutating func setSocket(_ name: String, _ value: String) throws(InvalidValue) -> Bool {
            func count() throws(InvalidValue) -> Int { try ValueSyntax.integer(value, in: 0...ValueSyntax.integerMaximum) }
            switch name {
            // 0 and less mean no limit, and so does the setting.
            case "connect_timeout":
                let seconds = try ValueSyntax.integer(value, in: -ValueSyntax.integerMaximum...Int(ValueSyntax.maximumSeconds))
                settings.serverConnectTimeout = Microseconds(max(0, seconds)) * 1_000_000
            case "keepalives": settings.tcpKeepalive = try ValueSyntax.boolean(value)
            case "keepalives_idle": settings.tcpKeepidle = try count()
            case "keepalives_interval": settings.tcpKeepintvl = try count()
            case "keepalives_count": settings.tcpKeepcnt = try count()
            case "tcp_user_timeout": settings.tcpUserTimeout = try count()
            default: return false
            }
            return true
        }

        /// What every server connection starts with.
        private mutating func setSession(_ name: String, _ value: String) -> Bool {
            let setting = name.lowercased()
            switch setting {
            case "fallback_application_name":
                if !serverParameters.contains(where: { $0.name == "application_name" }) { setParameter("application_name", value) }
            // A client library's own: whatever suits its terminal.
            case "client_encoding" where value == "auto": return false
            case _ where Self.sessionSettings.contains(setting) || isCustom(setting): setParameter(setting, value)
            default: return false
            }
            return true
        }

        private mutating func setParameter(_ name: String, _ value: String) {
            serverParameters.removeAll { $0.name == name }
            // Nothing is what there is without it.
            if !value.isEmpty || isCustom(name) { serverParameters.append(ServerParameter(name: name, value: value)) }
        }

        /// `app.tenant` and the like, which PostgreSQL takes without knowing them.
        private func isCustom(_ name: String) -> Bool {
            let parts = name.split(separator: ".", omittingEmptySubsequences: false)
            return parts.count == 2 && parts.allSatisfy { !$0.isEmpty && !$0.utf8.contains(UInt8(ascii: "-")) }
        }

        /// Settings of PostgreSQL that drivers take in a URL, beside `options`, in which all others may stand.
        private static let sessionSettings: Set<String> = [
            "options", "application_name", "client_encoding", "timezone", "datestyle", "intervalstyle", "search_path", "role",
            "statement_timeout", "lock_timeout", "transaction_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout",
            "default_transaction_isolation", "default_transaction_read_only", "default_transaction_deferrable", "extra_float_digits",
            "bytea_output", "client_min_messages", "standard_conforming_strings", "work_mem", "jit", "plan_cache_mode",
        ]

        private mutating func noteWithoutEffect(_ name: String, _ value: String) {
            // That a pooler is in between is true.
            if name == "pgbouncer" { return }
            if IgnoredStartupParameters.contains(name) || name == "client_encoding" {
                if !idle.contains(name) { idle.append(name) }
                return
            }
            let hint = Names.nearest(to: name, among: Self.knownNames).map { " (did you mean \"\($0)\"?)" } ?? ""
            warnings.append("\(name): not known, so it has no effect\(hint)")
        }

        private static let knownNames: [String] =
            [
                "host", "port", "user", "password", "dbname", "sslmode", "sslnegotiation", "channel_binding", "sslrootcert", "sslcert",
                "sslkey", "load_balance_hosts", "target_session_attrs", "connect_timeout", "keepalives", "keepalives_idle",
                "keepalives_interval", "keepalives_count", "tcp_user_timeout", "min_protocol_version", "max_protocol_version",
            ] + sessionSettings.sorted()

        /// What had no effect, in the order of the URL; what belongs to drivers and their pools in one sentence.
        var allWarnings: [String] {
            idle.isEmpty ? warnings : warnings + ["no effect here: \(idle.joined(separator: ", "))"]
        }
    }
}
