import Testing

@testable import Configuration

@Suite struct IdentMapsTests {
    static func maps(_ text: String) -> IdentMaps { IdentMaps(parsing: Array(text.utf8), file: "ident") }

    @Test(
        arguments: [
            ("m", ["os"], "db", .allowed), ("m", ["os"], "other", .noMatch), ("m", ["x"], "db", .noMatch),
            ("m", ["root"], "any one", .allowed),
            ("m", ["a b"], "db", .allowed), ("m", ["x", "os"], "db2", .allowed), ("n", ["os"], "all", .allowed),
            ("n", ["os"], "db", .noMatch),
            ("none", ["os"], "db", .noSuchMap), ("m", [], "db", .noMatch),
        ] as [(String, [String], String, IdentMaps.Verdict)])
    func verdicts(map: String, names: [String], user: String, verdict: IdentMaps.Verdict) {
        let maps = Self.maps("# comment\nm os db\nm os db2 # more\nm root all\nm \"a b\" db\n\nn os \"all\"\n")
        #expect(maps.warnings == [])
        #expect(maps.verdict(map: map, systemNames: names, user: user) == verdict)
    }

    @Test(
        arguments: [
            ("m", "the system name is missing"), ("m os", "the user is missing"), ("m os db more", "expected three fields"),
            ("m a,b db", "expected one system name, found a list"), ("m /^(.*)$ \\1", "regular expressions are not supported"),
            ("m \"\" db", "an empty name"), ("m \"os db", "a quote is not closed"),
            ("m os \(String(repeating: "x", count: 128))", "longer than 127 bytes"),
        ] as [(String, String)])
    func aBrokenLineIsSkippedWithAWarning(line: String, reason: String) {
        let maps = Self.maps("m first db\n\(line)\nm last db\n")
        #expect(maps.verdict(map: "m", systemNames: ["first"], user: "db") == .allowed)
        #expect(maps.verdict(map: "m", systemNames: ["last"], user: "db") == .allowed)
        let warning = maps.warnings.first ?? ""
        #expect(maps.warnings.count == 1 && warning.hasPrefix("ident:2: ident: ") && warning.contains(reason), "\(warning)")
    }
}
