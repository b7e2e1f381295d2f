import PostgresWire

/// What the pooler does when a server asks it for a password, by the form in which it knows the password.
public enum ServerPasswordAnswer: Sendable, Equatable {
    /// Nothing: the server is content.
    case none
    /// A PasswordMessage with this text; the terminating NUL is the encoder's.
    case password(String)
    /// A SCRAM exchange with this credential over this channel, started by a SASLInitialResponse.
    case scram(SCRAMCredential, SCRAMServerChannel)
    /// No answer is possible; this is why.
    case failed(String)

    /// The secret's form and the server's request do not go together.
    public static let wrongPasswordType = "wrong password type"
    /// The server offers nothing but mechanisms the pooler does not speak.
    public static let noSupportedMechanism = "none of the server's SASL authentication mechanisms are supported"
    /// A SASL message without an exchange.
    public static let unexpectedSASLMessage = "unexpected SASL message"

    /// Decides on the first request of a login.
    ///
    /// A secret is never refused for being wrong: where only its form is unfit the server gets it as it is, or gets the answer
    /// of an empty password, and says itself what it thinks of it.
    ///
    /// - Parameters:
    ///   - request: the server's first Authentication message.
    ///   - secret: the pool's credential.
    ///   - user: the name in the startup packet, a part of MD5 answers.
    ///   - passThrough: keys left behind by a client that proved knowledge of exactly this SCRAM secret.
    ///   - endPoint: on TLS, the data of `tls-server-end-point`; nil where the server's certificate has none.
    public static func answer(
        to request: AuthenticationRequest, secret: StoredSecret, user: String, passThrough: SCRAMKeys? = nil, endPoint: [UInt8]? = nil
    ) -> ServerPasswordAnswer {
        switch request {
        case .ok:
            return .none
        case .cleartextPassword:
            return .password(secret.text)
        case .md5Password(let salt):
            switch secret {
            case .none: return .password(MD5Password.response(secret: MD5Password.secret(user: user, password: ""), salt: salt))
            case .plain(let password):
                return .password(MD5Password.response(secret: MD5Password.secret(user: user, password: password), salt: salt))
            case .md5(let digest): return .password(MD5Password.response(secret: digest, salt: salt))
            case .scram: return .failed(wrongPasswordType)
            }
        case .sasl(let mechanisms):
            let offersBinding = mechanisms.contains(SCRAMMechanism.plusName)
            let channel: SCRAMServerChannel
            if offersBinding, let endPoint {
                channel = .bound(endPoint)
            } else if mechanisms.contains(SCRAMMechanism.name) {
                channel = endPoint != nil ? .notOffered : .unbound
            } else {
                return .failed(noSupportedMechanism)
            }
            switch secret {
            case .none: return .scram(.password([]), channel)
            case .plain(let password): return .scram(.password(Array(password.utf8)), channel)
            case .md5: return .failed(wrongPasswordType)
            case .scram: return passThrough.map { .scram(.keys($0), channel) } ?? .failed(wrongPasswordType)
            }
        case .saslContinue, .saslFinal:
            return .failed(unexpectedSASLMessage)
        }
    }
}
