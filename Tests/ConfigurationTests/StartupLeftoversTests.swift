import Testing

@testable import Configuration

@Suite struct StartupLeftoversTests {
    @Test(arguments: [
        "pgbouncer", "PgBouncer", "connection_limit", "pool_timeout", "connect_timeout", "socket_timeout", "statement_cache_size", "schema",
        "sslaccept", "sslmode", "channel_binding", "target_session_attrs", "prepareThreshold", "workaround", "supa",
    ])
    func swallowed(name: String) {
        #expect(IgnoredStartupParameters.contains(name))
    }

    /// What PostgreSQL or the protocol gives a meaning to must reach the pooler's own rules.
    @Test(arguments: [
        "user", "database", "options", "replication", "client_encoding", "application_name", "DateStyle", "TimeZone", "IntervalStyle",
        "search_path", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "client_min_messages",
        "extra_float_digits", "standard_conforming_strings", "tcp_keepalives_idle", "tcp_user_timeout", "role", "geqo", "jit",
        "_pq_.command_progress", "", "anything",
    ])
    func kept(name: String) {
        #expect(!IgnoredStartupParameters.contains(name))
    }

    @Test func theListIsWrittenAsItIsCompared() {
        for name in IgnoredStartupParameters.names { #expect(name == name.lowercased()) }
        #expect(!IgnoredStartupParameters.contains(String(repeating: "x", count: 1_000_000)))
    }
}
