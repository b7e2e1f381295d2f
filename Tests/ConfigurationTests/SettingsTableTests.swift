import Testing

@testable import Configuration

@Suite struct SettingsTableTests {
    @Test(arguments: SettingsTable.all.map(\.name)) func everyDefaultTextIsTheDefault(name: String) throws {
        let specification = try #require(SettingsTable.named(name))
        var settings = Settings()
        if let text = specification.defaultText { try specification.apply(text, to: &settings) }
        #expect(settings == Settings())
        #expect(!specification.doc.isEmpty && specification.doc.hasSuffix("."))
    }

    @Test func theTableIsAlphabeticalAndComplete() {
        let names = SettingsTable.all.map(\.name)
        #expect(names == names.sorted())
        #expect(Set(names).count == names.count)
        let properties = Mirror(reflecting: Settings()).children.compactMap(\.label)
        #expect(Set(properties) == Set(names.map(camelCase)))
        // The settings that other programs and files may name.
        let expected = """
            admin_users application_name_add_host auth_dbname auth_file auth_hba_file auth_ident_file auth_ldap_options auth_query
            auth_type auth_user autodb_idle_timeout cancel_on_disconnect cancel_wait_timeout client_idle_timeout client_login_timeout client_message_timeout
            client_tls13_ciphers client_tls_ca_file client_tls_cert_file client_tls_ciphers client_tls_dheparams client_tls_ecdhcurve client_tls_key_file
            client_tls_protocols client_tls_sslmode conffile default_pool_size disable_pqexec dns_max_ttl dns_nxdomain_ttl
            dns_zone_check_period idle_transaction_timeout ignore_startup_parameters job_name listen_addr listen_backlog listen_port
            log_connections log_disconnections log_format log_min_duration log_pooler_errors log_stats logfile login_notify_message max_client_conn
            max_db_client_connections max_db_connections max_packet_size max_prepared_statements max_statement_memory
            max_user_client_connections max_user_connections metrics_listen metrics_names min_pool_size password_command_timeout password_lifetime peer_id pidfile pkt_buf pool_idle_timeout pool_mode query_timeout query_wait_notify
            query_wait_timeout reserve_pool_size reserve_pool_timeout resolv_conf sbuf_loopcnt scram_iterations server_check_delay
            server_check_query server_connect_timeout server_fast_close server_idle_timeout server_lifetime server_login_retry
            server_reset_query server_reset_query_always server_round_robin server_tls13_ciphers server_tls_ca_file
            server_tls_cert_file server_tls_ciphers server_tls_key_file server_tls_protocols server_tls_sslmode service_name
            so_reuseport statement_max_age statement_sharing stats_period stats_users suspend_timeout syslog syslog_facility syslog_ident tcp_defer_accept tcp_keepalive
            tcp_keepcnt tcp_keepidle tcp_keepintvl tcp_socket_buffer tcp_user_timeout track_extra_parameters transaction_timeout
            unix_socket_dir unix_socket_group unix_socket_mode user verbose workers
            """.split(whereSeparator: \.isWhitespace).map(String.init)
        #expect(names == expected)
    }

    /// Applying a value must change the property of the same name, and no other.
    @Test(arguments: SettingsTable.all.map(\.name)) func everySettingIsKeptUnderItsOwnName(name: String) throws {
        let specification = try #require(SettingsTable.named(name))
        var settings = Settings()
        try specification.apply(otherValue(of: specification), to: &settings)
        let before = Mirror(reflecting: Settings()).children
        let after = Mirror(reflecting: settings).children
        let changed = zip(before, after).filter { String(describing: $0.value) != String(describing: $1.value) }.compactMap(\.0.label)
        #expect(changed == [camelCase(name)])
    }

