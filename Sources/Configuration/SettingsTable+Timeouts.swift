extension SettingsTable {
    /// Times.
    static let timeouts: [SettingSpecification] = [
        .time(
            "server_lifetime", \.serverLifetime, "3600", scopes: [.global, .database],
            "Age at which an idle server connection is closed; 0 closes it after one use."),
        .time("server_idle_timeout", \.serverIdleTimeout, "600", "Idle time after which a server connection is closed; 0 keeps it."),
        .time(
            "server_connect_timeout", \.serverConnectTimeout, "15",
            "Time for connecting and logging in to a server, and for each check or clean-up of one; 0 means no limit."),
        .time(
            "server_login_retry", \.serverLoginRetry, "15",
            "Pause after a failed connect to a server. A login that the server refuses is tried again after 0.1 s, if a client waits."),
        .time("client_login_timeout", \.clientLoginTimeout, "60", "Time for a client to log in; 0 means no limit."),
        .time(
            "client_message_timeout", \.clientMessageTimeout, "60",
            "Time in which more of a large message has to arrive while it is being streamed to a server. Sluice's own setting."),
        .time(
            "client_idle_timeout", \.clientIdleTimeout, "0", scopes: [.global, .user],
            "Time a client may idle without a server connection; 0 means no limit."),
        .time(
            "idle_transaction_timeout", \.idleTransactionTimeout, "0", scopes: [.global, .user],
            "Time a client may idle inside a transaction; 0 means no limit."),
        .time(
            "transaction_timeout", \.transactionTimeout, "0", scopes: [.global, .user], "Time a transaction may take; 0 means no limit."),
        .time(
            "query_timeout", \.queryTimeout, "0", scopes: [.global, .user],
            "Time a query may wait, and time it may run; 0 means no limit."),
        .time(
            "query_wait_timeout", \.queryWaitTimeout, "120", scopes: [.global, .database, .user],
            "Time a query may wait for a server connection; 0 means no limit."),
        .integer("query_wait_notify", \.queryWaitNotify, "5", "Seconds after which a waiting client gets a NOTICE; 0 sends none."),
        .time("cancel_wait_timeout", \.cancelWaitTimeout, "10", "Time for a cancel request to reach the server; 0 means no limit."),
        .time(
            "autodb_idle_timeout", \.autodbIdleTimeout, "3600",
            "Time after which an unused database made from `*` is forgotten."),
        .time(
            "pool_idle_timeout", \.poolIdleTimeout, "0",
            "Time without a client after which a pool's servers are closed and it is forgotten; 0 keeps it."),
    ]
}
