/// What this program calls itself.
public enum Version {
    /// Sluice's own number.
    public static let number = "0.1.0"
    /// The release of PgBouncer whose behaviour Sluice follows; what `pgbouncer.version` tells clients.
    public static let pgbouncer = "1.26.1"
    /// The first line of `--version`, and the answer to SHOW VERSION. Tools take the first number for PgBouncer's.
    public static let line = "PgBouncer \(pgbouncer) (Sluice \(number))"
}
