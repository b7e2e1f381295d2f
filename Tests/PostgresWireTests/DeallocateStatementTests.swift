import Testing

@testable import PostgresWire

@Suite struct DeallocateStatementTests {
    private func parse(_ text: String) -> DeallocateStatement? {
        let bytes = Array(text.utf8)
        return DeallocateStatement.parse(bytes.span, 0..<bytes.count)
    }

    @Test(
        arguments: [
            ("DEALLOCATE s0", .name("s0")), ("deallocate PREPARE S0;", .name("s0")), (" \t\r\n\u{C}dEaLLoCaTe\n\"S0\" ; ", .name("S0")),
            ("DEALLOCATE \"a\"\"b\"", .name("a\"b")), ("DEALLOCATE\"a;b\"", .name("a;b")),
            ("DEALLOCATE pdo_stmt_00000001", .name("pdo_stmt_00000001")),
            ("DEALLOCATE /* x */ s0 -- y", .name("s0")), ("-- a\n/* b /* c */ d */DEALLOCATE/**/s0;--", .name("s0")),
            ("DEALLOCATE ALL", .all),
            ("deallocate all;", .all), ("DEALLOCATE PREPARE ALL", .all), ("DEALLOCATE \"all\"", .name("all")),
            ("DEALLOCATE \"ALL\"", .name("ALL")),
            ("DEALLOCATE prepare", .name("prepare")), ("DEALLOCATE PREPARE;", .name("prepare")),
            ("DEALLOCATE PREPARE prepare", .name("prepare")),
            ("DEALLOCATE _a$1", .name("_a$1")), ("DEALLOCATE Ärger", .name("Ärger")), ("DISCARD ALL", .discardAll),
            ("discard/**/all ;", .discardAll),
            ("DEALLOCATE U&\"d\\0061t\\+000061\"", .name("data")), ("deallocate u&\"a!0062\"\"!!\" uescape '!' ;", .name("ab\"!")),
            ("DEALLOCATE U&\"\\D83D\\DE00\"", .name("\u{1F600}")), ("DEALLOCATE PREPARE U&\"a\"", .name("a")),
            ("deallocate u", .name("u")), ("deallocate U1", .name("u1")),
        ] as [(String, DeallocateStatement)])
    func recognised(_ text: String, _ expected: DeallocateStatement) {
        #expect(parse(text) == expected)
    }

    @Test(arguments: [
        "", " ", "D", "DE", "DEALLOCATE", "DEALLOCATE ;", "DEALLOCATE s0 s1", "DEALLOCATE s0; SELECT 1", "DEALLOCATE s0;; SELECT 1",
        ";DEALLOCATE s0",
        "DEALLOCATE \"\"", "DEALLOCATE \"a", "DEALLOCATE 'a'", "DEALLOCATE 1a", "DEALLOCATE $1", "DEALLOCATE a.b", "DEALLOCATE s0,s1",
        "DEALLOCATEs0",
        "DEALLOCATE U&\"a", "DEALLOCATE U&\"a\0\"",
        "DEALLOCATE U&\"\"", "DEALLOCATE U&\"\\00\"", "DEALLOCATE U&\"\\00zz\"", "DEALLOCATE U&\"\\0000\"",
        "DEALLOCATE U&\"\\D83D\"", "DEALLOCATE U&\"\\DE00\"", "DEALLOCATE U&\"\\D83Da\"", "DEALLOCATE U&\"\\+110000\"",
        "DEALLOCATE U&\"a\" UESCAPE", "DEALLOCATE U&\"a\" UESCAPE 'a'", "DEALLOCATE U&\"a\" UESCAPE '+'", "DEALLOCATE U&\"a\" UESCAPE '!!'",
        "DEALLOCATE U &\"a\"", "DEALLOCATE U& \"a\"", "DEALLOCATE a/", "DEALLOCATE a/*", "DEALLOCATE a/*/* */", "DEALLOCATE a -",
        "DEALLOCATE\0a", "DEALLOCATE a\0",
        "DEALLOCATE a--\0", "DEALLOCATE a/*\0*/", "DEALLOCATE \"a\0\"", "DEALLOCATE PREPARE PREPARE a", "DISCARD", "DISCARD TEMP",
        "DISCARD PLANS",
        "DISCARD \"all\"", "DISCARD ALL; SELECT 1", "SELECT 1", "select deallocate", "DELETE FROM a", "DECLARE a CURSOR FOR SELECT 1",
        "DROP TABLE a",
        "SAVEPOINT a", "SAVEPOINT a;DEALLOCATE b;RELEASE a", "/* DEALLOCATE a */", "-- DEALLOCATE a", "/* x */ SELECT 1", "/", "-", "--",
        "/*",
        "\"DEALLOCATE\" a",
        "EXPLAIN DEALLOCATE a",
    ])
    func leftToTheServer(_ text: String) {
        #expect(parse(text) == nil)
    }

    @Test func namesAreCutAsPostgreSQLDoes() {
        let ascii = String(repeating: "n", count: 63)
        #expect(parse("DEALLOCATE \(ascii)") == .name(ascii))
        #expect(parse("DEALLOCATE \(ascii)m") == .name(ascii))
        #expect(parse("DEALLOCATE s0 ; ;;") == .name("s0"))
        // The 63rd byte is the first half of a character.
        #expect(parse("DEALLOCATE \"\(ascii.dropLast())ä\"") == .name(String(ascii.dropLast())))
        #expect(parse("DEALLOCATE \(ascii.dropLast())\u{1F600}xyz") == .name(String(ascii.dropLast())))
        #expect(parse("DEALLOCATE \"\(ascii.dropLast(2))\"\"\(ascii)\"") == .name("\(ascii.dropLast(2))\"n"))
        // However long the rest is, it is looked at and not kept.
        let rest = Array(repeating: UInt8(ascii: "m"), count: 1_000_000)
        let long = Array("DEALLOCATE \(ascii)".utf8) + rest
        #expect(DeallocateStatement.parse(long.span, 0..<long.count) == .name(ascii))
        let broken = long + [0xFF]
        #expect(DeallocateStatement.parse(broken.span, 0..<broken.count) == nil)
    }

    @Test func rangeAndEncoding() {
        let bytes = Array("xDEALLOCATE a;b".utf8)
        #expect(DeallocateStatement.parse(bytes.span, 1..<14) == .name("a"))
        #expect(DeallocateStatement.parse(bytes.span, 1..<16) == nil)
        #expect(DeallocateStatement.parse(bytes.span, -1..<3) == nil)
        // In whatever encoding: in UTF-8 nobody has such a name.
        let bytesOfName = [UInt8(ascii: "a"), 0xFF]
        #expect(
            DeallocateStatement.parse((Array("DEALLOCATE ".utf8) + bytesOfName).span, 0..<13)
                == .name(String(decoding: bytesOfName.span, in: 0..<2)))
    }

    @Test func ordinaryQueriesAreNotScanned() {
        for text in [
            "SELECT 1", "select", "DELETE FROM a", "DECLARE", "DROP", "show x", "  INSERT", "BEGIN", "COMMIT", "de", "",
        ] {
            let bytes = Array(text.utf8)
            #expect(DeallocateStatement.mayStart(bytes.span, 0..<bytes.count) == false)
        }
    }
}
