import Configuration

/// The parameters of a PostgreSQL session that clients of the console see, ask for and set.
public enum SessionParameters {
    /// What the greeting tells, in order.
    public static let greeting: [(name: String, value: String)] = [
        ("server_version", "\(Version.pgbouncer)/bouncer"),
        ("client_encoding", "UTF8"),
        ("server_encoding", "UTF8"),
        ("DateStyle", "ISO"),
        ("TimeZone", "GMT"),
        ("standard_conforming_strings", "on"),
        ("is_superuser", "on"),
        ("pgbouncer.version", Version.pgbouncer),
    ]

    /// What SHOW answers.
    static let shown: [String: String] = [
        "client_encoding": "UTF-8",
        "datestyle": "ISO",
        "timezone": "GMT",
        "standard_conforming_strings": "on",
        "default_transaction_isolation": "read committed",
        "transaction_isolation": "read committed",
        "server_version": "\(Version.pgbouncer)/bouncer",
        "server_encoding": "UTF8",
        "application_name": "",
        "search_path": "",
        "extra_float_digits": "1",
        "max_identifier_length": "63",
        "session_authorization": "pgbouncer",
        "?column?": "1",
    ]

    /// What SET takes with a NOTICE, from everybody.
    static let settable: Set<String> = [
        "client_encoding", "datestyle", "timezone", "standard_conforming_strings", "default_transaction_isolation", "extra_float_digits",
        "application_name", "client_min_messages", "intervalstyle", "bytea_output", "statement_timeout", "search_path",
        "default_transaction_read_only",
    ]

    /// The value that SHOW answers.
    public static func value(of name: String) -> String { shown[name] ?? "" }
}
