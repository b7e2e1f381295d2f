/// The scenarios that come with sluicebench. `sluicebench scenarios NAME` prints one as JSON, to be changed and given to `--file`.
public enum Catalogue {
    public static let all: [Scenario] =
        QueryMode.allCases.map(steady) + QueryMode.allCases.map(saturated) + [
            Scenario(
                name: "serverless",
                summary: "function instances: connect, one to three transactions, leave; one in ten freezes; storms of arrivals",
                seed: 11, seconds: 10, warmup: 2,
                groups: [
                    ClientGroup(
                        name: "trickle", clients: 300, arrival: .open(rate: 40, spacing: .poisson),
                        session: .serverless(least: 1, most: 3, freezeShare: 0.1, frozenSeconds: 5), work: .select, mode: .extended),
                    ClientGroup(
                        name: "storm", clients: 300, arrival: .storms(size: 60, every: 3, within: 0.1),
                        session: .serverless(least: 1, most: 3, freezeShare: 0.1, frozenSeconds: 5), work: .select, mode: .extended),
                ]),
            Scenario(
                name: "transactions", summary: "TPC-B like, with 2 ms of thinking inside each transaction", seed: 12, seconds: 10,
                warmup: 2,
                groups: [
                    ClientGroup(
                        name: "tellers", clients: 200, arrival: .open(rate: 300, spacing: .poisson), work: .tpcb(think: 0.002),
                        mode: .simple)
                ]),
            Scenario(
                name: "bulk", summary: "results of 20,000 rows (2.4 MB), COPY out and in", seed: 13, seconds: 10, warmup: 1,
                groups: [
                    ClientGroup(
                        name: "bulk", clients: 4, arrival: .closed(think: 0),
                        work: .mix([.result(rows: 20_000), .copyOut(rows: 20_000), .copyIn(rows: 20_000)]), mode: .simple)
                ]),
            Scenario(
                name: "mixed", summary: "30 small tenants, and one greedy client program beside them", seed: 14, seconds: 10, warmup: 2,
                groups: [
                    ClientGroup(
                        name: "small", clients: 120, tenants: 30, arrival: .open(rate: 300, spacing: .poisson), work: .select,
                        mode: .extended),
                    ClientGroup(name: "greedy", clients: 100, arrival: .closed(think: 0), work: .sleep(seconds: 0.005), mode: .simple),
                ]),
            Scenario(
                name: "logins", summary: "connect, one query, leave, at once again", seed: 15, seconds: 5, warmup: 1,
                groups: [
                    ClientGroup(
                        name: "logins", clients: 8, arrival: .closed(think: 0),
                        session: .serverless(least: 1, most: 1, freezeShare: 0, frozenSeconds: 0), work: .select, mode: .simple)
                ]),
            Scenario(
                name: "idle", summary: "memory for each idle client, before and after all of them ask at once", seed: 16, seconds: 4,
                warmup: 0,
                groups: [ClientGroup(name: "idle", clients: 2000, arrival: .once(at: 0), work: .select, mode: .simple)]),
            Scenario(
                name: "chaos", summary: "backends killed, the server restarted, clients gone, cancels; every row checked", seed: 17,
                seconds: 15, warmup: 1, timeout: 15,
                groups: [
                    ClientGroup(
                        name: "readers", clients: 100, arrival: .open(rate: 500, spacing: .poisson),
                        work: .mix([.select, .selects(3), .result(rows: 200)]), mode: .extended),
                    ClientGroup(
                        name: "prepared", clients: 60, arrival: .open(rate: 300, spacing: .poisson), work: .select, mode: .prepared),
                    ClientGroup(
                        name: "writers", clients: 40, arrival: .open(rate: 60, spacing: .poisson),
                        work: .mix([.tpcb(think: 0.001), .copyIn(rows: 50), .copyOut(rows: 50)]), mode: .simple),
                    ClientGroup(
                        name: "sleepers", clients: 10, arrival: .closed(think: 0.01), work: .sleep(seconds: 0.3), mode: .simple),
                    ClientGroup(
                        name: "pipeliners", clients: 20, arrival: .open(rate: 60, spacing: .poisson), work: .selects(5), mode: .pipeline),
                ],
                faults: [
                    .killBackends(count: 2, every: 1), .clientsVanish(count: 3, every: 0.5), .cancels(count: 2, every: 0.2),
                    .restartServer(at: 7),
                ]),
        ]

    private static func steady(_ mode: QueryMode) -> Scenario {
        Scenario(
            name: "steady-\(mode)", summary: "64 clients, 2,000 transactions a second, \(words(mode))", seed: 1, seconds: 10, warmup: 2,
            groups: [
                ClientGroup(
                    name: "clients", clients: 64, arrival: .open(rate: 2000, spacing: .poisson),
                    work: mode == .pipeline ? .selects(5) : .select,
                    mode: mode)
            ])
    }

    private static func saturated(_ mode: QueryMode) -> Scenario {
        Scenario(
            name: "saturated-\(mode)", summary: "64 clients who ask again at once, \(words(mode))", seed: 2, seconds: 5, warmup: 1,
            groups: [
                ClientGroup(
                    name: "clients", clients: 64, arrival: .closed(think: 0), work: mode == .pipeline ? .selects(5) : .select, mode: mode)
            ])
    }

    private static func words(_ mode: QueryMode) -> String {
        switch mode {
        case .simple: "simple queries"
        case .extended: "extended protocol, unnamed statement"
        case .prepared: "prepared statements"
        case .pipeline: "five statements in a pipeline"
        }
    }

    /// Those of a name, or of a family: `steady` is all four modes.
    public static func named(_ name: String) -> [Scenario] {
        if name == "all" { return all }
        let exact = all.filter { $0.name == name }
        return exact.isEmpty ? all.filter { $0.name.hasPrefix(name + "-") } : exact
    }
}
