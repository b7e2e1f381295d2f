import Configuration

extension CommandTable {
    // docs/console.md holds what this returns: `make docs` writes it, DocumentTests compares.

    /// The reference page of the console.
    public static func markdown() -> String {
        var text = """
            # The console

            Written by `make docs` from the table that also understands the commands.

            The console is the database `pgbouncer` (or `sluice`) on the pooler's own port: `psql -p 6432 -U admin pgbouncer`. It answers
            for the whole process, all workers. It speaks the simple and the extended protocol, so any driver can ask it; values may be
            parameters (`SHOW POOLS WHERE database = $1`). One command at a time, words in any case, a semicolon where wanted; names with
            other letters in double quotes, texts in single quotes.

            Who may come in: users of `admin_users` (everything), users of `stats_users` (what changes nothing), and user `pgbouncer` on
            the Unix socket without a password, from a process of the pooler's own system user (everything). With `auth_type = any`
            everybody may look.

            ## Commands

            | command | who | what it does |
            |---|---|---|

            """
        for command in all {
            let forms = command.syntax.map { "`\($0)`" }.joined(separator: ", ")
            text += "| \(cell(forms)) | \(command.rights == .admin ? "admin" : "stats") | \(cell(command.doc)) |\n"
        }
        text += """

            The answer to a command that has no rows is its name. What goes wrong is an ERROR, mostly with SQLSTATE 08P01, and the
            connection stays. `SHOW HELP` lists all this as a NOTICE.

            Changes by SET last until the next RELOAD (or SIGHUP), which reads the file again; settings that have no default keep the value
            of SET if the file does not mention them. SET of a setting that only a start reads is refused.

            What drivers send around everything is taken: BEGIN, COMMIT, ROLLBACK, DISCARD, SET of parameters such as `client_encoding`
            or `extra_float_digits` (with a NOTICE), SHOW of such parameters, `SELECT 1`.

            ## Topics of SHOW

            `WHERE` compares as text, `ORDER BY` sorts numbers by size.

            """
        for (index, topic) in ShowTopic.all.enumerated() {
            text += "\n### SHOW \(topic.name.uppercased())\n\n\(topic.doc)"
            var columns = topic.columns
            // Long lists that topics share stand there once.
            if let other = ShowTopic.all[..<index].first(where: { $0.columns.count > 12 && columns.starts(with: $0.columns) }) {
                columns.removeAll { other.columns.contains($0) && other.meaning(of: $0.name) == topic.meaning(of: $0.name) }
                text += " The columns are those of SHOW \(other.name.uppercased())" + (columns.isEmpty ? "." : "; of its own are:")
            }
            text += "\n"
            if !columns.isEmpty { text += table(columns, topic.meaning) }
        }
        text += "\n## WHY\n" + table(WaitReport.columns) { WaitReport.meanings[$0] }
        text += """

            The first rows have an `item` and its `value`: `limit` (what stands in the way), `reason` in a sentence, the `place` of the
            client in the queue, how long it has `waited`, the `expected_wait`, and `advice`: the setting or action that would help. Then
            comes a row `holder` for each server that is not free: the client that has it, what it does and for how long, and the first
            200 bytes of its last statement. Where the limit is one of the database or the user, servers of other pools count against it;
            then those who have them follow (`database` and `user` name the pool). Statements are for admins; others read
            `<insufficient privilege>` there, as in pg_stat_activity.

            The expected wait is how long a client keeps a server on average, for each one before it, divided by the servers that are held.
            Servers that have been kept for ten times as long as usual, and for a second, are left out: nobody knows when those are free.
            Where nothing can be foretold, the value says why (`not known: ...`); so it is in session mode, where clients keep their
            servers until they leave.

            A client that waits longer than `query_wait_notify` or `query_wait_timeout` is told the reason and the advice as DETAIL and
            HINT, without the statements of others.

            """
        return text
    }

    private static func table(_ columns: [Column], _ meaning: (String) -> String?) -> String {
        var text = "\n| column | type | meaning |\n|---|---|---|\n"
        for column in columns { text += "| `\(column.name)` | \(column.type.rawValue) | \(cell(meaning(column.name) ?? "")) |\n" }
        return text
    }

    private static func cell(_ text: String) -> String {
        text.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
    }
}
