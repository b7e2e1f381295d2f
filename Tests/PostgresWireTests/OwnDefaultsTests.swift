import Testing

@testable import PostgresWire

@Suite struct OwnDefaultsTests {
    private func replaced(_ text: String, escapes: Bool = false) -> String? {
        let bytes = Array(text.utf8)
        return OwnDefaults.replace(bytes.span, 0..<bytes.count, escapes: escapes) { name in
            name == "unknown" ? nil : "'<\(name)>'"
        }.map { String(decoding: $0.bytes, as: UTF8.self) }
    }

    @Test(
        arguments: [
            ("reset datestyle", "SET/*RESET*/ datestyle TO '<datestyle>'"),
            ("RESET/**/\"DateStyle\";", "SET/*RESET*//**/\"DateStyle\" TO '<datestyle>';"),
            ("reset app.\"Tenant\"", "SET/*RESET*/ app.\"Tenant\" TO '<app.tenant>'"),
            ("reset time zone --x", "SET/*RESET*/ time zone '<timezone>' --x"),
            ("set x to default", "set x to '<x>'"), ("SET LOCAL x=DEFAULT", "SET LOCAL x='<x>'"),
            ("set session x to default", "set session x to '<x>'"),
            ("set time zone local", "set time zone '<timezone>'"), ("set local time zone default", "set local time zone '<timezone>'"),
            ("set names", "set names '<client_encoding>'"), ("set names default; x", "set names '<client_encoding>'; x"),
            ("begin; reset a; ; set b = default; select 'reset c'", "begin; SET/*RESET*/ a TO '<a>'; ; set b = '<b>'; select 'reset c'"),
            ("select 1; reset a", "select 1; SET/*RESET*/ a TO '<a>'"),
            ("reset unknown; reset a", "reset unknown; SET/*RESET*/ a TO '<a>'"),
        ])
    func aValueStandsWhereTheDefaultStood(_ text: String, _ expected: String) {
        #expect(replaced(text) == expected)
        let bytes = Array(text.utf8)
        let isSeen = OwnDefaults.mayBe(in: bytes.span, 0..<bytes.count)
        #expect(isSeen)
        // What has its values is left alone.
        #expect(replaced(expected) == nil)
    }

    @Test(arguments: [
        "", ";", "reset", "reset all", "reset a b", "reset session authorization", "reset transaction isolation level", "reset a.",
        "set x to default, y", "set x default", "set default to 1", "set names 'x'", "set time zone 'UTC'", "set local",
        "set session characteristics as transaction read only", "select 'reset a'", "do $$ begin reset a; end $$", "reset unknown",
        "select 1 as reset, a", "/* reset a", "reset \"",
    ])
    func leftAlone(_ text: String) {
        #expect(replaced(text) == nil)
    }

    @Test func escapesAreThoseOfTheSession() {
        let text = #"select '\'; reset a; --'; reset b"#
        #expect(replaced(text) == #"select '\'; SET/*RESET*/ a TO '<a>'; --'; reset b"#)
        #expect(replaced(text, escapes: true) == #"select '\'; reset a; --'; SET/*RESET*/ b TO '<b>'"#)
    }

    @Test func aTextOfManyStatementsIsLeftAlone() {
        let most = Array(repeating: "reset a", count: OwnDefaults.most / 2)
        #expect(replaced(most.joined(separator: ";")) != nil)
        #expect(replaced((most + ["reset a"]).joined(separator: ";")) == nil)
    }

    /// The place of an error is told as a place in the text that came.
    @Test func placesAreThoseOfTheTextThatCame() throws {
        let text = "select '\u{E4}'; reset a; set b to default; wrong"
        let bytes = Array(text.utf8)
        let own = try #require(OwnDefaults.replace(bytes.span, 0..<bytes.count, escapes: false) { _ in "'x'" })
        let new = Array(String(decoding: own.bytes, as: UTF8.self))
        let old = Array(text)
        for word in ["select", "; set b", "; wrong", "wrong"] {
            func place(_ text: [Character]) throws -> Int {
                try #require((0...text.count - word.count).first { text[$0..<$0 + word.count].elementsEqual(word) }) + 1
            }
            #expect(OwnDefaults.position(try place(new), before: own.shifts) == (try place(old)))
        }
    }

    @Test(
        arguments: [
            ("reset all; select 1", "reset all; SET/*ADDED*/ \"a\" TO '<a>'; SET/*ADDED*/ \"x\".\"Y\"\"z\" TO '<x.Y\"z>'; select 1"),
            (
                "reset all;;reset a",
                "reset all; SET/*ADDED*/ \"a\" TO '<a>'; SET/*ADDED*/ \"x\".\"Y\"\"z\" TO '<x.Y\"z>';;SET/*RESET*/ a TO '<a>'"
            ),
            ("reset all", nil), ("reset all; ;", nil), ("select 1; reset all", nil), ("reset all x; select 1", nil),
        ] as [(String, String?)])
    func valuesStandBehindAResetOfAll(_ text: String, _ expected: String?) {
        let bytes = Array(text.utf8)
        let own = OwnDefaults.replace(
            bytes.span, 0..<bytes.count, escapes: false, all: { ["a", "unknown", "x.Y\"z"] },
            value: { $0 == "unknown" ? nil : "'<\($0)>'" })
        #expect(own.map { String(decoding: $0.bytes, as: UTF8.self) } == expected)
        guard let own else { return }
        let effects = StatementEffects.read(own.bytes.span, 0..<own.bytes.count, escapes: false).all
        #expect(effects.filter { $0.effect == .isAdded }.map(\.index) == [1, 2])
    }

    @Test func theMarkTellsWhatItWas() {
        for (text, isReset) in [("SET/*RESET*/ x TO 'y'", true), ("set x to 'y'", false), ("set /*RESET*/ x to 'y'", false)] {
            let bytes = Array(text.utf8)
            let effects = StatementEffects.read(bytes.span, 0..<bytes.count, escapes: false).all.map(\.effect)
            #expect(effects.contains(.isTaggedReset) == isReset)
            #expect(effects.contains(.setting(name: "x", .literal("y"), isLocal: false)))
        }
    }
}
