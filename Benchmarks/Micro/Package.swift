// swift-tools-version: 6.2
import PackageDescription

// Wall-clock microbenchmarks. A package of its own because ordo-one/benchmark is needed by nothing else:
//
//   swift package --package-path Benchmarks/Micro benchmark
//
// Where wall time is noise, Benchmarks/instructions.py counts the same workloads' instructions.
let package = Package(
    name: "sluice-microbenchmarks",
    dependencies: [
        .package(name: "sluice", path: "../.."),
        // No traits: its interposers of malloc and of the runtime are not wanted (and its malloc counts then mean nothing).
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
    ],
    targets: [
        .executableTarget(
            name: "PoolerBenchmarks",
            dependencies: [.product(name: "Benchmark", package: "benchmark"), .product(name: "Workloads", package: "sluice")],
            path: "Benchmarks/PoolerBenchmarks",
            swiftSettings: [.swiftLanguageMode(.v6)],
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")])
    ]
)
