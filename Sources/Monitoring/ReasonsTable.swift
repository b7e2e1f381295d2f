import Statistics

/// The values of the label `reason`, for docs/metrics.md.
enum ReasonsTable {
    static func markdown() -> String {
        """

        ## Reasons

        The label `reason`, the column `reason` of `SHOW ERRORS`, and `cause` in the log of `log_format = json` have the same values. They are
        a fixed set, and hold nothing that clients, servers or files say; the log tells the particulars.

        The class says who ended the connection: `farewell`, whoever used it is done with it; `policy`, a setting or an operator;
        `fault`, something was wrong. `is_error` of `SHOW ERRORS` is 1 for clients that did not leave by themselves, and for servers with a fault.

        ### Clients

        `sluice_client_disconnects_total`, and `sluice_login_failures_total` for those that had no pool yet.

        \(table(ClientCloseCause.self))
        ### Servers

        `sluice_server_disconnects_total`, and `sluice_servers_failed_total`, which counts the servers that were never opened, without telling
        the reason; the log and `SHOW ERRORS` do.

        \(table(ServerCloseCause.self))
        """
    }

    private static func table<Cause: CloseCause>(_ causes: Cause.Type) -> String {
        var text = "| reason | class | meaning |\n|---|---|---|\n"
        for cause in causes.allCases {
            let entry = cause.entry
            text += "| `\(entry.name)` | \(entry.closeClass.rawValue) | \(entry.meaning) |\n"
        }
        return text
    }
}
