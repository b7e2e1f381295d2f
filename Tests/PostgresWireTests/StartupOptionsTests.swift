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

    /// The first three looped for ever in PgBouncer.
    @Test(arguments: [
        "-c=", "-c =b", "--=b", "-c", "--", "-", "a=b", "-c a", "--a", "-d 5", "-e", "\\", "-c a=b c=d", "-c a=b -c", "-C a=b", "-c \\",
        "--\\=",
    ])
    func refused(_ options: String) {
        #expect(
            throws: StartupOptions.Failure(
                message: "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed")
        ) {
            _ = try StartupOptions.parse(options)
        }
    }

    @Test func longOptionsTakeLinearTime() throws {
        let options = String(repeating: "-c a=b ", count: 100_000) + "-c c=" + String(repeating: "\\ ", count: 500_000)
        #expect(try StartupOptions.parse(options).count == 100_001)
    }
}
