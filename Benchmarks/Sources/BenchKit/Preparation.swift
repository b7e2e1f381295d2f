import LibpqLoop

/// What scenarios need in a database: the schema `sluicebench` with TPC-B's tables, and users for tenants.
public enum Preparation {
    /// SQL for the tables, in the order in which it has to run.
    public static let tables = [
        "DROP SCHEMA IF EXISTS sluicebench CASCADE",
        "CREATE SCHEMA sluicebench",
        "CREATE TABLE sluicebench.branches (id int PRIMARY KEY, balance int NOT NULL) WITH (fillfactor = 10)",
        "CREATE TABLE sluicebench.tellers (id int PRIMARY KEY, balance int NOT NULL) WITH (fillfactor = 10)",
        "CREATE TABLE sluicebench.accounts (id int PRIMARY KEY, balance int NOT NULL, filler text NOT NULL)",
        "CREATE TABLE sluicebench.history (teller int, branch int, account int, delta int, at timestamptz DEFAULT now())",
        "INSERT INTO sluicebench.branches SELECT i, 0 FROM generate_series(1, \(Bank.branches)) AS i",
        "INSERT INTO sluicebench.tellers SELECT i, 0 FROM generate_series(1, \(Bank.tellers)) AS i",
        "INSERT INTO sluicebench.accounts SELECT i, 0, repeat('x', 60) FROM generate_series(1, \(Bank.accounts)) AS i",
        "ANALYZE sluicebench.branches, sluicebench.tellers, sluicebench.accounts",
    ]

    /// SQL that makes the tables as they were, but for balances.
    static let tidying = [
        "TRUNCATE sluicebench.history", "VACUUM sluicebench.branches, sluicebench.tellers, sluicebench.accounts", "CHECKPOINT",
    ]

    /// SQL for the users of `count` tenants, who may use what the scenarios use.
    public static func tenants(_ count: Int, password: String) -> [String] {
        let secret = password.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''")
        return (1...max(1, count)).prefix(count).flatMap { number in
            let name = Target.tenantName(number)
            return [
                "DO $$ BEGIN IF to_regrole('\(name)') IS NULL THEN CREATE ROLE \(name); END IF; END $$",
                "ALTER ROLE \(name) LOGIN PASSWORD '\(secret)'",
                "GRANT USAGE ON SCHEMA sluicebench TO \(name)",
                "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sluicebench TO \(name)",
            ]
        }
    }

    /// Runs it on a target. Throws what is wrong, in words.
    public static func run(on target: Target, tenants count: Int, password: String, loop: Loop, interrupted: @escaping () -> Bool)
        throws(BenchFailure)
    {
        let session = Dialogue(on: loop)
        defer { session.close() }
        do {
            try session.open(target.keywords, seconds: 10, interrupted: interrupted)
            for statement in tables + tenants(count, password: password) {
                try session.rows(statement, seconds: 120, interrupted: interrupted)
            }
        } catch let failure as Failure {
            throw .unavailable("cannot prepare \(target.address), database \(target.database), as \(target.user): \(failure)")
        } catch { throw (error as? BenchFailure) ?? .unavailable("\(error)") }
    }
}
