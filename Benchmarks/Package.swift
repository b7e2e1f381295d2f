// swift-tools-version: 6.2
import PackageDescription

// The load harness. A package of its own, so that `swift build` of Sluice neither resolves nor builds what only this needs.
//
//   swift build -c release --package-path Benchmarks --product sluicebench

/// Glibc shows two different `fd_set` types unless every C module is imported with the same feature macros.
let gnu: [CSetting] = [.define("_GNU_SOURCE")]

/// As in the package of Sluice itself.
let checked: [SwiftSetting] =
    Context.environment["WARNINGS_AS_ERRORS"] == "1" ? [.treatAllWarnings(as: .error)] : []

let strict: [SwiftSetting] = checked + [.swiftLanguageMode(.v6)]

let package = Package(
    name: "sluice-benchmarks",
    products: [
        .executable(name: "sluicebench", targets: ["sluicebench"]),
        .executable(name: "sluicebench-relay", targets: ["sluicebench-relay"]),
    ],
    dependencies: [
        .package(name: "sluice", path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        // Line 0: libpq's asynchronous API on a libevent loop, child processes, /proc. Pointers stay in here.
        .target(
            name: "LibpqLoop", dependencies: [.product(name: "CLibevent", package: "sluice"), .product(name: "CLibpq", package: "sluice")],
            cSettings: gnu, swiftSettings: strict),

        // Scenarios, schedules, statistics, reports, and the engine that plays a scenario.
        .target(
            name: "BenchKit", dependencies: ["LibpqLoop", .product(name: "Histogram", package: "hdrhistogram-swift")],
            cSettings: gnu, swiftSettings: strict),

        // Programs.
        .executableTarget(
            name: "sluicebench", dependencies: ["BenchKit", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            cSettings: gnu, swiftSettings: strict),
        .executableTarget(name: "sluicebench-relay", path: "Sources/relay", cSettings: gnu),

        .testTarget(name: "BenchKitTests", dependencies: ["BenchKit"], cSettings: gnu, swiftSettings: strict),
    ]
)
