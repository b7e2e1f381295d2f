/// A span of time in microseconds.
public typealias Microseconds = Int64

/// The global settings: one property for each entry of `SettingsTable`, named alike, with the same default.
public struct Settings: Sendable, Equatable {
    /// All defaults.
    public init() {}

    // MARK: Where clients connect

    /// Addresses to listen on, or `*` for all of them; empty means the Unix socket only.
    public var listenAddr: [String] = []
    /// TCP port, and the number in the Unix socket's file name.
    public var listenPort: Int = 6432
    /// Connections that the kernel queues before they are accepted.
    public var listenBacklog: Int = 128
    /// Directory of the Unix socket, and of servers without `host`; `@name` is an abstract socket, empty means none.
    public var unixSocketDir: String = "/tmp"
    /// File mode of the Unix socket, usually written in octal.
    public var unixSocketMode: Int = 0o777
    /// Group of the Unix socket, as a name or a number.
    public var unixSocketGroup: String = ""
    /// Share the TCP port with other processes; Sluice's own workers share theirs in any case.
    public var soReuseport: Bool = false
    /// Have the kernel hold a new connection back until data arrives; 0 turns it off (Linux).
    public var tcpDeferAccept: Int = 1
    /// Send TCP keepalive probes.
    public var tcpKeepalive: Bool = true
    /// Unanswered keepalive probes before a socket is given up; 0 leaves it to the system.
    public var tcpKeepcnt: Int = 0
    /// Idle seconds before the first keepalive probe; 0 leaves it to the system.
    public var tcpKeepidle: Int = 0
    /// Seconds between keepalive probes; 0 leaves it to the system.
    public var tcpKeepintvl: Int = 0
    /// Bytes of kernel buffer for each direction of a socket; 0 leaves it to the system.
    public var tcpSocketBuffer: Int = 0
    /// Milliseconds that sent data may stay unacknowledged; 0 leaves it to the system.
    public var tcpUserTimeout: Int = 0

    // MARK: The process

    /// Threads that carry connections; 0 means one for each processor that affinity and control groups let it use. Sluice's own setting.
    public var workers: Int = 0
    /// System user to become after start.
    public var user: String?
    /// File that holds the process number while the pooler runs.
    public var pidfile: String = ""
    /// File that the next reload reads; the one from the command line unless set.
    public var conffile: String?
    /// Name of the Windows service.
    public var jobName: String = "pgbouncer"
    /// Another word for `job_name`.
    public var serviceName: String?
    /// Refuse the simple query protocol, so that no query can hold several statements.
    public var disablePqexec: Bool = false
    /// File with name servers to use in place of the system's; a server may have a port.
    public var resolvConf: String = ""
    /// How long a found address is used at most; less if its name server says so. In microseconds; the file has seconds.
    public var dnsMaxTtl: Microseconds = 15_000_000
    /// How long a failed look-up is remembered. In microseconds; the file has seconds.
    public var dnsNxdomainTtl: Microseconds = 15_000_000
    /// How often PgBouncer with c-ares looks for changes of a zone. In microseconds; the file has seconds.
    public var dnsZoneCheckPeriod: Microseconds = 0
    /// Number of this process among its peers, for passing cancel requests on; 0 means no peers.
    public var peerId: Int = 0
    /// Buffer size of PgBouncer; Sluice sizes its own buffers.
    public var pktBuf: Int = 4096
    /// Buffers handled for a socket in one turn by PgBouncer; Sluice bounds its turns itself.
    public var sbufLoopcnt: Int = 5
    /// Time limit of the SUSPEND command, which is gone. In microseconds; the file has seconds.
    public var suspendTimeout: Microseconds = 10_000_000

    // MARK: Log and statistics

    /// File to append the log to; reopened at a reload.
    public var logfile: String = ""
    /// Log logins.
    public var logConnections: Bool = true
    /// Log closed connections with the reason.
    public var logDisconnections: Bool = true
    /// Log errors that are sent to clients.
    public var logPoolerErrors: Bool = true
    /// Log a line of statistics once per `stats_period`.
    public var logStats: Bool = true
    /// Seconds between two lines of statistics, and the span of averages.
    public var statsPeriod: Int = 60
    /// Log statements that took longer, with the time they waited and ran; 0 logs none. In microseconds; the file has seconds.
    /// Sluice's own setting.
    public var logMinDuration: Microseconds = 0
    /// Form of a log line. Sluice's own setting.
    public var logFormat: LogFormat = .text
    /// Address and port of the HTTP server for metrics. Sluice's own setting.
    public var metricsListen: String?
    /// Names that /metrics serves. Sluice's own setting.
    public var metricsNames: MetricsNames = .sluice
    /// More detail in the log: 1 adds DEBUG, 2 adds NOISE.
    public var verbose: Int = 0
    /// Log to syslog.
    public var syslog: Bool = false
    /// Facility for syslog.
    public var syslogFacility: SyslogFacility = .daemon
    /// Program name for syslog.
    public var syslogIdent: String = "pgbouncer"

