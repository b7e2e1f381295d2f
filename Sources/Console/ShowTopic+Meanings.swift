/// What each column means, for docs/console.md.
extension ShowTopic {
    /// The meaning of one of the columns.
    public func meaning(of column: String) -> String? {
        if let text = Self.meanings["\(name).\(column)"] { return text }
        if name.hasPrefix("stats") { return Self.statistic(column) }
        return Self.meanings[column]
    }

    /// Totals and averages of the same things have the same words.
    private static func statistic(_ column: String) -> String? {
        if column == "database" { return "The database, all its users together." }
        let base = ["total_", "avg_"].first(where: column.hasPrefix).map { String(column.dropFirst($0.count)) } ?? column
        return counts[base]
    }

    /// Meanings of columns that several topics have, and, behind the name of a topic, of that topic's own.
    static let meanings: [String: String] = [
        // DATABASES
        "databases.name": "The name that clients ask for.",
        "databases.host": "Hosts of the server; NULL means the Unix socket.",
        "databases.port": "Port of the server.",
        "databases.database": "The name of the database on the server.",
        "databases.force_user": "The user that logs in there whoever the client is (`user` of the entry), or NULL.",
        "databases.pool_size": "Server connections of a pool, one for each user.",
        "databases.min_pool_size": "Server connections of a pool that are kept open.",
        "databases.reserve_pool_size": "Server connections beyond `pool_size` for clients that wait too long.",
        "databases.server_lifetime": "Age in seconds at which an idle server connection is closed.",
        "databases.pool_mode": "`pool_mode` of the entry; NULL where the setting holds.",
        "databases.max_connections": "Server connections of all pools of the database (`max_db_connections`); 0 means no limit.",
        "databases.current_connections": "Server connections that there are.",
        "databases.max_client_connections": "Clients of the database (`max_db_client_connections`); 0 means no limit.",
        "databases.current_client_connections": "Clients that there are.",
        "paused": "1 while a PAUSE holds the database.",
        "disabled": "1 while a DISABLE refuses new clients.",
        "load_balance_hosts": "How several hosts are used; NULL where there is one.",

        // POOLS
        "pools.database": "The database that clients ask for.",
        "pools.user": "The user that the pool's servers are logged in as.",
        "cl_active": "Clients that have a server, or want none at the moment.",
        "cl_waiting": "Clients that wait for a server.",
        "cl_active_cancel_req": "Cancel requests that have been sent on, and wait for the other side to close.",
        "cl_waiting_cancel_req": "Cancel requests that have not been sent on.",
        "sv_active": "Servers that a client has.",
        "sv_active_cancel": "Connections that carry a cancel request.",
        "sv_being_canceled": "Servers that nobody gets, because a cancel request for them is on its way.",
        "sv_idle": "Servers that the next client gets at once.",
        "sv_used": "Servers that have idled for longer than `server_check_delay`: they are tested before a client gets them.",
        "sv_tested": "Servers that are being tested or reset.",
        "sv_login": "Servers that are being connected to and logged in.",
        "maxwait": "How long the longest waiting client has waited, whole seconds.",
        "maxwait_us": "The microseconds of that beyond the whole seconds.",
        "pool_mode": "The pool mode in force.",

        // CLIENTS, SERVERS, SOCKETS
        "type": "`C` for a client, `S` for a server.",
        "user": "The user; of a client, the one it has logged in as.",
        "database": "The database that the client asks for.",
        "replication": "`none`, `logical` or `physical`.",
        "clients.state":
            "`active` with a server, `idle` without one, `waiting` for one; `active_cancel_req` and `waiting_cancel_req` for a cancel request.",
        "servers.state":
            "`active` with a client, `idle`, `used` (idle for long), `tested` (being tested or reset), `new` (logging in), `active_cancel` (carries a cancel request), `being_canceled`.",
        "state": "As in SHOW CLIENTS and SHOW SERVERS, with `cl_` or `sv_` in front.",
        "addr": "The address of the other end, or `unix`.",
        "port": "The port of the other end; of a Unix socket, the number in its name.",
        "local_addr": "The address of this end.",
        "local_port": "The port of this end.",
        "connect_time": "When the connection was made.",
        "request_time": "When the last request began; empty before the first one.",
        "wait": "How long the present request has waited or run, whole seconds; 0 without one.",
        "wait_us": "The microseconds of that beyond the whole seconds.",
        "close_needed": "1 for a server that is closed as soon as its client is done with it.",
        "ptr": "The name of the connection in log lines (`C-0x1f`, `S-0x20`).",
        "link": "The `ptr` of the other half: a client's server, a server's client; empty without one.",
        "remote_pid": "Of a server, the process of PostgreSQL; of a client on a Unix socket, the client's process.",
        "tls": "Protocol and cipher; empty without TLS.",
        "application_name": "The client's application_name; of a server, that of the client that it has.",
        "prepared_statements": "Prepared statements: those that the client has made, or those that the server holds.",
        "id": "The number that KILL_CLIENT and WHY CLIENT take.",
        "recv_pos": "Always 0: no connection keeps a buffer of its own.",
        "pkt_pos": "Always 0.",
        "pkt_remain": "Bytes of a message that are still to come.",
        "send_pos": "Always 0.",
        "send_remain": "Always 0.",
        "pkt_avail": "Bytes that are held back until something else is done.",
        "send_avail": "Bytes that the other end has not taken yet.",

        // TOTALS, HISTOGRAMS, ERRORS
        "totals.name": "The column of SHOW STATS, for all databases; bytes and statements have names of their own.",
        "totals.value": "The total since the start, or the average of the period.",
        "histograms.database": "The database of the pool.",
        "histograms.user": "The user of the pool.",
        "histograms.kind": "`wait` for a server, `query` or `transaction`.",
        "from_us": "The bucket's durations are this long or longer, in microseconds.",
        "to_us": "The bucket's durations are shorter than this, in microseconds.",
        "histograms.count": "How many there were since the start; buckets without any are left out.",
        "errors.database": "The database of the pool; empty before a client has one.",
        "errors.user": "The user of the pool; empty before a client has one.",
        "errors.kind": "`sqlstate` of an answer, or why a `client`, a `login` or a `server` ended.",
        "reason": "The SQLSTATE, or one of the [reasons](metrics.md#reasons) for which connections end.",
        "errors.count": "How many there were since the start.",
        "is_error": "1 if something went wrong; 0 for those who left by themselves and for servers that were closed as settings say.",

        // USERS
        "users.name": "The user.",
        "users.pool_size": "`pool_size` of the entry in [users]; empty without one.",
        "users.reserve_pool_size": "`reserve_pool_size` of the entry; empty without one.",
        "users.pool_mode": "`pool_mode` of the entry; NULL without one.",
        "max_user_connections": "Server connections of all pools of the user; 0 means no limit.",
        "users.current_connections": "Server connections that there are.",
        "max_user_client_connections": "Clients that log in as the user; 0 means no limit.",
        "users.current_client_connections": "Clients that there are.",

        // The rest
        "list": "What is counted: databases, users, pools, clients and servers by state, names that were looked up.",
        "items": "How many there are.",
        "config.key": "The setting.",
        "config.value": "The value in force; NULL where it is unset.",
        "default": "The value without a line in the file; NULL for unset.",
        "changeable": "`yes` if a RELOAD or SET changes it, `no` if it is read at the start only.",
        "peer_id": "The number of the peer.",
        "peers.host": "Host of the peer.",
        "peers.port": "Port of the peer.",
        "peers.pool_size": "Connections to the peer at a time.",
        "hostname": "The name.",
        "ttl": "Seconds until it is looked up again.",
        "addrs": "Its addresses, with commas.",
        "zonename": "The domain.",
        "serial": "Always 0: no serial number is watched.",
        "dns_zones.count": "Names in it that were looked up.",
        "mem.name": "The kind of object.",
        "size": "Bytes of one object.",
        "used": "Objects in use.",
        "free": "Always 0: memory that is free goes back.",
        "memtotal": "Bytes of all of them.",
        "state.key": "`active`, `paused` or `suspended`.",
        "state.value": "`yes` or `no`.",
        "version.version": "The version.",
        "sluice.version": "The version.",
    ]

