/// A pooler to measure, as named on the command line.
public struct PoolerSpec: Sendable, Equatable {
    public enum Kind: String, Sendable, CaseIterable {
        case sluice
        case pgbouncer
        case pgpool
        case relay
        case direct
        /// Whatever a command line starts.
        case command

        /// Each client has a server connection to itself.
        public var isOneToOne: Bool { self == .pgpool || self == .relay || self == .direct }

        var hint: String {
            switch self {
            case .sluice: " (build it: swift build -c release --product sluice)"
            case .pgbouncer: " (Debian's package pgbouncer)"
            case .pgpool: " (Debian's package pgpool2)"
            case .relay: " (build it: swift build -c release --package-path Benchmarks --product sluicebench-relay)"
            case .direct, .command: ""
            }
        }
    }

    public var name: String
    public var kind: Kind
    public var binary: String
    /// Lines added to its configuration file.
    public var extra: [String] = []
    /// The text of its configuration file, with places to be filled in; for a command of one's own.
    public var template: String?

    public init(name: String, kind: Kind, binary: String, extra: [String] = []) {
        (self.name, self.kind, self.binary, self.extra) = (name, kind, binary, extra)
    }

    /// Reads `KIND`, `KIND=BINARY` or `NAME:KIND=BINARY`. `defaults` knows each kind's binary.
    public init(_ text: String, defaults: (Kind) -> String) throws(BenchFailure) {
        let sides = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let names = sides[0].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let kind = Kind(rawValue: names.last ?? "") else {
            throw .usage(
                "--pooler \(text): expected KIND, KIND=BINARY or NAME:KIND=BINARY, where KIND is one of \(Kind.allCases.map(\.rawValue).joined(separator: ", ")); any other pooler is NAME:command='its command line'"
            )
        }
        self.kind = kind
        name = names[0]
        guard !name.isEmpty, name.allSatisfy({ $0.isLetter || $0.isNumber || "-_.".contains($0) }) else {
            throw .usage("--pooler \(text): a name is made of letters, digits, dots and dashes")
        }
        binary = sides.count > 1 ? sides[1] : defaults(kind)
        guard kind == .command else { return }
        if binary.allSatisfy(\.isWhitespace) { throw .usage("--pooler \(text): expected NAME:command='its command line'") }
        if let problem = PlaceHolders.problem(in: binary) { throw .usage("--pooler \(text): \(problem)") }
    }
}

/// Files and commands that make a pooler do the same as the others: 20 server connections, transaction pooling, SCRAM on both sides.
struct PoolerPlan {
    let spec: PoolerSpec
    let binary: String
    let folder: String
    let port: Int
    let serverPort: Int
    /// Most clients at once, in all scenarios that this pooler will see.
    let clients: Int
    let tenants: Int
    let tls: Bool
    /// How many cores it has. A program of one thread gets as many processes.
    let cores: Int
    /// Another free port.
    let spare: Int
    /// SCRAM secrets by user, as the server stores them: for those poolers that can log in to the server with what a login of the
    /// client's teaches them. The others get the password.
    let secrets: [String: String]
    /// As (1, 18); PgBouncer refuses settings that it does not know.
    let version: (Int, Int)

    /// Server connections of a user, in all processes together.
    static let pool = 20
    /// The same of all users, where there are several.
    static let poolOfAll = 80

    /// What process `number`, from 1, has of `all`: the first ones have one more where it cannot be divided.
    private func share(_ all: Int, _ number: Int) -> Int { max(1, all / cores + (number <= all % cores ? 1 : 0)) }

    private var users: [String] { [Lab.user] + (1...max(1, tenants)).prefix(tenants).map(Target.tenantName) }

    var files: [(name: String, text: String)] {
        switch spec.kind {
        case .sluice: [("users.txt", userList), ("\(spec.name).ini", ini(pool: Self.pool, extra: ["workers = \(cores)"], number: nil))]
        case .pgbouncer:
            cores == 1
                ? [("users.txt", userList), ("\(spec.name).ini", ini(pool: Self.pool, extra: prepared, number: nil))]
                : [("users.txt", userList)]
                    + (1...cores).map {
                        ("\(spec.name)-\($0).ini", ini(pool: share(Self.pool, $0), extra: prepared + ["so_reuseport = 1"], number: $0))
                    }
        case .pgpool:
            [
                ("\(spec.name).conf", pgpoolSettings), ("pool_hba.conf", "host all all 127.0.0.1/32 scram-sha-256\n"), ("pcp.conf", ""),
                ("pool_passwd", users.map { "\($0):TEXT\(Lab.password)\n" }.joined()),
            ]
        case .command:
            [("users.txt", userList)]
                + (spec.template.map { [("\(spec.name).conf", placeHolders.filled($0) + spec.extra.map { "\($0)\n" }.joined())] } ?? [])
        case .relay, .direct: []
        }
    }

