import Foundation
import Testing

@testable import BenchKit

@Test(arguments: Catalogue.all) func scenariosOfTheCatalogueAreRight(_ scenario: Scenario) throws {
    #expect(scenario.problem == nil)
    #expect(try JSONDecoder().decode(Scenario.self, from: JSONEncoder().encode(scenario)) == scenario)
    #expect(Catalogue.all.count { $0.name == scenario.name } == 1)
}

@Test func familiesAreFound() {
    #expect(Catalogue.named("steady").map(\.name) == ["steady-simple", "steady-extended", "steady-prepared", "steady-pipeline"])
    #expect(Catalogue.named("idle").map(\.name) == ["idle"])
    #expect(Catalogue.named("nonsense").isEmpty)
    #expect(Catalogue.named("all").count == Catalogue.all.count)
}

@Test func whatIsWrongIsSaidWithItsPlace() {
    var scenario = Catalogue.named("serverless")[0]
    scenario.groups[1].arrival = .storms(size: 10, every: 1, within: 2)
    #expect(scenario.problem?.contains("group \"storm\": storms: expected") == true)
    scenario = Catalogue.named("steady-simple")[0]
    scenario.groups[0].clients = 0
    #expect(scenario.problem == "group \"clients\": clients: expected 1 to 50000, found 0")
    scenario.groups[0].clients = 1
    scenario.groups[0].arrival = .open(rate: .nan, spacing: .even)
    #expect(scenario.problem?.contains("rate: expected") == true)
    scenario.groups = []
    #expect(scenario.problem?.contains("groups") == true)
}

@Test func poolersAreReadFromTheCommandLine() throws {
    func read(_ text: String) throws -> PoolerSpec { try PoolerSpec(text) { "default-\($0.rawValue)" } }
    #expect(try read("relay") == PoolerSpec(name: "relay", kind: .relay, binary: "default-relay"))
    #expect(try read("pgbouncer=/opt/x=y") == PoolerSpec(name: "pgbouncer", kind: .pgbouncer, binary: "/opt/x=y"))
    #expect(try read("old:sluice=./a") == PoolerSpec(name: "old", kind: .sluice, binary: "./a"))
    for wrong in ["", "odyssey", "a b:sluice", ":sluice", "x:"] {
        #expect(throws: BenchFailure.self) { try read(wrong) }
    }
}

@Test func straceTablesAreRead() throws {
    let table = """
        % time     seconds  usecs/call     calls    errors syscall
        ------ ----------- ----------- --------- --------- ------------------
         61.22    0.002000           2      1000           sendto
         30.61    0.001000           1      1000         3 recvfrom
          8.17    0.000267           5        50           epoll_wait
        ------ ----------- ----------- --------- --------- ------------------
        100.00    0.003267           1      2050         3 total
        """
    let count = try #require(SystemCallCount(summary: table))
    #expect(count.calls == ["sendto": 1000, "recvfrom": 1000, "epoll_wait": 50])
    #expect(count.result(transactions: 500) == ["sendto": 2, "recvfrom": 2, "epoll_wait": 0.1])
    #expect(count.result(transactions: 0) == nil)
    #expect(SystemCallCount(summary: "strace: attach: ptrace(PTRACE_SEIZE, 1): Operation not permitted") == nil)
}

/// Transactions were counted from the moment strace was started, calls from when it had attached: too few calls for each.
@Test func straceIsWaitedForUntilItSeesEverybody() {
    let said = """
        strace: Process 11 attached with 3 threads
        strace: Process 12 attached
        strace: attach: ptrace(PTRACE_SEIZE, 13): Operation not permitted
        """
    #expect(SystemCallTracer.attached(in: said) == 2)
    #expect(SystemCallTracer.attached(in: "") == 0)
}

@Test func withEnoughCoresNobodySharesThePoolers() throws {
    #expect(throws: BenchFailure.self) { try CoreBudget(pooler: 3, of: [0, 1]) }
    let few = try CoreBudget(pooler: 1, of: [0, 1])
    #expect(few.pooler == [1] && few.rest == nil)
    #expect(few.words.contains("server and load generator on all cores, so also on the pooler's"))
    let enough = try CoreBudget(pooler: 2, of: [0, 1, 4, 5])
    #expect(enough.pooler == [4, 5] && enough.rest == [0, 1])
    #expect(enough.words.contains("on cores 0,1"))
}

@Test func versionsAreReadFromWhatProgramsPrint() {
    #expect(Lab.version(in: "PgBouncer 1.18.0") == (1, 18))
    #expect(Lab.version(in: "pgpool-II version 4.3.5 (tamahomeboshi)") == (4, 3))
    #expect(Lab.version(in: "no number") == (0, 0))
}

@Test func twoCoresGiveAProgramOfOneThreadTwoProcesses() {
    func plan(_ kind: PoolerSpec.Kind, cores: Int, version: (Int, Int) = (1, 18)) -> PoolerPlan {
        PoolerPlan(
            spec: PoolerSpec(name: "x", kind: kind, binary: "x", extra: ["verbose = 1"]), binary: "/bin/x", folder: "/f", port: 1,
            serverPort: 2,
            clients: 10, tenants: 2, tls: false, cores: cores, spare: 3, secrets: ["app": "SCRAM-SHA-256$x"], version: version)
    }
    let bouncers = plan(.pgbouncer, cores: 2)
    #expect(bouncers.commands == [["/bin/x", "/f/x-1.ini"], ["/bin/x", "/f/x-2.ini"]])
    #expect(
        bouncers.files.filter { $0.name.hasSuffix(".ini") }.allSatisfy {
            $0.text.contains("so_reuseport = 1") && $0.text.contains("default_pool_size = 10\n")
        })
    let sluice = plan(.sluice, cores: 2)
    #expect(sluice.commands == [["/bin/x", "/f/x.ini"]])
    #expect(
        sluice.files.contains {
            $0.text.contains("workers = 2") && $0.text.contains("default_pool_size = 20\n") && $0.text.contains("verbose = 1")
        })
    #expect(
        sluice.files.contains {
            $0.text == "\"app\" \"SCRAM-SHA-256$x\"\n\"sluicebench_1\" \"sluicebench-pw\"\n\"sluicebench_2\" \"sluicebench-pw\"\n"
        })
    // Twenty are not divided by three: together they still are twenty.
    let pools = plan(.pgbouncer, cores: 3).files.flatMap { $0.text.split(separator: "\n") }.filter { $0.hasPrefix("default_pool_size") }
    #expect(pools == ["default_pool_size = 7", "default_pool_size = 7", "default_pool_size = 6"])
    // PgBouncer before 1.21 does not know the setting, and would not start.
    #expect(!plan(.pgbouncer, cores: 1).files.contains { $0.text.contains("max_prepared_statements") })
    #expect(plan(.pgbouncer, cores: 1, version: (1, 25)).files.contains { $0.text.contains("max_prepared_statements = 200") })
}