    /// What STATS and its relatives count: a total since the start, or an average of the last whole `stats_period` and the time since.
    static let counts: [String: String] = [
        "server_assignment_count": "Times that a client got a server; on average, a second.",
        "xact_count": "Transactions; on average, a second.",
        "query_count": "Queries; on average, a second.",
        "received": "Bytes from clients.",
        "recv": "Bytes from clients a second.",
        "sent": "Bytes to clients; on average, a second.",
        "bytes_received": "Bytes from clients; on average, a second.",
        "bytes_sent": "Bytes to clients; on average, a second.",
        "xact_time": "Microseconds that clients spent in transactions; on average, of one transaction.",
        "query_time": "Microseconds that servers were busy with queries; on average, of one query.",
        "wait_time": "Microseconds that clients waited for a server; on average, of one that got a server.",
        "client_parse_count": "Statements that clients prepared; on average, a second.",
        "server_parse_count": "Statements that were prepared on servers for them; on average, a second.",
        "bind_count": "Times that a prepared statement was bound; on average, a second.",
        "client_login_count": "Logins of clients; on average, a second.",
    ]
}

extension WaitReport {
    /// What each column of WHY means, for docs/console.md.
    public static let meanings: [String: String] = [
        "item": "What the row says: see below.",
        "value": "The text of the item; NULL in the rows of holders.",
        "server": "The `id` of the server.",
        "client": "The `id` of the client that has it; NULL where nobody has it.",
        "application_name": "That client's application_name.",
        "state": "What the server does.",
        "age_us": "For how long, in microseconds.",
        "transaction_us": "For how long its transaction has been open, in microseconds.",
        "statement": "The beginning of the last statement.",
        "database": "The database of the server's pool.",
        "user": "The user of the server's pool.",
    ]
}
