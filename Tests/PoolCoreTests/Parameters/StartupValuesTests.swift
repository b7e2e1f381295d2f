import Testing

@testable import PoolCore

@Suite("Startup values that set pools apart") struct StartupValuesTests {
    private func values(_ pairs: [(String, String)], needingLogin: Set<String> = []) -> StartupValues {
        StartupValues(of: pairs.map { Parameter(name: $0.0, value: $0.1) }) { needingLogin.contains($0.value) }
    }

    @Test("usual ones are none")
    func usual() {
        #expect(values([("DateStyle", "ISO"), ("search_path", "a"), ("role", "r")]).isEmpty && values([]).isEmpty)
    }

    @Test("custom parameters count by name, as it is spelt")
    func custom() {
        let one = values([("app.tenant", "1"), ("My.Name", "x")])
        #expect(one.customNames == ["app.tenant", "My.Name"] && one.given.isEmpty)
        #expect(one == values([("My.Name", "y"), ("app.tenant", "2")]))
        #expect(one != values([("my.name", "x"), ("app.tenant", "1")]))
        #expect(one.spelling(Parameter(name: "my.name", value: "z")) == Parameter(name: "My.Name", value: "z"))
        #expect(one.spelling(Parameter(name: "other.name", value: "z")).name == "other.name")
        #expect(!one.gives("app.tenant"))
        #expect(values([("my.a", "1"), ("MY.A", "2")]).customNames == ["MY.A"], "the last one counts, as in PostgreSQL")
    }

    @Test("libraries, and what SET refuses, count by value")
    func given() {
        let libraries = values([("local_preload_libraries", "a")])
        #expect(libraries.gives("local_preload_libraries") && libraries != values([("local_preload_libraries", "b")]))
        let refused = values([("Temp_Tablespaces", "good"), ("temp_tablespaces", "nope"), ("x.y", "nope")], needingLogin: ["nope"])
        #expect(refused.given.map(\.name) == ["temp_tablespaces", "x.y"] && refused.customNames.isEmpty)
        #expect(refused.gives("temp_tablespaces") && !refused.gives("work_mem"))
    }
}
