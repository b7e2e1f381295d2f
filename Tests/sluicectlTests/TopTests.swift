import Terminal
import Testing

@testable import sluicectl

@Suite struct TopTests {
    private func sample(_ time: Double, queries: Double = 0) -> TopSample {
        var sample = TopSample(time: time)
        sample.version = "Sluice"
        sample.pools = [
            TopSample.Pool(database: "app", user: "web", clientsActive: 3, clientsWaiting: 2, serversActive: 3, longestWait: 1_500_000),
            TopSample.Pool(database: "漢字", user: "a\u{1b}[2Jb", serversIdle: 1),
        ]
        sample.databases["app"] = TopSample.Counts(transactions: queries, queries: queries * 2, received: queries * 1000, sent: 0)
        sample.clients = (1...40).map {
            [
                "id": "\($0)", "database": "app", "user": "web", "state": "waiting", "wait": "\($0)", "addr": "10.0.0.1",
                "application_name": "x",
            ]
        }
        sample.waits = [
            TopSample.PoolName(database: "app", user: "web"): [
                .init(from: 0, upTo: 1000, count: queries * 0.9), .init(from: 1000, upTo: 2000, count: queries * 0.1),
            ]
        ]
        sample.errors = ["client: query_wait_timeout": queries / 10]
        sample.why = ["limit: default_pool_size"]
        return sample
    }

    private func model() -> TopModel {
        var model = TopModel()
        model.take(sample(0))
        model.take(sample(10, queries: 1000))
        return model
    }

    @Test(arguments: [(80, 24), (40, 10), (20, 6), (200, 60), (81, 7)]) func fitsTheTerminal(columns: Int, rows: Int) {
        var model = model()
        for view in ["1", "2", "3", "4", "?"] as [Character] {
            _ = model.press(.character(view))
            let size = Terminal.Size(columns: columns, rows: rows)
            let lines = TopScreen.lines(model, size: size, place: "127.0.0.1:6543", clock: "12:00:00", colours: false)
            #expect(lines.count == rows)
            for line in lines { #expect(TerminalText.width(line) <= columns, "\(line)") }
        }
    }

    @Test func ratesAndPercentiles() throws {
        let rates = try #require(model().rates)
        #expect(rates.total.transactions == 100 && rates.total.queries == 200)
        #expect(try #require(rates.wait(0.5)) < 1000)
        #expect(abs(try #require(rates.wait(0.95)) - 1500) < 1)
        #expect(rates.errors[0].rate == 10)
    }

    @Test func percentilesAreOfTheTimeInBetween() throws {
        var before = sample(0)
        before.waits = [TopSample.PoolName(database: "app", user: "web"): [.init(from: 8, upTo: 10, count: 5000)]]
        var after = sample(1)
        after.waits = [
            TopSample.PoolName(database: "app", user: "web"): [
                .init(from: 8, upTo: 10, count: 5000), .init(from: 700, upTo: 800, count: 100),
            ]
        ]
        let rates = TopRates(from: before, to: after)
        #expect(try #require(rates.wait(0.5)) == 750)
        #expect(TopRates(from: after, to: after).wait(0.5) == nil)
    }

    @Test func screenTellsWhoWaitsAndWhy() {
        let text = TopScreen.lines(model(), size: .init(columns: 80, rows: 24), place: "here", clock: "", colours: false).joined(
            separator: "\n")
        #expect(text.contains("40s") && text.contains("client 40") && text.contains("limit: default_pool_size"))
        #expect(!text.contains("\u{1b}"))
    }

    /// What the console is asked, by `top` itself first of all, is no traffic, and operators are no clients of the pools.
    @Test func theConsoleIsNotCounted() throws {
        var (before, after) = (sample(0), sample(10, queries: 1000))
        after.pools.append(TopSample.Pool(database: "pgbouncer", user: "pgbouncer", clientsActive: 7))
        before.databases["pgbouncer"] = TopSample.Counts()
        after.databases["pgbouncer"] = TopSample.Counts(transactions: 900, queries: 900, received: 9, sent: 9)
        #expect(TopRates(from: before, to: after).total.transactions == 100)
        var model = TopModel()
        model.take(before)
        model.take(after)
        let lines = TopScreen.lines(model, size: .init(columns: 80, rows: 24), place: "here", clock: "", colours: false)
        #expect(lines[1] == "Clients  5 connected   2 waiting")
    }

    @Test func theChosenPoolIsExplained() {
        var sample = sample(0)
        sample.clients.append(["id": "77", "database": "other", "user": "web", "state": "waiting", "wait": "90"])
        sample.whyPool = TopSample.PoolName(database: "app", user: "web")
        sample.held = ["app": "paused"]
        var model = TopModel()
        model.take(sample)
        #expect(model.selectedPool == sample.whyPool)
        #expect(model.press(.down) == .refresh)
        #expect(model.selectedPool?.database == "漢字")
        let text = TopScreen.lines(model, size: .init(columns: 80, rows: 24), place: "here", clock: "", colours: false).joined(
            separator: "\n")
        #expect(text.contains("WAITING: 40 of 41, in pool app/web, the longest first"))
        #expect(!text.contains("client 77") && text.contains("app (paused)"))
    }

    @Test func serversSayWhoHasThem() {
        var sample = sample(0)
        sample.servers = [
            ["id": "19", "ptr": "0x13", "link": "0x12", "state": "active", "wait": "3", "wait_us": "0", "addr": "10.0.0.9"],
            ["id": "20", "ptr": "0x14", "link": "", "state": "idle", "wait": "0", "wait_us": "0"],
        ]
        var model = TopModel()
        _ = model.press(.character("3"))
        model.take(sample)
        #expect(model.rows.map { Array($0.cells.suffix(2)) } == [["18", "3s"], ["-", "-"]])
        // PgBouncer's pointers are addresses.
        sample.servers[0]["ptr"] = "0x55d0aa"
        model.take(sample)
        #expect(model.rows[0].cells[6] == "0x12")
    }

    @Test func pausingAsksFirst() {
        var model = model()
        #expect(model.press(.character("p")) == .none)
        #expect(model.promptText?.contains("app") == true)
        #expect(model.press(.character("n")) == .none)
        #expect(model.promptText == nil)
        _ = model.press(.character("p"))
        #expect(model.press(.character("y")) == .send("PAUSE \"app\""))
        _ = model.press(.character("2"))
        _ = model.press(.character("k"))
        #expect(model.press(.character("y")) == .send("KILL_CLIENT 40"))
    }

    @Test func filterAndSort() {
        var model = model()
        _ = model.press(.character("2"))
        #expect(model.rows.first?.client == "40")
        _ = model.press(.character("S"))
        #expect(model.rows.first?.client == "1")
        for key in [.character("/"), .character("3"), .character("7"), .enter] as [Key] { _ = model.press(key) }
        #expect(model.rows.map(\.client) == ["37"])
        #expect(model.press(.character("q")) == .quit)
    }

    @Test func figures() {
        #expect(
            [0, 850, 1200, 35_400, 1_200_000, 90_000_000, 1_800_000_000].map(Figures.time) == [
                "0", "850us", "1.2ms", "35ms", "1.2s", "90s", "30m",
            ])
        #expect([7, 999, 1234, 34_900, 1_200_000].map(Figures.count) == ["7", "999", "1.2k", "35k", "1.2M"])
    }
}
