import Testing

@testable import PostgresWire

@Suite struct StartupOptionsTests {
    @Test(
        arguments: [
            ("", []), ("  \t\n", []), ("-c a=b", ["a", "b"]), ("-ca=b", ["a", "b"]), ("--a=b", ["a", "b"]),
            (" -c  a=b\t--c=d ", ["a", "b", "c", "d"]),
            ("-c a=", ["a", ""]), ("--a=b=c", ["a", "b=c"]), ("-c a=b\\ c", ["a", "b c"]), ("-c a=\\\\", ["a", "\\"]),
            ("-c a=b\\", ["a", "b"]),
            ("-c search_path=a,\\ \"b\"", ["search_path", "a, \"b\""]), ("--extra-float-digits=-1", ["extra_float_digits", "-1"]),
            ("-c statement-timeout=5s", ["statement_timeout", "5s"]), ("-c -c=d", ["_c", "d"]), ("-c\\\na=b", ["\na", "b"]),
            ("-c a=1 -c a=2", ["a", "1", "a", "2"]), ("-c a=\u{A0}ü", ["a", "\u{A0}ü"]),
        ] as [(String, [String])])
    func accepted(_ options: String, _ expected: [String]) throws {
        #expect(try StartupOptions.parse(options).flatMap { [$0.name, $0.value] } == expected)
    }

    @Test(
        arguments: [
            ("-e", ["datestyle", "euro"]), ("-es", ["datestyle", "euro", "log_statement_stats", "true"]),
            ("-ec a=b", ["datestyle", "euro", "a", "b"]),
            ("-S 1 -B2 -h x", ["work_mem", "1", "shared_buffers", "2", "listen_addresses", "x"]),
            ("-fs -f mx", ["enable_seqscan", "false", "enable_mergejoin", "false"]),
            ("-d 2x", ["log_min_messages", "debug2", "log_statement", "all"]),
            ("-d -1", ["log_min_messages", "notice"]), ("-tpl -t executor", ["log_planner_stats", "true", "log_executor_stats", "true"]),
            ("-bEjnTP -D x -Cx -r x -v 3 -W 0", []), ("--", []), ("-c a=b --", ["a", "b"]), ("-e- c=d", ["datestyle", "euro", "c", "d"]),
            ("-Fil", ["fsync", "false", "listen_addresses", "*", "ssl", "true"]),
            ("-k /x -N1 -p 5", ["unix_socket_directories", "/x", "max_connections", "1", "port", "5"]),
        ] as [(String, [String])])
    func switches(_ options: String, _ expected: [String]) throws {
        #expect(try StartupOptions.parse(options).flatMap { [$0.name, $0.value] } == expected)
    }

    /// The first three looped for ever in PgBouncer.
    @Test(arguments: [
        ("-c=", "42704", #"unrecognized configuration parameter """#), ("-c =b", "42704", #"unrecognized configuration parameter """#),
        ("--=b", "42704", #"unrecognized configuration parameter """#), ("-c", "42601", "-c"), ("-", "42601", "-"), ("a=b", "42601", "a=b"),
        ("-c a", "42601", "-c a requires a value"), ("--a", "42601", "--a requires a value"), ("\\", "42601", ""),
        ("-c a=b c=d", "42601", "c=d"), ("-c a=b -c", "42601", "-c"), ("-- x y", "42601", "x"), ("x -- y", "42601", "x"),
        ("-Z", "42601", "-Z"),
        ("-e -E=x", "42601", "-e"), ("-E=x", "42601", "postgres"), ("-c \\", "42601", "-c  requires a value"), ("-f x", "42601", "x"),
        ("-fx", "42601", "-fx"), ("-t pz", "42601", "pz"), ("-eé", "42601", "postgres"),
        ("-W x", "22023", #"invalid value for parameter "post_auth_delay": "x""#),
    ])
    func refused(_ options: String, _ code: String, _ text: String) {
        let failure = #expect(throws: StartupOptions.Failure.self) { _ = try StartupOptions.parse(options) }
        let isArgument = failure?.hint != nil
        #expect(failure?.message == (isArgument ? "invalid command-line argument for server process: \(text)" : text))
        #expect(failure?.code == code)
    }

    @Test func longOptionsTakeLinearTime() throws {
        let options = String(repeating: "-c a=b ", count: 100_000) + "-c c=" + String(repeating: "\\ ", count: 500_000)
        #expect(try StartupOptions.parse(options).count == 100_001)
    }
}