    /// What a command line of one's own and its configuration file may name.
    private var placeHolders: PlaceHolders {
        PlaceHolders(values: [
            "port": String(port), "server_port": String(serverPort), "server_host": "127.0.0.1", "database": Lab.database, "user": Lab.user,
            "password": Lab.password, "secret": secrets[Lab.user] ?? Lab.password, "pool_size": String(Self.pool), "cores": String(cores),
            "folder": folder, "config": "\(folder)/\(spec.name).conf", "userlist": "\(folder)/users.txt",
            "certificate": "\(folder)/server.crt", "key": "\(folder)/server.key", "clients": String(clients),
        ])
    }

    var commands: [[String]] {
        switch spec.kind {
        case .sluice: [[binary, "\(folder)/\(spec.name).ini"]]
        case .pgbouncer:
            cores == 1 ? [[binary, "\(folder)/\(spec.name).ini"]] : (1...cores).map { [binary, "\(folder)/\(spec.name)-\($0).ini"] }
        case .pgpool:
            [[binary, "-n", "-f", "\(folder)/\(spec.name).conf", "-a", "\(folder)/pool_hba.conf", "-F", "\(folder)/pcp.conf"]]
        case .relay: [[binary, String(port), String(serverPort)]]
        // The shell reads quotes as its users expect, and then is the pooler: its CPU and its end are the pooler's.
        case .command: [["sh", "-c", "exec " + placeHolders.filled(binary)]]
        case .direct: []
        }
    }

    private var userList: String { users.map { "\"\($0)\" \"\(secrets[$0] ?? Lab.password)\"\n" }.joined() }

    private var prepared: [String] { version >= (1, 21) ? ["max_prepared_statements = 200"] : [] }

    private func ini(pool: Int, extra: [String], number: Int?) -> String {
        let tlsLines =
            tls
            ? "client_tls_sslmode = allow\nclient_tls_key_file = \(folder)/server.key\nclient_tls_cert_file = \(folder)/server.crt\n" : ""
        return """
            [databases]
            \(Lab.database) = host=127.0.0.1 port=\(serverPort) dbname=\(Lab.database)

            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = \(port)
            unix_socket_dir =
            auth_type = scram-sha-256
            auth_file = \(folder)/users.txt
            pool_mode = transaction
            default_pool_size = \(pool)
            max_db_connections = \(tenants > 0 ? number.map { share(Self.poolOfAll, $0) } ?? Self.poolOfAll : 0)
            max_client_conn = 20000
            server_tls_sslmode = disable
            server_login_retry = 1
            admin_users = \(Lab.user)
            logfile = \(folder)/\(spec.name)\(number.map { "-\($0)" } ?? "").log
            log_connections = 0
            log_disconnections = 0
            \(tlsLines)\((extra + spec.extra).joined(separator: "\n"))

            """
    }

    private var pgpoolSettings: String {
        """
        listen_addresses = '127.0.0.1'
        port = \(port)
        socket_dir = '\(folder)'
        pcp_listen_addresses = '127.0.0.1'
        pcp_port = \(spare)
        pcp_socket_dir = '\(folder)'
        pid_file_name = '\(folder)/\(spec.name).pid'
        logdir = '\(folder)'
        backend_clustering_mode = 'raw'
        backend_hostname0 = '127.0.0.1'
        backend_port0 = \(serverPort)
        backend_weight0 = 1
        backend_flag0 = 'DISALLOW_TO_FAILOVER'
        enable_pool_hba = on
        pool_passwd = 'pool_passwd'
        num_init_children = \(max(8, clients))
        listen_backlog_multiplier = 4
        max_pool = 1
        child_life_time = 0
        client_idle_limit = 0
        load_balance_mode = off
        sr_check_period = 0
        health_check_period = 0
        \(tls ? "ssl = on\nssl_key = '\(folder)/server.key'\nssl_cert = '\(folder)/server.crt'" : "")
        \(spec.extra.joined(separator: "\n"))

        """
    }
}
