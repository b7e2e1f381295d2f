import LibpqLoop

/// How long a comparison will go on: what its scenarios say, stretched by what the runs so far have really taken.
struct ComparisonClock {
    private let scenarios: [Scenario]
    private let poolers: Int
    private let rounds: Int
    private let began: Double
    /// Runs of the scenario in progress that are over, and the seconds that all runs until now were to take.
    private var done = 0
    private var current: String?
    private var planned = 0.0

    /// What a run takes beside its load, until it is known better: logins, and the wait for what is still on its way.
    private static let around = 0.5

    init(_ plan: Comparer.Plan, now: Double = Double(Loop.now) / 1e9) {
        scenarios = plan.scenarios
        poolers = plan.poolers.count
        rounds = plan.rounds
        began = now
    }

    private static func plan(_ scenario: Scenario) -> Double {
        // A burst waits for memory to settle, before and after.
        scenario.warmup + scenario.seconds + around + (scenario.isBurst ? 3 : 0)
    }

    private func stretch(_ now: Double) -> Double { planned > 0 ? min(10, max(1, (now - began) / planned)) : 1 }

    /// A run is over.
    mutating func ended(_ scenario: Scenario) {
        if current != scenario.name { (current, done) = (scenario.name, 0) }
        done += 1
        planned += Self.plan(scenario)
    }

    /// Seconds that one run of a scenario takes.
    func length(_ scenario: Scenario, now: Double = Double(Loop.now) / 1e9) -> Double { Self.plan(scenario) * stretch(now) }

    /// Seconds that all takes which comes behind the run that begins now. `poolers`: how many take part in this scenario.
    func behind(_ scenario: Scenario, round: Int, poolers: Int, now: Double = Double(Loop.now) / 1e9) -> Double {
        let done = current == scenario.name ? done : 0
        var seconds = Self.plan(scenario) * Double(max(0, rounds * poolers - done - 1))
        if let place = scenarios.firstIndex(of: scenario) {
            for later in scenarios[(place + 1)...] { seconds += Self.plan(later) * Double(rounds * self.poolers) }
        }
        return seconds * stretch(now)
    }
}
