import Configuration
import Testing

@testable import sluicectl

@Suite struct DoctorRulesTests {
    private let place = "127.0.0.1:5432"

    private func configuration(_ body: (inout Configuration) -> Void = { _ in }) -> Configuration {
        var configuration = Configuration()
        configuration.settings.defaultPoolSize = 20
        configuration.settings.idleTransactionTimeout = 60_000_000
        configuration.settings.queryTimeout = 60_000_000
        var database = Database(name: "app")
        database.hosts = ["127.0.0.1"]
        configuration.databases["app"] = database
        configuration.userList = UserList(secrets: ["web": "pw"])
        body(&configuration)
        return configuration
    }

    private func facts(_ body: (inout ServerFacts) -> Void = { _ in }) -> [String: ServerFacts] {
        var facts = ServerFacts(place: place)
        facts.roles["web"] = ServerFacts.Role()
        facts.databases["app"] = ServerFacts.Catalogue()
        body(&facts)
        return [place: facts]
    }

    private func problems(_ configuration: Configuration, _ facts: [String: ServerFacts]) -> [Finding] {
        DoctorRules.findings(configuration, facts).filter { $0.level != .note }
    }

    @Test func whatFitsHasNoProblems() {
        #expect(problems(configuration(), facts()).isEmpty)
    }

    @Test func aPoolLargerThanTheServer() throws {
        let found = problems(configuration { $0.settings.defaultPoolSize = 98 }, facts())
        let error = try #require(found.first)
        #expect(error.level == .error && error.subject == "pool app/web")
        #expect(error.text.contains("98") && error.text.contains("97") && error.remedy.contains("97"))
    }

    @Test func theReserveCounts() {
        let found = problems(
            configuration {
                $0.settings.defaultPoolSize = 90
                $0.settings.reservePoolSize = 8
            }, facts())
        #expect(found.first?.level == .error)
    }

    @Test func superusersMayUseReservedSlots() {
        let found = problems(configuration { $0.settings.defaultPoolSize = 100 }, facts { $0.roles["web"]?.isSuperuser = true })
        #expect(!found.contains { $0.level == .error })
    }

    @Test func poolsThatFitAloneButNotTogether() throws {
        let found = problems(
            configuration { configuration in
                for name in ["a", "b", "c", "d", "e"] {
                    configuration.databases[name] = configuration.databases["app"]?.instance(named: name)
                }
            },
            facts { facts in
                for name in ["a", "b", "c", "d", "e"] { facts.databases[name] = ServerFacts.Catalogue() }
            })
        let warning = try #require(found.first)
        #expect(found.count == 1 && warning.level == .warning)
        #expect(warning.text.contains("6 pools may take 120"))
        #expect(warning.remedy.contains("default_pool_size = 16"))
    }

    @Test func limitsOfThePoolerBoundTheSum() {
        let found = problems(
            configuration { configuration in
                configuration.settings.maxUserConnections = 50
                for name in ["a", "b", "c", "d", "e"] {
                    configuration.databases[name] = configuration.databases["app"]?.instance(named: name)
                }
            },
            facts { facts in
                for name in ["a", "b", "c", "d", "e"] { facts.databases[name] = ServerFacts.Catalogue() }
            })
        #expect(found.isEmpty)
    }

    @Test func connectionLimits() {
        let role = problems(configuration(), facts { $0.roles["web"]?.connectionLimit = 5 })
        #expect(role.map(\.subject) == ["user web"] && role[0].level == .error && role[0].remedy.contains("max_user_connections = 5"))
        let database = problems(configuration(), facts { $0.databases["app"]?.connectionLimit = 7 })
        #expect(database.map(\.subject) == ["database app"] && database[0].remedy.contains("max_db_connections = 7"))
        let fits = problems(configuration { $0.settings.maxUserConnections = 5 }, facts { $0.roles["web"]?.connectionLimit = 5 })
        #expect(fits.isEmpty)
    }

    @Test func whatIsMissing() {
        #expect(problems(configuration(), facts { $0.databases = [:] }).map(\.subject) == ["database app"])
        #expect(problems(configuration(), facts { $0.roles["web"]?.canLogIn = false }).map(\.subject) == ["pool app/web"])
        let forced = configuration { $0.databases["app"]?.forcedUser = "nobody" }
        #expect(problems(forced, facts()).map(\.text) == ["there is no role \"nobody\" on \(place)"])
    }

    @Test func timeouts() {
        let idle = problems(configuration(), facts { $0.idleSessionTimeout = 300_000 })
        #expect(idle.count == 1 && idle[0].remedy.contains("server_idle_timeout = 150"))
        #expect(problems(configuration(), facts { $0.idleSessionTimeout = 900_000 }).isEmpty)
        let statement = problems(configuration(), facts { $0.databases["app"]?.settings["statement_timeout"] = "2min" })
        #expect(statement.count == 1 && statement[0].text.contains("120 s"))
        #expect(problems(configuration(), facts { $0.statementTimeout = 30_000 }).isEmpty)
    }

    @Test func encryption() {
        let found = problems(configuration { $0.settings.serverTlsSslmode = .verifyFull }, facts())
        #expect(found.count == 1 && found[0].level == .error)
        #expect(problems(configuration { $0.settings.serverTlsSslmode = .require }, facts { $0.speaksTLS = true }).isEmpty)
    }

    @Test(arguments: [("30s", 30_000), ("1500", 1500), ("2min", 120_000), ("1.5s", 1500), ("0", 0), ("", 0), ("1 h", 3_600_000)])
    func timesOfPostgreSQL(text: String, milliseconds: Int) {
        #expect(ServerFacts.milliseconds(text) == milliseconds)
    }
}
