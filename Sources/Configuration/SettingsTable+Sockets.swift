extension SettingsTable {
    /// Where clients connect.
    static let sockets: [SettingSpecification] = [
        .list(
            "listen_addr", \.listenAddr, "", live: false,
            "Addresses to listen on, or `*` for all of them; empty means the Unix socket only."),
        .integer(
            "listen_port", \.listenPort, "6432", in: 0...65535, live: false,
            "TCP port, and the number in the Unix socket's file name."),
        .integer("listen_backlog", \.listenBacklog, "128", live: false, "Connections that the kernel queues before they are accepted."),
        .string(
            "unix_socket_dir", \.unixSocketDir, "/tmp", live: false,
            "Directory of the Unix socket, and of servers without `host`; `@name` is an abstract socket, empty means none."),
        .integer(
            "unix_socket_mode", \.unixSocketMode, "0777", in: 0...0o7777, live: false,
            "File mode of the Unix socket, usually written in octal."),
        .string("unix_socket_group", \.unixSocketGroup, "", live: false, "Group of the Unix socket, as a name or a number."),
        .boolean(
            "so_reuseport", \.soReuseport, "0", live: false,
            "Share the TCP port with other processes; Sluice's own workers share theirs in any case."),
        .integer(
            "tcp_defer_accept", \.tcpDeferAccept, "1",
            "Have the kernel hold a new connection back until data arrives; 0 turns it off (Linux)."),
        .boolean("tcp_keepalive", \.tcpKeepalive, "1", "Send TCP keepalive probes."),
        .integer(
            "tcp_keepcnt", \.tcpKeepcnt, "0",
            "Unanswered keepalive probes before a socket is given up; 0 leaves it to the system."),
        .integer(
            "tcp_keepidle", \.tcpKeepidle, "0",
            "Idle seconds before the first keepalive probe; 0 leaves it to the system."),
        .integer(
            "tcp_keepintvl", \.tcpKeepintvl, "0", "Seconds between keepalive probes; 0 leaves it to the system."),
        .integer(
            "tcp_socket_buffer", \.tcpSocketBuffer, "0",
            "Bytes of kernel buffer for each direction of a socket; 0 leaves it to the system, for clients from the next start on."),
        .integer(
            "tcp_user_timeout", \.tcpUserTimeout, "0",
            "Milliseconds that sent data may stay unacknowledged; 0 leaves it to the system."),
    ]
}
