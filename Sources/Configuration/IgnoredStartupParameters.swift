/// Parameters that belong to client libraries but reach the server as startup parameters, because some drivers pass on
/// whatever a connection URL holds. PostgreSQL refuses a login that names one, so the pooler drops them.
public enum IgnoredStartupParameters {
    /// Whether a startup parameter is such a leftover, in any case of letters. No setting of PostgreSQL is among them.
    public static func contains(_ name: String) -> Bool {
        // Names come from strangers: nothing longer than the longest one is worth copying.
        name.utf8.count <= maximumBytes && names.contains(name.lowercased())
    }

    static let names: Set<String> = Set(prisma + libpq + jdbc + others)

    private static let maximumBytes = names.reduce(0) { max($0, $1.utf8.count) }

    /// Prisma's engine; the first ones also stand in the URLs that hosting companies hand out.
    private static let prisma = [
        "pgbouncer", "connection_limit", "pool_timeout", "connect_timeout", "socket_timeout", "statement_cache_size", "schema",
        "sslaccept", "sslidentity", "sslpassword", "max_connection_lifetime", "max_idle_connection_lifetime", "single_use_connections",
    ]

    /// libpq takes these for itself; other drivers do not know all of them.
    private static let libpq = [
        "sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslcrldir", "sslsni", "sslcompression", "sslnegotiation",
        "sslcertmode", "requiressl", "channel_binding", "target_session_attrs", "load_balance_hosts",
        "gssencmode", "krbsrvname", "gsslib", "gssdelegation", "passfile", "service", "hostaddr", "fallback_application_name",
        "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "require_auth",
        "min_protocol_version", "max_protocol_version", "requirepeer",
    ]

    /// pgjdbc.
    private static let jdbc = [
        "preparethreshold", "preparedstatementcachequeries", "preparedstatementcachesizemib", "defaultrowfetchsize", "sslfactory",
        "binarytransfer", "logintimeout", "connecttimeout", "sockettimeout", "cancelsignaltimeout", "tcpkeepalive", "currentschema",
        "rewritebatchedinserts", "rewritebatchedstatements", "targetservertype", "loadbalancehosts", "stringtype", "prefersimpleprotocol",
        "preferquerymode", "autosave", "assumeminserverversion", "reconnect",
    ]

    /// Node, Go, Rust, Python and Ruby drivers and pools, and hosting companies.
    private static let others = [
        "ssl", "prepare", "prepared_statements", "prepared_statement_cache_size", "statement_cache_capacity", "statement-cache-capacity",
        "statement_cache_mode", "description_cache_capacity", "default_query_exec_mode", "binary_parameters", "max_connections",
        "pool_max_conns", "pool_min_conns", "pool_max_conn_lifetime", "pool_max_conn_lifetime_jitter", "pool_max_conn_idle_time",
        "pool_health_check_period", "pool_size", "pool", "max_overflow", "pool_recycle", "pool_pre_ping", "pool_mode",
        "command_timeout", "max_cached_statement_lifetime", "max_cacheable_statement_size", "idle_timeout", "max_lifetime",
        "max", "uselibpqcompat", "supa", "workaround", "encoding", "adapter", "reaping_frequency", "checkout_timeout",
    ]
}
