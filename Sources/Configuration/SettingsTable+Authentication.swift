extension SettingsTable {
    /// Who may come in.
    static let authentication: [SettingSpecification] = [
        .choice("auth_type", \.authType, "md5", "How clients prove who they are."),
        .string("auth_file", \.authFile, "File of user names and secrets; read at start and reload."),
        .string("auth_hba_file", \.authHbaFile, "", "Rules for `auth_type = hba`; read at start and reload."),
        .string("auth_ident_file", \.authIdentFile, "Maps from system or certificate names to database users."),
        .string("auth_ldap_options", \.authLdapOptions, "Options for `auth_type = ldap`.").hidingSecrets(LDAPOptions.withoutPasswords),
        .string(
            "auth_query", \.authQuery, Settings().authQuery, scopes: [.global, .database],
            "Query that looks up a user's name and secret; the user name is its parameter."),
        .string("auth_user", \.authUser, scopes: [.global, .database], "User that runs `auth_query`."),
        .string(
            "auth_dbname", \.authDbname, scopes: [.global, .database], check: Names.checkNotReserved,
            "Database that `auth_query` runs in."),
        .list("admin_users", \.adminUsers, "", splitsAtBlanks: true, "Users who may run every console command."),
        .list("stats_users", \.statsUsers, "", splitsAtBlanks: true, "Users who may run SHOW commands on the console."),
        .time(
            "password_lifetime", \.passwordLifetime, "300", scopes: [.global, .database, .user],
            "Time for which a password of `password_file` or `password_command` is used again; 0 gets one for each login. "
                + "Sluice's own setting."),
        .time(
            "password_command_timeout", \.passwordCommandTimeout, "10",
            "Time for a `password_command` to print the password and end; 0 means no limit. Sluice's own setting."),
        .integer(
            "scram_iterations", \.scramIterations, "4096", in: 1...ValueSyntax.integerMaximum,
            "Rounds of hashing in SCRAM secrets that are made on the spot."),
        .string("login_notify_message", \.loginNotifyMessage, "", "Text of a NOTICE to every client after login; empty sends none."),
    ]
}