    @Test func valuesPrintAsShowConfigDoes() throws {
        let settings = try settings(
            "unix_socket_mode = 0777", "server_lifetime = 0.5", "log_stats = 0", "pool_mode = Transaction", "admin_users = a, b c",
            "auth_type = SCRAM-SHA-256")
        func text(_ name: String) -> String? { SettingsTable.named(name)?.text(in: settings) }
        #expect(text("unix_socket_mode") == "511")
        #expect(text("server_lifetime") == "0.5")
        #expect(text("log_stats") == "0")
        #expect(text("pool_mode") == "transaction")
        #expect(text("admin_users") == "a,b,c")
        #expect(text("auth_type") == "scram-sha-256")
        #expect(text("auth_user") == nil)
        #expect(text("max_packet_size") == "2147483647")
        #expect(text("verbose") == "0")
        #expect(text("server_check_query") == "<empty>")
    }

    @Test(
        arguments: [
            (0, "0"), (1, "1e-06"), (100, "0.0001"), (99, "9.9e-05"), (10_000, "0.01"), (500_000, "0.5"), (1_000_000, "1"),
            (1_500_000, "1.5"),
            (3_600_000_000, "3600"), (100_000_000_000, "100000"), (1_000_000_000_000, "1e+06"), (1_234_567_000_000, "1.23457e+06"),
            (12_345_678, "12.3457"), (999_999_500_000, "1e+06"), (999_998_500_000, "999998"), (120_000_000, "120"),
        ] as [(Microseconds, String)])
    func timesPrintLikeC(time: Microseconds, text: String) {
        #expect(TimeText.seconds(time) == text)
    }

    @Test func bootOnlySettings() {
        let bootOnly = SettingsTable.all.filter { !$0.reloadable }.map(\.name)
        #expect(
            bootOnly == [
                "job_name", "listen_addr", "listen_backlog", "listen_port", "pidfile", "pkt_buf", "resolv_conf",
                "service_name", "so_reuseport", "unix_socket_dir", "unix_socket_group",
                "unix_socket_mode",
                "user", "workers",
            ])
    }

    @Test func scopesAgreeWithTheKeysOfEntries() {
        let databaseKeys = Set(SettingsTable.databaseKeys.map(\.name))
        let userKeys = Set(SettingsTable.userKeys.map(\.name))
        for setting in SettingsTable.all where setting.name != "user" {
            #expect(setting.scopes.contains(.database) == databaseKeys.contains(setting.name), "\(setting.name)")
            #expect(setting.scopes.contains(.user) == userKeys.contains(setting.name), "\(setting.name)")
            #expect(setting.scopes.contains(.global))
        }
    }

    @Test func theSampleFileLoadsAndNamesEverySetting() throws {
        let text = SettingsTable.annotatedIni()
        #expect(try load(text).warnings.isEmpty)
        for setting in SettingsTable.all { #expect(text.contains("\n;\(setting.name) =")) }
        // The sample with every default switched on is still all defaults.
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let main = try #require(lines.firstIndex(of: "[sluice]"))
        let active = lines[main...].map { line -> String in
            guard line.hasPrefix(";"), let name = line.dropFirst().split(separator: " ").first.map(String.init),
                SettingsTable.named(name)?.defaultText != nil
            else { return String(line) }
            return String(line.dropFirst())
        }
        var settings = try load(active.joined(separator: "\n")).settings
        settings.conffile = nil
        #expect(settings == Settings())
    }

    @Test func theReferencePageNamesEverySetting() {
        let page = SettingsTable.markdown()
        for setting in SettingsTable.all { #expect(page.contains("| `\(setting.name)` |")) }
        for key in SettingsTable.databaseKeys { #expect(page.contains("| `\(key.name)` |")) }
        #expect(page.contains("| `unix_socket_mode` | 0 to 4095 | `0777` | no |"))
    }

    private func camelCase(_ name: String) -> String {
        let words = name.split(separator: "_")
        return words[0] + words.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }

    /// A value that is not the default.
    private func otherValue(of specification: SettingSpecification) -> String {
        switch specification.kind {
        case .string: specification.name == "metrics_listen" ? "127.0.0.1:9127" : "other"
        case .list: "other,others"
        case .boolean: specification.defaultText == "1" ? "0" : "1"
        case .integer, .unsigned, .time, .wholeSeconds: "17"
        case .enumeration(let words): words.first { $0 != specification.defaultText } ?? ""
        }
    }
}