    // MARK: Who may come in

    /// How clients prove who they are.
    public var authType: AuthType = .md5
    /// File of user names and secrets; read at start and reload.
    public var authFile: String?
    /// Rules for `auth_type = hba`; read at start and reload.
    public var authHbaFile: String = ""
    /// Maps from system or certificate names to database users.
    public var authIdentFile: String?
    /// Options for `auth_type = ldap`.
    public var authLdapOptions: String?
    /// Query that looks up a user's name and secret; the user name is its parameter.
    public var authQuery: String =
        "SELECT rolname, CASE WHEN rolvaliduntil < pg_catalog.now() THEN NULL ELSE rolpassword END "
        + "FROM pg_authid WHERE rolname=$1 AND rolcanlogin"
    /// User that runs `auth_query`.
    public var authUser: String?
    /// Database that `auth_query` runs in.
    public var authDbname: String?
    /// Users who may run every console command.
    public var adminUsers: [String] = []
    /// Users who may run SHOW commands on the console.
    public var statsUsers: [String] = []
    /// How long a password of `password_file` or `password_command` is used again. In microseconds; the file has seconds.
    /// Sluice's own setting.
    public var passwordLifetime: Microseconds = 300_000_000
    /// Time for a `password_command` to print the password. In microseconds; the file has seconds. Sluice's own setting.
    public var passwordCommandTimeout: Microseconds = 10_000_000
    /// Rounds of hashing in SCRAM secrets that are made on the spot.
    public var scramIterations: Int = 4096
    /// Text of a NOTICE to every client after login; empty sends none.
    public var loginNotifyMessage: String = ""

    // MARK: Pools

    /// When a server connection goes back to its pool.
    public var poolMode: PoolMode = .session
    /// Server connections of a pool; 0 means no limit.
    public var defaultPoolSize: Int = 20
    /// Server connections to keep open in a pool that has been used.
    public var minPoolSize: Int = 0
    /// More server connections for clients that wait longer than `reserve_pool_timeout`.
    public var reservePoolSize: Int = 0
    /// How long a client waits before the reserve is used; 0 turns the reserve off. In microseconds; the file has seconds.
    public var reservePoolTimeout: Microseconds = 5_000_000
    /// Client connections of the whole process.
    public var maxClientConn: Int = 100
    /// Server connections of a database over all its pools; 0 means no limit.
    public var maxDbConnections: Int = 0
    /// Client connections of a database; 0 means no limit.
    public var maxDbClientConnections: Int = 0
    /// Server connections of a user over all pools; 0 means no limit.
    public var maxUserConnections: Int = 0
    /// Client connections of a user; 0 means no limit.
    public var maxUserClientConnections: Int = 0
    /// Use the server connection that is idle longest in place of the one used last.
    public var serverRoundRobin: Bool = false
    /// Prepared statements kept on a server connection outside session mode; 0 passes statements through untouched.
    public var maxPreparedStatements: Int = 200
    /// Whether clients that prepare the same text use one statement on the server.
    public var statementSharing: StatementSharing = .auto
    /// Age of a server's plan from which on it answers no further Parse; 0 means no limit.
    public var statementMaxAge: Microseconds = 60_000_000
    /// Bytes of statement texts, over all databases, from which on those that nobody uses are dropped, the largest first.
    public var maxStatementMemory: Int = 67_108_864
    /// Bytes of the largest message that is accepted; PostgreSQL's own limits hold in any case.
    public var maxPacketSize: Int = 2_147_483_647
    /// Sent before a server connection changes hands in session mode; empty sends nothing.
    public var serverResetQuery: String = "DISCARD ALL"
    /// Send `server_reset_query` in every pool mode.
    public var serverResetQueryAlways: Bool = false
    /// Sent to see whether an idle server connection lives: `<empty>` is the empty query, an empty value turns the check off.
    public var serverCheckQuery: String = "<empty>"
    /// Idle time after which `server_check_query` is sent before use; 0 sends it always. In microseconds; the file has seconds.
    public var serverCheckDelay: Microseconds = 30_000_000
    /// In session mode close outdated server connections when their transaction ends.
    public var serverFastClose: Bool = false
    /// Cancel whatever a client that has left was running, and forget what it had sent behind that.
    public var cancelOnDisconnect: Bool = false
    /// Startup parameters that are swallowed, also inside `options`; names that PostgreSQL does not know always are.
    public var ignoreStartupParameters: [String] = []
    /// Parameters that follow the client: all that PostgreSQL reports and all of its startup packet do without being named here.
    public var trackExtraParameters: [String] = ["IntervalStyle"]
    /// Append the client's host and port to its application_name.
    public var applicationNameAddHost: Bool = false

