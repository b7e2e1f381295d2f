import Benchmark
import Workloads

/// Each workload, a thousand turns at a time: times are given for one turn.
let benchmarks: @Sendable () -> Void = {
    for workload in Workload.all {
        Benchmark(
            workload.name,
            configuration: .init(metrics: [.wallClock, .throughput], scalingFactor: .kilo, maxDuration: .seconds(2))
        ) { benchmark in
            blackHole(workload.run(benchmark.scaledIterations.count))
        }
    }
}
