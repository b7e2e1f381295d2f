extension SettingsTable {
    /// Pools.
    static let pooling: [SettingSpecification] = [
        .choice(
            "pool_mode", \.poolMode, "session", scopes: [.global, .database, .user], "When a server connection goes back to its pool."),
        .integer("default_pool_size", \.defaultPoolSize, "20", "Server connections of a pool; 0 means no limit."),
        .integer(
            "min_pool_size", \.minPoolSize, "0", scopes: [.global, .database],
            "Server connections to keep open in a pool that has been used."),
        .integer(
            "reserve_pool_size", \.reservePoolSize, "0", scopes: [.global, .database, .user],
            "More server connections for clients that wait longer than `reserve_pool_timeout`."),
        .time(
            "reserve_pool_timeout", \.reservePoolTimeout, "5",
            "How long a client waits before the reserve is used; 0 turns the reserve off."),
        .integer("max_client_conn", \.maxClientConn, "100", "Client connections of the whole process."),
        .integer(
            "max_db_connections", \.maxDbConnections, "0", scopes: [.global, .database],
            "Server connections of a database over all its pools; 0 means no limit."),
        .integer(
            "max_db_client_connections", \.maxDbClientConnections, "0", scopes: [.global, .database],
            "Client connections of a database; 0 means no limit."),
        .integer(
            "max_user_connections", \.maxUserConnections, "0", scopes: [.global, .user],
            "Server connections of a user over all pools; 0 means no limit."),
        .integer(
            "max_user_client_connections", \.maxUserClientConnections, "0", scopes: [.global, .user],
            "Client connections of a user; 0 means no limit."),
        .boolean(
            "server_round_robin", \.serverRoundRobin, "0",
            "Use the server connection that is idle longest in place of the one used last."),
        .integer(
            "max_prepared_statements", \.maxPreparedStatements, "200",
            "Prepared statements kept on a server connection outside session mode; 0 passes statements through untouched."),
        .choice(
            "statement_sharing", \.statementSharing, "auto",
            "Whether clients that prepare the same text use one statement on the server: `auto` where the pooler knows that it means the same for them, `off` never. Sluice's own setting."
        ),
        .time(
            "statement_max_age", \.statementMaxAge, "60",
            "Age of a server's plan from which on it answers no further client that prepares the same text: it is parsed again. Bounds for how long DDL past the pooler may go unnoticed by clients that come after it; 0 means no limit. Sluice's own setting."
        ),
        .unsigned(
            "max_statement_memory", \.maxStatementMemory, "67108864",
            "Bytes of statement texts, over all databases, from which on those that nobody uses are dropped, the largest first."),
        .unsigned(
            "max_packet_size", \.maxPacketSize, "2147483647",
            "Bytes of the largest message that is accepted; PostgreSQL's own limits hold in any case."),
        .string(
            "server_reset_query", \.serverResetQuery, "DISCARD ALL",
            "Sent before a server connection changes hands in session mode; empty sends nothing."),
        .boolean("server_reset_query_always", \.serverResetQueryAlways, "0", "Send `server_reset_query` in every pool mode."),
        .string(
            "server_check_query", \.serverCheckQuery, "<empty>",
            "Sent to see whether an idle server connection lives: `<empty>` is the empty query, an empty value turns the check off."),
        .time(
            "server_check_delay", \.serverCheckDelay, "30",
            "Idle time after which `server_check_query` is sent before use; 0 sends it always."),
        .boolean(
            "server_fast_close", \.serverFastClose, "0",
            "In session mode close outdated server connections when their transaction ends."),
        .boolean(
            "cancel_on_disconnect", \.cancelOnDisconnect, "0",
            "Cancel whatever a client that has left was running, and forget what it had sent behind that. Sluice's own setting: PostgreSQL does to the end what it was sent."
        ),
        .list(
            "ignore_startup_parameters", \.ignoreStartupParameters, "", splitsAtBlanks: true,
            "Startup parameters that are swallowed, also inside `options`; names that PostgreSQL does not know always are. With `options` in the list, all that stands in it is, but for application_name, client_encoding, DateStyle, TimeZone, standard_conforming_strings and `track_extra_parameters`."
        ),
        .list(
            "track_extra_parameters", \.trackExtraParameters, "IntervalStyle",
            "Parameters that count in `options` where `ignore_startup_parameters` has `options`. All that PostgreSQL reports, and all of its startup packet, follow the client without being named here."
        ),
        .boolean("application_name_add_host", \.applicationNameAddHost, "0", "Append the client's host and port to its application_name."),
    ]
}
