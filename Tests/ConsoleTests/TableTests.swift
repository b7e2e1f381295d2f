import Configuration
import Foundation
import PoolCore
import Statistics
import Testing

@testable import Console

@Suite struct TableTests {
    private func facts() -> ConsoleFacts {
        var configuration = Configuration()
        var lab = Database(name: "lab")
        lab.hosts = ["127.0.0.1", "127.0.0.2"]
        configuration.databases = ["lab": lab]
        var counters = PoolCounters()
        counters.totals.logins = 3
        counters.assigned(waited: 500)
        counters.answered(after: 200)
        counters.ended(transactionOf: 300)
        var gauges = PoolGauges()
        gauges.longestWait = 3_000_007
        let pool = PoolStatistics(
            database: "lab", user: "app", counters: counters, period: PeriodTotals(),
            recent: PeriodTotals(totals: counters.totals, duration: 2_000_000),
            gauges: gauges)
        var facts = ConsoleFacts(
            now: 10_000_000, wallNow: 1_700_000_000_000_000, version: "v", configuration: configuration,
            statistics: ProcessStatistics([WorkerStatistics(pools: [pool])]))
        facts.adminState.pausedDatabases = ["lab"]
        var client = ConnectionFacts(isServer: false, id: 255, state: .waiting, connectTime: 1_000_000, requestTime: 0)
        client.queryStart = 7_500_000
        client.held = 9
        facts.connections = [client, ConnectionFacts(isServer: true, id: 4, state: .new, connectTime: 0, requestTime: 0)]
        return facts
    }

