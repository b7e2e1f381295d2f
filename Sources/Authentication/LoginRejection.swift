/// Why a login was refused: the text for the client, and what only the log may know.
public struct LoginRejection: Sendable, Equatable {
    /// The particulars.
    public enum Reason: Sendable, Equatable {
        case noSuchUser
        case wrongPassword
        /// None is set, or the one in the user list is empty.
        case noPassword
        /// An MD5 secret, and the method is SCRAM.
        case unsupportedSecret
        case emptyPassword
        case passwordTooLong
        case malformedPassword
        case malformedInitialResponse
        case unexpectedPassword
        /// The client chose a SASL mechanism that it was not offered.
        case unknownMechanism
        case scram(SCRAMError)
        /// PAM or a directory has judged; its words.
        case judged(String)
        /// The caller went on with something that was not due.
        case outOfOrder(Call)
    }

    /// What a caller may do out of order.
    public enum Call: String, Sendable {
        case start = "login started twice"
        case derivation = "a derivation that nobody asked for"
        case verdict = "a verdict that nobody asked for"
        case omission = "a derivation can't be left out"
    }

    /// The method of the login.
    public let method: LoginMethod
    /// Why it was refused.
    public let reason: Reason

    /// The message of the ErrorResponse.
    public var clientText: String {
        switch reason {
        case .emptyPassword: "empty password returned by client"
        case .passwordTooLong: "password too long"
        case .unknownMechanism: "client selected an invalid SASL authentication mechanism"
        case .noSuchUser, .wrongPassword, .noPassword, .unsupportedSecret, .malformedPassword, .malformedInitialResponse,
            .unexpectedPassword,
            .scram, .judged, .outOfOrder:
            switch method {
            case .any, .trust: "\"trust\" authentication failed"
            case .plain, .md5: "password authentication failed"
            case .scramSHA256: "SASL authentication failed"
            case .pam: "PAM authentication failed"
            case .ldap: "LDAP authentication failed"
            }
        }
    }

    /// The particulars in words, without secrets.
    public var logReason: String {
        switch reason {
        case .noSuchUser: "no such user"
        case .wrongPassword: "password does not match"
        case .noPassword: "user has no password"
        case .unsupportedSecret:
            "the user has an MD5 secret, which SCRAM can't be checked against: expected a SCRAM secret or a plain password"
        case .emptyPassword: "empty password"
        case .passwordTooLong: "password too long"
        case .malformedPassword: "malformed password message"
        case .malformedInitialResponse: "malformed SASLInitialResponse"
        case .unexpectedPassword: "unexpected password message"
        case .unknownMechanism: "unknown SASL mechanism"
        case .scram(let error): error.reason
        case .judged(let words): words
        case .outOfOrder(let call): call.rawValue
        }
    }
}