    // MARK: Times

    /// Age at which an idle server connection is closed; 0 closes it after one use. In microseconds; the file has seconds.
    public var serverLifetime: Microseconds = 3600_000_000
    /// Idle time after which a server connection is closed; 0 keeps it. In microseconds; the file has seconds.
    public var serverIdleTimeout: Microseconds = 600_000_000
    /// Time for connecting and logging in to a server, and for each check or clean-up of one; 0 means no limit. In microseconds; the
    /// file has seconds.
    public var serverConnectTimeout: Microseconds = 15_000_000
    /// Pause after a failed connect or login to a server. In microseconds; the file has seconds.
    public var serverLoginRetry: Microseconds = 15_000_000
    /// Time for a client to log in; 0 means no limit. In microseconds; the file has seconds.
    public var clientLoginTimeout: Microseconds = 60_000_000
    /// Time in which more of a large message has to arrive while it is being streamed to a server. Sluice's own setting.
    public var clientMessageTimeout: Microseconds = 60_000_000
    /// Time a client may idle without a server connection; 0 means no limit. In microseconds; the file has seconds.
    public var clientIdleTimeout: Microseconds = 0
    /// Time a client may idle inside a transaction; 0 means no limit. In microseconds; the file has seconds.
    public var idleTransactionTimeout: Microseconds = 0
    /// Time a transaction may take; 0 means no limit. In microseconds; the file has seconds.
    public var transactionTimeout: Microseconds = 0
    /// Time a query may wait, and time it may run; 0 means no limit. In microseconds; the file has seconds.
    public var queryTimeout: Microseconds = 0
    /// Time a query may wait for a server connection; 0 means no limit. In microseconds; the file has seconds.
    public var queryWaitTimeout: Microseconds = 120_000_000
    /// Seconds after which a waiting client gets a NOTICE; 0 sends none.
    public var queryWaitNotify: Int = 5
    /// Time for a cancel request to reach the server; 0 means no limit. In microseconds; the file has seconds.
    public var cancelWaitTimeout: Microseconds = 10_000_000
    /// Time after which an unused database made from `*` is forgotten. In microseconds; the file has seconds.
    public var autodbIdleTimeout: Microseconds = 3600_000_000
    /// Time without a client after which a pool's servers are closed and it is forgotten; 0 keeps it. In microseconds; the file has seconds.
    public var poolIdleTimeout: Microseconds = 0

    // MARK: TLS

    /// How far TLS is wanted with clients: allow and prefer are the same, verify-ca and verify-full too.
    public var clientTlsSslmode: TLSMode = .disable
    /// Certificates of authorities that may vouch for clients.
    public var clientTlsCaFile: String = ""
    /// Own certificate towards clients.
    public var clientTlsCertFile: String = ""
    /// Private key of that certificate.
    public var clientTlsKeyFile: String = ""
    /// Versions of TLS: tlsv1.0 to tlsv1.3 with commas, `secure` for 1.2 and 1.3, or `all`.
    public var clientTlsProtocols: String = "secure"
    /// Cipher suites up to TLS 1.2: default, secure, fast and normal are OpenSSL's own choice, all is everything, or an OpenSSL list.
    public var clientTlsCiphers: String = "default"
    /// Cipher suites of TLS 1.3; unset leaves them to OpenSSL.
    public var clientTls13Ciphers: String?
    /// Diffie-Hellman parameters: none, auto (2048 bits) or legacy (1024 bits).
    public var clientTlsDheparams: String = "auto"
    /// Elliptic curve: none, auto or a curve's name.
    public var clientTlsEcdhcurve: String = "auto"
    /// How far TLS is wanted with servers: allow and prefer are the same.
    public var serverTlsSslmode: TLSMode = .prefer
    /// Certificates of authorities that may vouch for servers.
    public var serverTlsCaFile: String = ""
    /// Own certificate towards servers.
    public var serverTlsCertFile: String = ""
    /// Private key of that certificate.
    public var serverTlsKeyFile: String = ""
    /// Versions of TLS: tlsv1.0 to tlsv1.3 with commas, `secure` for 1.2 and 1.3, or `all`.
    public var serverTlsProtocols: String = "secure"
    /// Cipher suites up to TLS 1.2: default, secure, fast and normal are OpenSSL's own choice, all is everything, or an OpenSSL list.
    public var serverTlsCiphers: String = "default"
    /// Cipher suites of TLS 1.3; unset leaves them to OpenSSL.
    public var serverTls13Ciphers: String?
}