    /// An operator asks what `sv_used` is; every column has its answer, and no answer is about a column that is gone.
    @Test func everyColumnHasAMeaning() {
        var used: Set<String> = []
        for topic in ShowTopic.all {
            for column in topic.columns {
                let meaning = topic.meaning(of: column.name)
                #expect(meaning?.hasSuffix(".") == true, "\(topic.name).\(column.name)")
                used.formUnion(["\(topic.name).\(column.name)", column.name])
            }
        }
        for name in ShowTopic.meanings.keys { #expect(used.contains(name), "no topic has \(name)") }
        for column in WaitReport.columns { #expect(WaitReport.meanings[column.name] != nil, "WHY: \(column.name)") }
        #expect(WaitReport.meanings.count == WaitReport.columns.count)
        let statistics = ShowTopic.all.filter { $0.name.hasPrefix("stats") }.flatMap(\.columns).map(\.name)
        for name in ShowTopic.counts.keys { #expect(statistics.contains { $0.hasSuffix(name) }, "no topic has \(name)") }
    }

    @Test func everyRowHasACellForEachColumn() {
        for topic in ShowTopic.all {
            for row in topic.rows(facts()) { #expect(row.count == topic.columns.count, "\(topic.name)") }
            #expect(Set(topic.columns.map(\.name)).count == topic.columns.count)
        }
        let pool = CapacityLedger.PoolKey(database: "d", user: "u")
        var waits = WaitFacts(pool: pool, limits: .init(pool: 1))
        waits.holders = [holder]
        for row in WaitReport.pool(waits, now: 1, for: .stats) { #expect(row.count == WaitReport.columns.count) }
    }

    private var holder: ServerHolder {
        ServerHolder(server: 1, client: 2, applicationName: nil, state: .running, age: 1, transactionAge: 1, statement: "select 'secret'")
    }

    @Test func statementsAreForAdmins() throws {
        var facts = WaitFacts(pool: .init(database: "d", user: "u"), limits: .init(pool: 1))
        facts.holders = [holder]
        var rival = holder
        rival.pool = .init(database: "d", user: "other")
        facts.rivals = [rival]
        let statement = try #require(WaitReport.columns.firstIndex { $0.name == "statement" })
        for (rights, text) in [(Rights.admin, "select 'secret'"), (.stats, WaitReport.hidden)] {
            let rows = WaitReport.pool(facts, now: 1, for: rights).suffix(2)
            #expect(rows.allSatisfy { $0[statement] == .text(text) })
            #expect(rows.map { $0.last } == [.text("u"), .text("other")])
        }
    }

    private func row(_ topic: String, _ index: Int = 0) throws -> [String: String?] {
        let topic = try #require(ShowTopic.named(topic))
        return Dictionary(uniqueKeysWithValues: zip(topic.columns.map(\.name), topic.rows(facts())[index].map(\.text)))
    }

    @Test func cellsFollowTheRules() throws {
        let client = try row("clients")
        #expect(client["user"] == "(nouser)" && client["database"] == "(nodb)" && client["ptr"] == "0xff" && client["link"] == "")
        #expect(client["wait"] == "2" && client["wait_us"] == "500000" && client["type"] == "C")
        #expect(try row("sockets", 1)["state"] == "sv_login")
        #expect(try row("sockets", 0)["pkt_avail"] == "9")
        let pool = try row("pools")
        #expect(pool["maxwait"] == "3" && pool["maxwait_us"] == "7" && pool["load_balance_hosts"] == "round-robin")
        let database = try row("databases")
        #expect(database["paused"] == "1" && database["disabled"] == "0" && database["host"] == "127.0.0.1,127.0.0.2")
        let stats = try row("stats")
        #expect(stats["total_client_login_count"] == "3" && stats["avg_xact_time"] == "300" && stats["avg_wait_time"] == "500")
        #expect(try row("state", 1)["value"] == "no")
    }

    @Test func theLogLineIsPgBouncers() {
        var totals = PoolTotals()
        (totals.transactions, totals.queries, totals.bytesReceived, totals.bytesSent) = (20, 40, 200, 400)
        (totals.transactionTime, totals.queryTime, totals.waitTime, totals.assignments) = (2000, 2000, 100, 20)
        (totals.clientParses, totals.serverParses, totals.binds) = (10, 2, 30)
        #expect(
            ShowTopic.logLine(PeriodTotals(totals: totals, duration: 2_000_000))
                == "stats: 10 xacts/s, 20 queries/s, 5 client parses/s, 1 server parses/s, 15 binds/s, in 100 B/s, out 200 B/s, "
                + "xact 100 us, query 50 us, wait 5 us")
    }

    @Test func selectionFiltersAndSorts() {
        let columns = Column.list("name:t n:i")
        let table = ConsoleTable(
            columns: columns,
            rows: [[.text("b"), .integer(10)], [.text("a"), .integer(9)], [.null, .integer(9)], [.text("c"), .integer(100)]])
        var selection = Selection()
        selection.orders = [.init(column: "n", isDescending: true), .init(column: "name", isDescending: false)]
        #expect(table.selected(selection).rows.map { $0[0].text } == ["c", "b", "a", nil])
        selection.conditions = [.init(column: "n", value: "9")]
        selection.orders = []
        #expect(table.selected(selection).rows.map { $0[0].text } == ["a", nil])
        selection.conditions.append(.init(column: "name", value: "a"))
        #expect(table.selected(selection).rows.count == 1)
    }

    @Test(
        arguments: [
            (0, [0, 0, 0, 0, 0, 0, 0, 0]), (1, [0, 1, 0, 0, 0, 0, 0, 0, 0, 1]), (10_000, [0, 1, 0, 1, 0, 0, 0, 0, 0, 1]),
            (-70_001, [0, 2, 0, 1, 0x40, 0, 0, 0, 0, 7, 0, 1]),
        ] as [(Int64, [UInt8])])
    func numericInBinary(number: Int64, expected: [UInt8]) {
        #expect(ColumnType.numeric.bytes(of: .integer(number), isBinary: true) == expected)
    }

    @Test func otherTypesInBinary() {
        #expect(ColumnType.integer.bytes(of: .integer(-2), isBinary: true) == [255, 255, 255, 254])
        #expect(ColumnType.bigInteger.bytes(of: .integer(258), isBinary: true) == [0, 0, 0, 0, 0, 0, 1, 2])
        #expect(ColumnType.text.bytes(of: .text("12"), isBinary: true) == Array("12".utf8))
        #expect(ColumnType.integer.bytes(of: .null, isBinary: true) == nil)
    }

    /// The committed page says what the table says; `make docs` writes it anew.
    @Test func theReferenceIsUpToDate() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let isSame = try String(contentsOf: root.appending(path: "docs/console.md"), encoding: .utf8) == CommandTable.markdown()
        #expect(isSame, "docs/console.md is not what the table of commands says: run `make docs`")
    }
}
