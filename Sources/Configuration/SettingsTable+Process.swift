extension SettingsTable {
    /// The process.
    static let process: [SettingSpecification] = [
        .integer(
            "workers", \.workers, "0", in: 0...1024, live: false,
            "Threads that carry connections; 0 means one for each processor that affinity and control groups let it use. Sluice's own setting."
        ),
        .string("user", \.user, live: false, "System user to become after start."),
        .string(
            "pidfile", \.pidfile, "", live: false,
            "File that holds the process number while the pooler runs."),
        .string(
            "conffile", \.conffile, "File that the next reload reads; the one from the command line unless set."),
        .string("job_name", \.jobName, "pgbouncer", live: false, support: .ignored, "Name of the Windows service."),
        .string("service_name", \.serviceName, live: false, support: .ignored, "Another word for `job_name`."),
        .boolean(
            "disable_pqexec", \.disablePqexec, "0",
            "Refuse the simple query protocol, so that no query can hold several statements."),
        .string(
            "resolv_conf", \.resolvConf, "", live: false,
            "File with name servers to use in place of the system's; a server may have a port."),
        .time(
            "dns_max_ttl", \.dnsMaxTtl, "15", "How long a found address is used at most; less if its name server says so."),
        .time("dns_nxdomain_ttl", \.dnsNxdomainTtl, "15", "How long a failed look-up is remembered."),
        .time(
            "dns_zone_check_period", \.dnsZoneCheckPeriod, "0", support: .ignored,
            "How often PgBouncer with c-ares looks for changes of a zone; here addresses are looked up again when their time is over."),
        .integer(
            "peer_id", \.peerId, "0", in: 0...16383,
            "Number of this process among its peers, for passing cancel requests on; 0 means no peers."),
        .integer("pkt_buf", \.pktBuf, "4096", live: false, support: .ignored, "Buffer size of PgBouncer; Sluice sizes its own buffers."),
        .integer(
            "sbuf_loopcnt", \.sbufLoopcnt, "5", support: .ignored,
            "Buffers handled for a socket in one turn by PgBouncer; Sluice bounds its turns itself."),
        .time("suspend_timeout", \.suspendTimeout, "10", support: .removed, "Time limit of the SUSPEND command, which is gone."),
    ]
}
