/// An entry of `[users]`: limits for one user, which beat those of the database. Nil members fall back;
/// `Configuration` has the rules.
public struct UserOverrides: Sendable, Equatable {
    /// `pool_mode`.
    public var poolMode: PoolMode?
    /// `pool_size`: server connections of each of the user's pools; 0 means no limit.
    public var poolSize: Int?
    /// `reserve_pool_size`.
    public var reservePoolSize: Int?
    /// `max_user_connections`; 0 falls back.
    public var maxUserConnections: Int?
    /// `max_user_client_connections`; 0 falls back.
    public var maxUserClientConnections: Int?
    /// `query_timeout`; 0 falls back.
    public var queryTimeout: Microseconds?
    /// `query_wait_timeout`; 0 falls back.
    public var queryWaitTimeout: Microseconds?
    /// `idle_transaction_timeout`; 0 falls back.
    public var idleTransactionTimeout: Microseconds?
    /// `transaction_timeout`; 0 falls back.
    public var transactionTimeout: Microseconds?
    /// `client_idle_timeout`; 0 falls back.
    public var clientIdleTimeout: Microseconds?
    /// `password_file`: holds the user's password for logins to PostgreSQL.
    public var passwordFile: String?
    /// `password_command`: prints that password.
    public var passwordCommand: String?
    /// `password_lifetime`; 0 falls back.
    public var passwordLifetime: Microseconds?

    /// Overrides nothing.
    public init() {}

    /// Where the password for logins to PostgreSQL comes from, if the entry says so.
    public var passwordSource: PasswordSource? { PasswordSource(file: passwordFile, command: passwordCommand) }

    /// What is wrong with the entry as a whole, and with which key; nil for nothing.
    var problem: (key: String, text: String)? {
        guard passwordFile != nil, passwordCommand != nil else { return nil }
        return ("password_file", "password_file and password_command are both given: expected one of them")
    }
}

extension SettingsTable {
    /// What an entry of `[users]` may hold.
    public static let userKeys: [ConnectStringKey<UserOverrides>] = [
        .poolMode(\.poolMode, "the database's"),
        .size("pool_size", \.poolSize, "the database's", "Server connections of each pool; 0 means no limit, -1 not set."),
        .size("reserve_pool_size", \.reservePoolSize, "the database's", "More server connections for clients that wait; -1 means not set."),
        .size(
            "max_user_connections", \.maxUserConnections, "`max_user_connections`",
            "Server connections over all pools; 0 means the global value."),
        .size(
            "max_user_client_connections", \.maxUserClientConnections, "`max_user_client_connections`",
            "Client connections; 0 means the global value."),
        .wholeSeconds(
            "query_timeout", \.queryTimeout, "`query_timeout`",
            "Time a query may wait, and time it may run; 0 means the global value."),
        .wholeSeconds(
            "query_wait_timeout", \.queryWaitTimeout, "the database's",
            "Time a query may wait for a server connection; 0 means the database's value."),
        .wholeSeconds(
            "idle_transaction_timeout", \.idleTransactionTimeout, "`idle_transaction_timeout`",
            "Time a client may idle inside a transaction; 0 means the global value."),
        .wholeSeconds(
            "transaction_timeout", \.transactionTimeout, "`transaction_timeout`", "Time a transaction may take; 0 means the global value."),
        .wholeSeconds(
            "client_idle_timeout", \.clientIdleTimeout, "`client_idle_timeout`",
            "Time a client may idle without a server connection; 0 means the global value."),
        .string(
            "password_file", \.passwordFile, "secret in `auth_file`",
            "File with the user's password for logins to PostgreSQL, in one line. Clients do not log in with it."),
        .string(
            "password_command", \.passwordCommand, "secret in `auth_file`",
            "Command of the shell that prints this password as one line. It is told PGHOST, PGPORT and PGUSER in its environment."),
        .wholeSeconds(
            "password_lifetime", \.passwordLifetime, "the database's",
            "Time for which a password of `password_file` or `password_command` is used again; 0 means the database's value."),
    ]
}
