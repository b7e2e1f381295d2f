#if DEBUG

    /// How a simulation is run.
    public struct SimulationOptions {
        /// So many of the last steps are kept as text.
        public var lines = 0
        /// The pooler's log goes to this file.
        public var log: String?
        /// Is put into the world, to be found.
        public var fault: PlantedFault?

        public init() {}
    }

    /// What has become of one.
    public struct SimulationReport {
        public let seed: UInt64
        /// Of the trace: the same for two runs of a seed.
        public let hash: UInt64
        /// Things that have happened.
        public let steps: Int
        /// What was wrong first, with the step; nil: nothing.
        public let failure: String?
        /// The last steps.
        public let lines: [String]
        /// What the world was like.
        public let summary: String
        /// Virtual time that has passed (microseconds).
        public let time: Int64
        /// Clients that have logged in.
        public let logins: Int
        /// How clients have ended, and how many.
        public let farewells: [String: Int]
    }

    /// Plays worlds.
    public enum Simulation {
        /// Plays the world of a seed to its end. One at a time, and nobody else in the process may use tasks meanwhile.
        public static func run(seed: UInt64, _ options: SimulationOptions = SimulationOptions()) throws -> SimulationReport {
            let world = try World(seed: seed, options: options)
            let begin = world.now
            try world.play()
            let report = SimulationReport(
                seed: seed, hash: world.trace.hash, steps: world.trace.steps, failure: world.failure, lines: world.trace.last,
                summary: world.plan.summary, time: world.now - begin, logins: world.logins, farewells: world.farewells)
            world.end()
            return report
        }
    }

#endif
