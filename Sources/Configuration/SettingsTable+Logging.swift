extension SettingsTable {
    /// Log and statistics.
    static let logging: [SettingSpecification] = [
        .string("logfile", \.logfile, "", "File to append the log to; reopened at a reload."),
        .boolean("log_connections", \.logConnections, "1", "Log logins."),
        .boolean("log_disconnections", \.logDisconnections, "1", "Log closed connections with the reason."),
        .boolean("log_pooler_errors", \.logPoolerErrors, "1", "Log errors that are sent to clients."),
        .boolean("log_stats", \.logStats, "1", "Log a line of statistics once per `stats_period`."),
        .integer(
            "stats_period", \.statsPeriod, "60", in: 1...ValueSyntax.integerMaximum,
            "Seconds between two lines of statistics, and the span of averages."),
        .time(
            "log_min_duration", \.logMinDuration, "0",
            "Log statements that took longer, with the time they waited and ran; 0 logs none. Sluice's own setting."),
        .choice(
            "log_format", \.logFormat, "text",
            "Form of a log line: text is PgBouncer's, json an object with time, level, pid, message and what is known of the connection. "
                + "Sluice's own setting."),
        .string(
            "metrics_listen", \.metricsListen,
            check: { text throws(InvalidValue) in if !text.isEmpty { _ = try ListenAddress(parsing: text) } },
            "Address and port, such as 127.0.0.1:9127, of an HTTP server with /metrics, /healthz, /readyz and a page for people; it asks "
                + "nobody for a password. Unset means none. Sluice's own setting."),
        .choice(
            "metrics_names", \.metricsNames, "sluice",
            "Names that /metrics serves: sluice means Sluice's own, pgbouncer those of pgbouncer_exporter as well, for dashboards and alerts "
                + "that know them. Sluice's own setting."),
        .integer("verbose", \.verbose, nil, "More detail in the log: 1 adds DEBUG, 2 adds NOISE."),
        .boolean("syslog", \.syslog, "0", "Log to syslog."),
        .choice("syslog_facility", \.syslogFacility, "daemon", "Facility for syslog."),
        .string("syslog_ident", \.syslogIdent, "pgbouncer", "Program name for syslog."),
    ]
}
