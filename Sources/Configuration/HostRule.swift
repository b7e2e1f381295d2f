import Bytes

/// How a rule of the HBA file lets a client in.
public enum HostMethod: String, Sendable, Equatable, CaseIterable {
    case trust, reject, md5, password, cert, peer, ldap
    case scramSHA256 = "scram-sha-256"
}

/// What a rule looks at.
public struct HostRequest: Sendable {
    /// Where the connection came from.
    public enum Origin: Sendable, Equatable {
        case unixSocket
        case network(NetworkAddress, isEncrypted: Bool)
    }

    /// The name that the client asks for.
    public var database: String
    /// The login user.
    public var user: String
    /// Where it comes from.
    public var origin: Origin
    /// `replication=true`: the stream of the whole server, not of one database.
    public var isPhysicalReplication: Bool

    /// Describes a connection.
    public init(database: String, user: String, origin: Origin, isPhysicalReplication: Bool = false) {
        self.database = database
        self.user = user
        self.origin = origin
        self.isPhysicalReplication = isPhysicalReplication
    }
}

/// One line of the HBA file.
public struct HostRule: Sendable, Equatable {
    /// The first field.
    enum Connection: String, CaseIterable {
        case local, host, hostssl, hostnossl
    }

    /// Names, or keywords that stand for names.
    struct Names: Equatable {
        var names: NameSet = []
        var isAll = false
        var isSameUser = false
        var isReplication = false
    }

    var connection: Connection
    var databases: Names
    var users: Names
    /// Nil: every address.
    var range: NetworkRange?
    /// How the client proves who it is.
    public internal(set) var method: HostMethod
    /// `map=`: the user name map for `cert` and `peer`.
    public internal(set) var map: String?
    /// What follows `ldap`, as it stands there.
    public internal(set) var ldapOptions: String?
    /// Where the rule stands, for the log.
    public internal(set) var line: Int

    /// Whether the rule is about this connection.
    public func matches(_ request: HostRequest) -> Bool {
        isAboutPlace(of: request) && matchesDatabase(request) && (users.isAll || users.names.contains(request.user))
    }

    fileprivate func isAboutPlace(of request: HostRequest) -> Bool {
        switch (connection, request.origin) {
        case (.local, .unixSocket): break
        case (.host, .network(let address, _)), (.hostssl, .network(let address, isEncrypted: true)),
            (.hostnossl, .network(let address, isEncrypted: false)):
            if let range, !range.contains(address) { return false }
        default: return false
        }
        return true
    }

    fileprivate func matchesDatabase(_ request: HostRequest) -> Bool {
        // As in PostgreSQL, `all` does not mean the stream of the whole server.
        if request.isPhysicalReplication { return databases.isReplication }
        return databases.isAll || databases.names.contains(request.database)
            || (databases.isSameUser && request.database.hasSameBytes(as: request.user))
    }
}

/// The rules of `auth_hba_file`, in order; the first that matches a connection decides.
public struct HostRules: Sendable, Equatable {
    /// In the order of the file.
    public internal(set) var rules: [HostRule] = []
    /// Lines that were skipped and why, with file and line.
    public internal(set) var warnings: [String] = []

    /// No rule: nobody is let in.
    public init() {}

    /// Whether somebody, whatever the name, might be let in over a connection like this one.
    public func mayAdmitSomebody(_ request: HostRequest) -> Bool {
        rules.contains { $0.method != .reject && $0.isAboutPlace(of: request) && ($0.databases.isSameUser || $0.matchesDatabase(request)) }
    }

    /// The rule that decides; nil when none is about this connection.
    public func rule(for request: HostRequest) -> HostRule? {
        rules.first { $0.matches(request) }
    }
}
