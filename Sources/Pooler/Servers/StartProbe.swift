import Configuration
import EventLoop
import PoolCore
import PostgresWire

/// The one server connection that a start by URL opens before anybody asks, so that a wrong URL is told at once and not to the first
/// client.
public struct StartProbe: Sendable, Equatable {
    /// The database and the user that the URL names.
    public let database: String
    public let user: String
    /// Whether the URL has a password.
    public let hasPassword: Bool

    /// Describes the connection.
    public init(database: String, user: String, hasPassword: Bool) {
        self.database = database
        self.user = user
        self.hasPassword = hasPassword
    }

    /// How it went.
    enum Outcome: Sendable, Equatable {
        /// PostgreSQL of this version has let us in.
        case answered(version: String)
        case failed(OpeningFailure)
        /// The server asks for a password, and there is none.
        case lacksPassword
        /// The address is one that this process listens on.
        case isThisPooler
    }

    /// What the probe has said first with a nonce of its own. Whoever hears it is where the probe was sent, whatever addresses are in between.
    struct Words: Sendable {
        let message: [UInt8]
        let probe: StartProbe
        let place: String
    }

    /// What an operator reads.
    struct Report: Sendable, Equatable {
        let sentence: String
        let kind: Kind

        enum Kind: Sendable, Equatable {
            case success
            /// It may be better when the first client comes: a server that starts, a role that is made.
            case mayPass
            /// Nothing but another URL helps.
            case isFinal
        }
    }

    /// One sentence that says what is wrong, and what to do about it.
    ///
    /// - Parameters:
    ///   - place: where the connection went, as far as it got: `db1:5432`.
    ///   - settings: those in force.
    func report(_ outcome: Outcome, place: String, settings: Settings) -> Report {
        switch outcome {
        case .answered(let version):
            return Report(sentence: "PostgreSQL \(version) answers at \(place): user \"\(user)\", database \"\(database)\"", kind: .success)
        case .lacksPassword:
            return Report(
                sentence: "the server at \(place) asks for a password and the database URL has none: "
                    + "expected postgres://user:password@host:port/database", kind: .isFinal)
        case .isThisPooler:
            return Report(
                sentence: "the database URL leads to this pooler itself (\(place)): expected the address of PostgreSQL, or another port "
                    + "for the pooler (--listen-port)", kind: .isFinal)
        case .failed(let failure):
            return Report(sentence: sentence(failure, place: place, settings: settings), kind: .mayPass)
        }
    }

    private func sentence(_ failure: OpeningFailure, place: String, settings: Settings) -> String {
        let detail = failure.detail.map { ": \($0)" } ?? ""
        switch failure {
        case .refused(let fields) where fields.code != nil:
            return refusal(fields.code ?? "", failure.message, place: place)
        case .hostUnknown(let host, let words):
            return "the host of the database URL is not known (\(host): \(words)): "
                + "check how it is spelt, and whether this machine can look it up"
        case .connectFailed, .connectTimeout:
            let reason = failure == .connectTimeout ? " within \(settings.serverConnectTimeout / 1_000_000) s" : ""
            return "no PostgreSQL answers at \(place)\(reason)\(detail): check that it runs, that host and port are right, "
                + "and that no firewall is in between"
        case .tlsRefused:
            return "the server at \(place) speaks no TLS, and sslmode=\(settings.serverTlsSslmode.rawValue) insists on it: "
                + "expected ssl = on in postgresql.conf, or sslmode=prefer where the network may be trusted"
        case .tlsSetupFailed, .tlsHandshakeFailed, .tlsFailed:
            return
                "TLS with the server at \(place) failed with sslmode=\(settings.serverTlsSslmode.rawValue) (\(failure.message)\(detail)): "
                + "check sslmode and sslrootcert, and the server's certificate"
        case .login(let words): return loginFailed(words, place: place)
        case .passwordNotAvailable(let key, let words): return loginFailed("\(key): \(words)", place: place)
        case .refused, .pathTooLong, .crashed, .connectionLost, .tlsNotAnswered, .unencryptedData, .directTLSRefused, .directTLSWithoutALPN,
            .passwordRefused, .shuttingDown:
            return "what answers at \(place) does not speak like PostgreSQL (\(failure.message)): check host and port"
        }
    }

    private func loginFailed(_ words: String, place: String) -> String {
        "the login at \(place) failed (\(words)): check that PostgreSQL listens there"
    }

    /// PostgreSQL itself has refused.
    private func refusal(_ code: String, _ message: String, place: String) -> String {
        let said = "PostgreSQL at \(place) says: \(message)"
        switch code {
        case "28P01": return "the password of user \"\(user)\" in the database URL is wrong (\(said))"
        case "28000":
            return "user \"\(user)\" may not log in (\(said)): check that the role exists and what pg_hba.conf says of it"
        case "3D000": return "there is no database \"\(database)\" (\(said))"
        case "53300": return "the server has no connection left (\(said)): sluicectl doctor tells which limit binds"
        case SQLState.cannotConnectNow: return "the server is not ready yet (\(said))"
        default: return said
        }
    }
}
