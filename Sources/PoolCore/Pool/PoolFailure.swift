import PostgresWire

/// The last try to get a server of a pool failed. Moments are those of the monotonic clock, in microseconds.
///
/// A server that can't be reached is one thing: `server_login_retry` is the pause, and who asks meanwhile is refused at once. A *refusal* is
/// another: it is about one login. The database may be there a moment later, the password may be changed, a connection may be free again.
/// So it is told, in the server's own words, to those who have waited for that login, and to nobody else; who comes later is a reason to try
/// again.
public struct PoolFailure: Sendable, Equatable {
    public let fields: ErrorFields
    public let time: Int64
    /// When that try began. It says nothing to those who came later.
    public let started: Int64
    /// A server was reached, and the login failed. Else there was none to ask.
    public let isRefusal: Bool
    /// How many tries in a row were refused.
    public let refusals: Int

    /// Between a refused login and the next one of the same pool, in microseconds.
    public static let refusalPause: Int64 = 100_000
    /// Who waits for a server that is starting up hears of it after this time (microseconds).
    static let startupPatience: Int64 = 15_000_000

    /// A failure.
    public init(fields: ErrorFields, time: Int64, started: Int64, isRefusal: Bool, refusals: Int) {
        self.fields = fields
        self.time = time
        self.started = started
        self.isRefusal = isRefusal
        self.refusals = refusals
    }

    /// The server will take logins by itself before long: it starts, or recovers from a crash.
    public var isTemporary: Bool { isRefusal && fields.code == SQLState.cannotConnectNow }

    /// What went wrong, for operators.
    public var text: String { (fields.message ?? "connect failed") + (fields.detail.map { ": \($0)" } ?? "") }

    /// How long the pool waits before it tries again. `isWanted`: somebody waits for it; `hasServers`: the pool has some, and would like more.
    public func pause(loginRetry: Int64, isWanted: Bool, hasServers: Bool) -> Int64 {
        guard isRefusal, isWanted else { return loginRetry }
        let first = max(Self.refusalPause / 10, min(Self.refusalPause, loginRetry))
        // There the pause grows.
        guard hasServers else { return first }
        return max(first, min(first << Int64(min(refusals - 1, 20)), loginRetry))
    }
}
