import Testing

@testable import PostgresWire

@Suite struct ResetStatementTests {
    private func parse(_ text: String) -> ResetStatement? {
        let bytes = Array(text.utf8)
        return ResetStatement.parse(bytes.span, 0..<bytes.count)
    }

    @Test(
        arguments: [
            ("reset datestyle", .name("datestyle")), ("RESET \"DateStyle\" ;;", .name("datestyle")), ("reset all", .all),
            ("reset time zone", .name("timezone")), ("reset/**/TimeZone --x", .name("timezone")),
            ("set timezone to default", .name("timezone")),
            ("SET SESSION TimeZone = DEFAULT;", .name("timezone")), ("set time zone default", .name("timezone")),
            ("set time zone local", .name("timezone")),
            ("set timezone=default", .name("timezone")),
            ("set session time zone local", .name("timezone")),
        ] as [(String, ResetStatement)])
    func recognised(_ text: String, _ expected: ResetStatement) {
        #expect(parse(text) == expected)
    }

    @Test(arguments: [
        "", "reset", "reset a b", "reset all; select 1", "set timezone to 'UTC'", "set timezone = utc", "set local timezone to default",
        "set time zone 'UTC'", "set time zone", "set x default", "set x to default, y", "select reset", "resetall", "discard all",
    ])
    func leftAlone(_ text: String) {
        #expect(parse(text) == nil)
    }
}
