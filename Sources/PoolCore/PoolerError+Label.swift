extension PoolerError {
    /// The error as a name for counting: unlike `message` it holds nothing that clients, servers or files say.
    public var label: String {
        switch self {
        case .malformedStartup: "malformed startup packet"
        case .unknownProtocol: "unsupported frontend protocol"
        case .invalidOptions: "invalid startup options"
        case .invalidReplication: "invalid replication"
        case .fixedParameter: "parameter cannot be changed"
        case .foreignAuthorization: "permission denied to set session authorization"
        case .nameTooLong(let what): "\(what) too long"
        case .noSuchDatabase: "no such database"
        case .databaseDisabled: "database is disabled"
        case .authenticationFailed: "authentication failed"
        case .unexpectedMessageDuringLogin: "unexpected message during login"
        case .badHeader: "bad packet header"
        case .messageTooLarge: "message too large"
        case .serverSaid: "server ended the connection"
        case .serverLoginFailing: "server login has been failing"
        case .serverLoginFailed: "server login failed"
        case .invalidServerParameter: "invalid server parameter"
        default: message
        }
    }
}
