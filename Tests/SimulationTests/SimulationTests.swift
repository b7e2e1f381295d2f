import Simulation
import Testing

/// Whether the simulator can be trusted: what it shows can be shown again, and it shows what is there.
@Suite(.serialized) struct SimulationTests {
    @Test(arguments: [1, 2, 3, 4]) func aSeedIsTheSameEachTime(_ seed: Int) async throws {
        let first = try await Simulator.run("--seed", "\(seed)")
        let second = try await Simulator.run("--seed", "\(seed)")
        try #require(first.status == 0, "\(first.output)")
        #expect(first.hash != nil && first.hash == second.hash)
        #expect(first.steps == second.steps)
        // Not because nothing depends on it.
        #expect(try await Simulator.run("--seed", "\(seed + 1)").hash != first.hash)
    }

    /// What was played before in the same process, and whether somebody looks on, makes no difference.
    @Test func aSeedIsTheSameAmongOthers() async throws {
        let alone = try await Simulator.run("--seed", "7")
        let behind = try await Simulator.run("--seed", "5", "--count", "3")
        let watched = try await Simulator.run("--seed", "7", "--lines", "10")
        #expect(alone.hash != nil && alone.hash == behind.hash && alone.hash == watched.hash)
    }

    /// Each in one of a few worlds: in a single one there may be no opportunity for it.
    @Test(arguments: PlantedFault.allCases) func whatIsWrongIsFound(_ fault: PlantedFault) async throws {
        let outcome = try await Simulator.run("--seed", "100", "--count", "40", "--plant", fault.rawValue)
        #expect(outcome.status != 0, "\(fault) was not found:\n\(outcome.output)")
    }

    /// Seeds that have shown faults, and what those were. A seed means another world once the simulator has changed; the worlds are played
    /// all the same.
    @Test(arguments: FoundSeed.all) func aSeedThatHasShownAFault(_ found: FoundSeed) async throws {
        let outcome = try await Simulator.run("--seed", "\(found.seed)")
        #expect(outcome.status == 0, "\(found.story):\n\(outcome.output)")
    }
}
