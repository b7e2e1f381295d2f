import Configuration
import PostgresClient

/// What a PostgreSQL server says of itself, as far as a pooler in front of it is concerned.
struct ServerFacts: Equatable {
    struct Role: Equatable {
        var canLogIn = true
        var isSuperuser = false
        /// CONNECTION LIMIT; -1 means none.
        var connectionLimit = -1
        /// May use the slots of `reserved_connections` (PostgreSQL 16).
        var usesReserved = false
        /// ALTER ROLE ... SET, by lower-case name.
        var settings: [String: String] = [:]
    }

    struct Catalogue: Equatable {
        var allowsConnections = true
        /// CONNECTION LIMIT; -1 means none.
        var connectionLimit = -1
        /// ALTER DATABASE ... SET, by lower-case name.
        var settings: [String: String] = [:]
    }

    /// `host:port`.
    var place: String
    var version = ""
    var maxConnections = 100
    var superuserReserved = 3
    /// `reserved_connections`; 0 before PostgreSQL 16.
    var reserved = 0
    /// Client connections at the time of the check, this one aside.
    var connectionsInUse = 0
    /// Times in milliseconds; 0 means none.
    var statementTimeout = 0
    var idleInTransactionTimeout = 0
    var idleSessionTimeout = 0
    var speaksTLS = false
    var isInRecovery = false
    var roles: [String: Role] = [:]
    var databases: [String: Catalogue] = [:]

    /// Connection slots that ordinary roles may take.
    var usableSlots: Int { max(0, maxConnections - superuserReserved - reserved) }

    init(place: String) { self.place = place }

    /// Asks the server. Needs no special rights.
    init(place: String, _ connection: PostgresConnection, timeout: Double, interrupt: Int32?) throws(PostgresError) {
        self.place = place
        func ask(_ text: String) throws(PostgresError) -> [[String: String]] {
            try connection.query(text, timeout: timeout, interrupt: interrupt).records
        }
        let settings = try ask(
            """
            SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN ('max_connections', 'superuser_reserved_connections', \
            'reserved_connections', 'statement_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'ssl', \
            'server_version')
            """)
        for row in settings {
            let text = row["setting"] ?? ""
            let number = Int(text) ?? 0
            switch row["name"] {
            case "max_connections": maxConnections = number
            case "superuser_reserved_connections": superuserReserved = number
            case "reserved_connections": reserved = number
            case "statement_timeout": statementTimeout = number
            case "idle_in_transaction_session_timeout": idleInTransactionTimeout = number
            case "idle_session_timeout": idleSessionTimeout = number
            case "ssl": speaksTLS = text == "on"
            case "server_version": version = text
            default: break
            }
        }
        let state = try ask(
            """
            SELECT pg_catalog.pg_is_in_recovery() AS recovery, (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity \
            WHERE backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()) AS used
            """)
        isInRecovery = state.first?["recovery"] == "t"
        connectionsInUse = Int(state.first?["used"] ?? "") ?? 0
        for row in try ask(
            """
            SELECT r.rolname, r.rolcanlogin, r.rolsuper, r.rolconnlimit, EXISTS (SELECT 1 FROM pg_catalog.pg_roles p \
            WHERE p.rolname = 'pg_use_reserved_connections' AND pg_catalog.pg_has_role(r.oid, p.oid, 'MEMBER')) AS reserved \
            FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pg_'
            """)
        {
            var role = Role()
            role.canLogIn = row["rolcanlogin"] == "t"
            role.isSuperuser = row["rolsuper"] == "t"
            role.connectionLimit = Int(row["rolconnlimit"] ?? "") ?? -1
            role.usesReserved = row["reserved"] == "t"
            roles[row["rolname"] ?? ""] = role
        }
        for row in try ask("SELECT datname, datallowconn, datconnlimit FROM pg_catalog.pg_database") {
            var database = Catalogue()
            database.allowsConnections = row["datallowconn"] == "t"
            database.connectionLimit = Int(row["datconnlimit"] ?? "") ?? -1
            databases[row["datname"] ?? ""] = database
        }
        for row in try ask(
            """
            SELECT r.rolname, d.datname, pg_catalog.unnest(s.setconfig) AS entry FROM pg_catalog.pg_db_role_setting s \
            LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase \
            WHERE s.setrole = 0 OR s.setdatabase = 0
            """)
        {
            let parts = (row["entry"] ?? "").split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { continue }
            if let name = row["rolname"] { roles[name]?.settings[parts[0].lowercased()] = parts[1] }
            if let name = row["datname"] { databases[name]?.settings[parts[0].lowercased()] = parts[1] }
        }
    }

    /// A time limit in milliseconds as it holds for a role in a database; 0 means none.
    func time(_ name: String, _ serverWide: Int, database: String, user: String?) -> Int {
        if let user, let text = roles[user]?.settings[name] { return Self.milliseconds(text) }
        if let text = databases[database]?.settings[name] { return Self.milliseconds(text) }
        return serverWide
    }

    /// A time in PostgreSQL's notation, such as `30s` or `1500`.
    static func milliseconds(_ text: String) -> Int {
        let digits = text.prefix { $0.isNumber || $0 == "." }
        guard let number = Double(digits) else { return 0 }
        let factor: Double =
            switch text.dropFirst(digits.count).drop(while: { $0 == " " }) {
            case "us": 0.001
            case "s": 1000
            case "min": 60_000
            case "h": 3_600_000
            case "d": 86_400_000
            default: 1
            }
        return Int(number * factor)
    }
}
