import Testing

@testable import PoolCore

@Suite struct ParameterSetTests {
    private let table = ParameterTable()

    private func parameters(_ texts: String...) -> [Parameter] {
        texts.map { text in
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            return Parameter(name: parts[0], value: parts[1])
        }
    }

    private func set(_ reported: [Parameter], _ unreported: [Parameter] = [], byServer: Bool = false) -> ParameterSet {
        table.intern(reported: reported, unreported: unreported, byServer: byServer)
    }

    @Test("equal settings are one object, in whatever order they come")
    func interning() {
        let one = set(parameters("TimeZone=UTC", "DateStyle=ISO", "application_name=a"))
        #expect(set(parameters("application_name=a", "DateStyle=ISO", "TimeZone=UTC")) === one)
        #expect(set(parameters("application_name=b", "DateStyle=ISO", "TimeZone=UTC")) !== one)
        #expect(one["timezone"] == "UTC" && one["TIMEZONE"] == "UTC" && one["none"] == nil)
    }

    /// A client with a search_path that only looked like another client's ran its queries on the other one's tables.
    @Test func valuesThatOnlyLookAlikeAreDifferent() {
        let composed = set(parameters("application_name=\u{e9}"), parameters("search_path=\u{e9}"))
        let decomposed = set(parameters("application_name=e\u{301}"), parameters("search_path=e\u{301}"))
        #expect(composed !== decomposed)
    }

    @Test(
        "values reach the server as they are, whatever standard_conforming_strings says",
        arguments: [
            ("application_name", "it's", "SET application_name='it''s'"),
            ("application_name", #"a\b'c"#, #"SET application_name=E'a\\b''c'"#),
            ("DateStyle", "ISO, MDY", "SET DateStyle='ISO, MDY'"), ("TimeZone", "", "SET TimeZone=''"),
            ("search_path", #""a b", public"#, #"SELECT pg_catalog.set_config('search_path','"a b", public',false)"#),
            ("x'; drop", "1", "SELECT pg_catalog.set_config('x''; drop','1',false)"),
        ])
    func quoting(name: String, value: String, sql: String) {
        #expect(ParameterChange.set(Parameter(name: name, value: value)).sql == sql)
    }

    @Test("RESET quotes the name")
    func resetQuoting() { #expect(ParameterChange.reset("a\"b").sql == "RESET \"a\"\"b\"") }

    @Test("a value is proven once a server has reported or accepted it")
    func proof() {
        let server = set(parameters("TimeZone=UTC", "application_name="), byServer: true)
        #expect(server.isProven && table.empty.isProven)
        let named = set(parameters("TimeZone=UTC", "application_name=any name"))
        #expect(named.isProven)
        #expect(!set(parameters("TimeZone=UTC", "application_name=na\u{EF}ve")).isProven)
        let tried = set(parameters("TimeZone=CET", "application_name="), parameters("lock_timeout=1"))
        #expect(!tried.isProven)
        table.accept(tried)
        #expect(tried.isProven && set(parameters("TimeZone=CET", "application_name=x"), parameters("lock_timeout=1")).isProven)
        #expect(!set(parameters("TimeZone=CET"), parameters("lock_timeout=2")).isProven)
    }

    @Test("a set that was waiting becomes proven when its values are accepted elsewhere")
    func laterProof() {
        let tried = set(parameters("TimeZone=CET"))
        _ = set(parameters("TimeZone=CET"), byServer: true)
        #expect(tried.isProven)
    }

    @Test("one reported value is replaced, in the server's spelling")
    func replacing() {
        let one = set(parameters("DateStyle=ISO", "TimeZone=UTC"), parameters("lock_timeout=1"))
        let two = table.replacing(Parameter(name: "datestyle", value: "ISO, MDY"), in: one)!
        #expect(two["DateStyle"] == "ISO, MDY" && two.reported.count == 2 && two.unreported == one.unreported)
    }

    @Test("fixed parameters are not tracked")
    func names() {
        #expect(ParameterTable.isTracked("TimeZone") && !ParameterTable.isTracked("Server_Version"))
    }

    @Test("sets that nobody holds are swept")
    func sweep() {
        let held = set(parameters("application_name=held"))
        for index in 0..<3000 { _ = set(parameters("application_name=\(index)")) }
        #expect(set(parameters("application_name=held")) === held)
    }
}
