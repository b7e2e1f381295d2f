import Authentication
import Statistics

/// Why a client that has named itself is not let in. It is told less than the log, which helps nobody to guess.
public enum LoginFailure: Sendable, Equatable {
    /// The exchange with the client.
    case exchange(LoginRejection)

    // The HBA file, certificates, the system's users
    case rejectedByRule(line: Int)
    case noRule
    case systemUserUnknown
    case systemUserDiffers(systemUser: String, user: String)
    case certificateMissing
    case certificateDiffers(names: [String])

    // Settings
    case noForcedUser(database: String)
    case notBuilt(LoginMethod, trait: String)
    case noLDAPOptions
    case invalidLDAPOptions(String)

    // auth_query
    case reservedAuthDatabase
    case unknownAuthDatabase(String)
    case disabledAuthDatabase(String)
    case authQueryFailed(String)

    /// The message for the client.
    public var clientText: String {
        switch self {
        case .exchange(let rejection): rejection.clientText
        case .rejectedByRule: "login rejected"
        case .noRule: "no authentication method is found"
        case .systemUserUnknown, .systemUserDiffers: "unix socket login rejected"
        case .certificateMissing, .certificateDiffers: "certificate authentication failed"
        case .notBuilt(let method, _): "\(method.rawValue) is not supported by this build"
        case .noLDAPOptions: "auth_ldap_options is null"
        case .invalidLDAPOptions: "LDAP authentication failed"
        case .disabledAuthDatabase: logText
        case .noForcedUser, .reservedAuthDatabase, .unknownAuthDatabase, .authQueryFailed: "bouncer config error"
        }
    }

    /// The words of the log.
    public var logText: String {
        switch self {
        case .exchange(let rejection): rejection.logReason
        case .rejectedByRule(let line): "the HBA file rejects it in line \(line)"
        case .noRule: "no rule of the HBA file matches"
        case .systemUserUnknown: "the other side is no user of this system"
        case .systemUserDiffers(let systemUser, let user): "system user \"\(systemUser)\" is not \"\(user)\""
        case .certificateMissing: "the client has shown no certificate"
        case .certificateDiffers(let names): "the certificate is for \(names.map { "\"\($0)\"" }.joined(separator: ", "))"
        case .noForcedUser(let database):
            "auth_type any needs a forced user: expected user= in the entry of database \"\(database)\""
        case .notBuilt(_, let trait): "built without the trait \(trait)"
        case .noLDAPOptions: "no LDAP options"
        case .invalidLDAPOptions(let words): words
        case .reservedAuthDatabase: "cannot use the reserved \"pgbouncer\" database as an auth_dbname"
        case .unknownAuthDatabase(let name): "authentication database \"\(name)\" is not configured"
        case .disabledAuthDatabase(let name): "authentication database \"\(name)\" is disabled"
        case .authQueryFailed(let words): words
        }
    }

    /// By what it is counted.
    public var cause: ClientCloseCause {
        switch self {
        case .exchange(let rejection): rejection.cause
        case .rejectedByRule: .rejectedByRule
        case .noRule: .noRule
        case .systemUserUnknown: .systemUserUnknown
        case .systemUserDiffers: .systemUserDiffers
        case .certificateMissing: .certificateMissing
        case .certificateDiffers: .certificateDiffers
        case .noForcedUser, .notBuilt, .noLDAPOptions, .invalidLDAPOptions, .reservedAuthDatabase, .unknownAuthDatabase: .loginMisconfigured
        case .disabledAuthDatabase: .authDatabaseDisabled
        case .authQueryFailed: .authQueryFailed
        }
    }
}

extension LoginRejection {
    fileprivate var cause: ClientCloseCause {
        switch reason {
        case .noSuchUser: .noSuchUser
        case .wrongPassword, .scram(.wrongProof): .wrongPassword
        case .noPassword: .noPassword
        case .unsupportedSecret: .unsupportedSecret
        case .emptyPassword: .emptyPassword
        case .passwordTooLong: .passwordTooLong
        case .malformedPassword, .malformedInitialResponse: .malformedPassword
        case .unexpectedPassword, .outOfOrder: .unexpectedPassword
        case .unknownMechanism: .unknownMechanism
        case .scram: .scramFailed
        case .judged: method == .pam ? .rejectedByPAM : .rejectedByLDAP
        }
    }
}
