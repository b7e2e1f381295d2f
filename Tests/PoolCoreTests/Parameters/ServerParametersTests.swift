import Bytes
import Testing

@testable import PoolCore

@Suite struct ServerParametersTests {
    private let table = ParameterTable()

    private func parameters(_ texts: [String]) -> [Parameter] {
        texts.map { text in
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            return Parameter(name: parts[0], value: parts[1])
        }
    }

    private func own(_ reported: [String], _ unreported: [String] = []) -> ParameterSet {
        table.intern(reported: parameters(reported), unreported: parameters(unreported), byServer: false)
    }

    private func server() -> ServerParameters {
        let reported = ["application_name=", "client_encoding=UTF8", "DateStyle=ISO, MDY", "TimeZone=UTC", "server_version=15.1"]
        return ServerParameters(reported: parameters(reported), in: table)
    }

    private func adjust(_ server: inout ServerParameters, _ wanted: ParameterSet) -> [String] {
        let changes = server.changes(to: wanted)
        server.adjust(to: wanted, by: changes)
        for change in changes {
            switch change {
            case .set(let parameter): _ = server.report(parameter, by: .pooler, in: table)
            case .reset(let name):
                if let value = server.defaults[name] {
                    _ = server.report(Parameter(name: server.defaults.spelling(of: name), value: value), by: .pooler, in: table)
                }
            }
        }
        return changes.map(\.sql)
    }

    @Test("a reported value that only looks like the one before is another one")
    func valuesThatLookAlike() {
        let (composed, decomposed) = ("\u{e9}", "e\u{301}")
        var server = ServerParameters(reported: parameters(["search_path=\(composed)"]), in: table)
        let isKept = server.report(Parameter(name: "search_path", value: decomposed), by: .client, in: table)
        #expect(isKept)
        #expect(server.current["search_path"]?.hasSameBytes(as: decomposed) == true)
        #expect(server.changes(to: own(["search_path=\(composed)"])) == [.set(Parameter(name: "search_path", value: composed))])
    }

    @Test("what a client does not ask for is not set, and what the last one asked for is undone first, its role before all")
    func changes() {
        var server = server()
        #expect(adjust(&server, own([])).isEmpty)
        let a = own(["TimeZone=CET", "client_encoding=LATIN1"], ["role=app", "lock_timeout=1", "my.x=1", "search_path=x"])
        #expect(
            adjust(&server, a)
                == [
                    "SELECT pg_catalog.set_config('my.x','1',false)", "SELECT pg_catalog.set_config('search_path','x',false)",
                    "SET TimeZone='CET'", "SET lock_timeout='1'", "SET client_encoding='LATIN1'",
                    "SELECT pg_catalog.set_config('role','app',false)",
                ].sorted { left, right in rank(left) < rank(right) })
        #expect(adjust(&server, a).isEmpty && server.adjustedTo === a)
        let b = own(["TimeZone=CET"], ["search_path=y"])
        #expect(
            adjust(&server, b) == [
                "RESET \"role\"", "RESET \"lock_timeout\"", "RESET \"client_encoding\"", "RESET \"my.x\"",
                "SELECT pg_catalog.set_config('search_path','y',false)",
            ])
        #expect(adjust(&server, own([])) == ["RESET \"search_path\"", "RESET \"timezone\""])
        #expect(adjust(&server, own([])).isEmpty)
    }

    private func rank(_ sql: String) -> Int {
        if sql.contains("'role'") { return 5 }
        if sql.contains("client_encoding") { return 4 }
        return sql.contains("_timeout") ? 3 : sql.contains("TimeZone") ? 1 : 2
    }

    @Test("a value that equals the server's own is left alone, and so is its reset")
    func equalToDefault() {
        var server = server()
        #expect(adjust(&server, own(["client_encoding=UTF8", "TimeZone=UTC"])).isEmpty)
        #expect(adjust(&server, own([])).isEmpty)
    }

    @Test("the server's own values change when nobody has set them, and when a reset tells another one")
    func defaults() {
        var server = server()
        let isKept = server.report(Parameter(name: "server_version", value: "18.0"), by: .server, in: table)
        #expect(isKept)
        #expect(server.defaults["server_version"] == "18.0" && server.current["server_version"] == nil)
        _ = adjust(&server, own(["TimeZone=CET"]))
        #expect(server.defaults["TimeZone"] == "UTC" && server.current["TimeZone"] == "CET")
        let none = own([])
        server.adjust(to: none, by: server.changes(to: none))
        _ = server.report(Parameter(name: "TimeZone", value: "Asia/Tokyo"), by: .pooler, in: table)
        #expect(server.defaults["TimeZone"] == "Asia/Tokyo" && server.current["TimeZone"] == "Asia/Tokyo")
    }

    @Test("what a client has set is undone for the next one, and nothing behind DISCARD ALL")
    func setByClient() {
        var server = server()
        _ = server.report(Parameter(name: "DateStyle", value: "SQL, DMY"), by: .client, in: table)
        #expect(server.defaults["DateStyle"] == "ISO, MDY")
        server.follow(own(["DateStyle=SQL, DMY"]))
        #expect(server.changes(to: own([])).map(\.sql) == ["RESET \"datestyle\""])
        server.discard()
        #expect(server.changes(to: own([])).isEmpty)
    }

    @Test("a client whose values were undone for one that was refused gets them again")
    func undoneInVain() {
        var server = server()
        let first = own(["TimeZone=CET"], ["search_path=x"])
        _ = adjust(&server, first)
        server.doubt(server.changes(to: own([], ["log_statement=none"])))
        _ = server.report(Parameter(name: "TimeZone", value: "UTC"), by: .pooler, in: table)
        server.refused("log_statement")
        #expect(server.adjustedTo !== first && server.changes(to: first).count == 2)
    }

    @Test("what may or may not have been set is set again, and what was refused is not reset")
    func doubts() {
        var server = server()
        let wanted = own([], ["log_statement=none", "my.x=1"])
        server.doubt(server.changes(to: wanted))
        #expect(server.changes(to: wanted).count == 2)
        server.refused("log_statement")
        #expect(server.changes(to: own([])).map(\.sql) == ["RESET \"my.x\""])
    }
}
