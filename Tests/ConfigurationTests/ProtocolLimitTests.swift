import Configuration
import Testing

@Suite struct ProtocolLimitTests {
    /// As libpq 18: 3.0 unless somebody wants more.
    @Test(
        arguments: [
            ("", 0...0), ("max_protocol_version=3.0", 0...0), ("max_protocol_version=3.2", 0...2), ("max_protocol_version=latest", 0...2),
            ("min_protocol_version=3.0", 0...0), ("min_protocol_version=3.2", 2...2), ("min_protocol_version=latest", 2...2),
            ("min_protocol_version=3.2 max_protocol_version=latest", 2...2), ("min_protocol_version=3.0 max_protocol_version=3.2", 0...2),
        ] as [(String, ClosedRange<UInt16>)])
    func theVersionsThatServersMaySpeak(_ text: String, _ minors: ClosedRange<UInt16>) throws {
        let database = try #require(try load("[sluice]\n[databases]\nd = \(text)\n").databases["d"])
        #expect(database.protocolLimits.minors == minors)
        let url = try DatabaseURL(parsing: "postgres://u:p@h/d?" + text.split(separator: " ").joined(separator: "&"))
        #expect(url.warnings == [])
        for name in ["d", "other"] { #expect(url.configuration().database(named: name)?.protocolLimits.minors == minors) }
    }

    @Test func limitsThatExcludeEachOther() {
        let text = "min_protocol_version=3.2 max_protocol_version=3.0"
        #expect(
            Files(["sluice.ini": "[sluice]\n[databases]\nd = \(text)\n"]).error()
                == "sluice.ini:3: min_protocol_version: database \"d\": 3.2 is newer than max_protocol_version, which is 3.0")
        #expect(throws: ConfigurationError.self) {
            try DatabaseURL(parsing: "postgres://u:p@h/d?max_protocol_version=3.0&min_protocol_version=latest")
        }
        #expect(throws: ConfigurationError.self) { try DatabaseURL(parsing: "postgres://u:p@h/d?max_protocol_version=3.1") }
    }

    @Test func serversOfAnotherVersionAreReplaced() throws {
        var new = Database(name: "d")
        new.protocolLimits.oldest = .longKeys
        #expect(new.serverIdentityDiffers(from: Database(name: "d")))
    }
}
