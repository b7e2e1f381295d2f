import PoolCore
import Testing

@testable import Pooler

@Suite("What the pools of a user know of startup values") struct PoolFamilyTests {
    private let family = PoolFamily()

    private func startup(_ values: [String: String], isExclusive: Bool = false) -> StartupValues {
        family.startup(of: values.map { Parameter(name: $0.key, value: $0.value) }, isExclusive: isExclusive)
    }

    @Test("names that PostgreSQL does not know are remembered in any case, and not given to a server")
    func unknownNames() {
        family.noteUnknown("Connection_Limit")
        #expect(family.isUnknown("connection_limit") && !family.isUnknown("pool_timeout"))
        #expect(startup(["connection_limit": "1"], isExclusive: true).isEmpty)
        family.noteUnknown(String(repeating: "x", count: 1_000))
        #expect(!family.isUnknown(String(repeating: "x", count: 1_000)), "longer ones are tried again")
        for number in 0..<2_000 { family.noteUnknown("name\(number)") }
        #expect(family.isUnknown("name1999") && !family.isUnknown("connection_limit"), "so many are remembered")
    }

    @Test("a value that SET refuses is given at a login")
    func refusedValues() {
        #expect(startup(["temp_tablespaces": "nope"]).isEmpty)
        family.noteRefused(Parameter(name: "Temp_Tablespaces", value: "nope"))
        #expect(startup(["temp_tablespaces": "nope"]).gives("temp_tablespaces"))
        #expect(startup(["temp_tablespaces": "other"]).isEmpty)
        for number in 0..<1_000 { family.noteRefused(Parameter(name: "work_mem", value: "\(number)x")) }
        #expect(startup(["temp_tablespaces": "nope"]).isEmpty, "so many are remembered")
    }

    @Test("who has a server of its own has all its values from the login, but for its name and custom ones")
    func exclusive() {
        let brought = ["DateStyle": "ISO", "application_name": "me", "app.tenant": "7", "idle_session_timeout": "5"]
        let values = startup(brought, isExclusive: true)
        #expect(values.given.map(\.name) == ["DateStyle"] && values.customNames == ["app.tenant"])
    }
}
