/// When a server connection goes back to its pool (`pool_mode`).
public enum PoolMode: String, Sendable, Equatable, CaseIterable {
    /// When the client disconnects.
    case session
    /// When the transaction ends.
    case transaction
    /// After every statement; transaction blocks are refused.
    case statement
}

/// Under which names `/metrics` tells its figures (`metrics_names`).
public enum MetricsNames: String, Sendable, Equatable, CaseIterable {
    /// Sluice's own.
    case sluice
    /// Those of pgbouncer_exporter, too.
    case pgbouncer
}

/// Who may use the server's plan of a prepared statement (`statement_sharing`).
public enum StatementSharing: String, Sendable, Equatable, CaseIterable {
    /// All clients whose own Parse would give the same, as far as the pooler knows.
    case auto
    /// The client that prepared it.
    case off
}

/// How clients prove who they are (`auth_type`).
public enum AuthType: String, Sendable, Equatable, CaseIterable {
    /// Anybody, under the database's forced user.
    case any
    /// A known user name is enough.
    case trust
    /// A password in clear text.
    case plain
    /// MD5, or SCRAM where the stored secret is one.
    case md5
    /// A client certificate.
    case cert
    /// Rules of a host-based authentication file.
    case hba
    /// A bind against an LDAP server.
    case ldap
    /// The PAM stack.
    case pam
    /// SCRAM-SHA-256 only.
    case scramSHA256 = "scram-sha-256"
}

/// How TLS is begun with a server (`sslnegotiation`).
public enum SSLNegotiation: String, Sendable, Equatable, CaseIterable {
    /// By asking for it first, as every PostgreSQL understands.
    case postgres
    /// At once, as PostgreSQL 17 and many proxies understand.
    case direct
}

/// Whether a login to a server is tied to the TLS that it goes over (`channel_binding`), with libpq's words.
public enum ChannelBinding: String, Sendable, Equatable, CaseIterable {
    /// Not even where the server offers it.
    case disable
    /// Where the server offers it.
    case prefer
    /// Always: a login in any other way fails, so that nobody in between gets a password or a proof of one.
    case require
}

/// How far TLS is wanted on a connection (`client_tls_sslmode`, `server_tls_sslmode`).
public enum TLSMode: String, Sendable, Equatable, CaseIterable {
    /// Never.
    case disable
    /// If the other side wants it; PgBouncer treats it like `prefer`.
    case allow
    /// If the other side can.
    case prefer
    /// Always, without looking at certificates.
    case require
    /// Always, with a certificate of a known authority.
    case verifyCA = "verify-ca"
    /// Always, with a certificate of a known authority for this very name.
    case verifyFull = "verify-full"
}

/// How a list of hosts is used (`load_balance_hosts`).
public enum LoadBalanceHosts: String, Sendable, Equatable, CaseIterable {
    /// Each new server connection goes to the next host.
    case roundRobin = "round-robin"
    /// Stay on a host until a connect to it fails.
    case disable
}

/// What lines in the system's log are filed under (`syslog_facility`).
public enum SyslogFacility: String, Sendable, Equatable, CaseIterable {
    case auth, authpriv, cron, daemon, ftp, kern, lpr, mail, news, syslog, user, uucp
    case local0, local1, local2, local3, local4, local5, local6, local7
}

/// Form of a log line (`log_format`).
public enum LogFormat: String, Sendable, Equatable, CaseIterable {
    /// PgBouncer's.
    case text
    /// One JSON object a line.
    case json
}
