/// What this program calls itself.
public enum Version {
    /// Sluice's own number.
    public static let number = "0.2.0"
    /// The release of PgBouncer whose behaviour Sluice follows; what `pgbouncer.version` tells clients.
    public static let pgbouncer = "1.26.1"
    /// The first line of `--version`, and the answer to SHOW VERSION. Tools split it and cast its parts to numbers, so it is PgBouncer's
    /// to the last byte.
    public static let compatible = "PgBouncer \(pgbouncer)"
    /// Sluice's own name and number: the last line of `--version`, and the answer to SHOW SLUICE.
    public static let own = "Sluice \(number)"
    /// Both, for people: in the log and in the metrics.
    public static let line = "\(compatible) (\(own))"
}
