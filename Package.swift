// swift-tools-version: 6.2
import PackageDescription

// Rooms import downwards only; docs/architecture.md tells what lives in each and why the walls stand where they do.

/// Glibc shows two different `fd_set` types unless every C module is imported with the same feature macros.
let gnu: [CSetting] = [.define("_GNU_SOURCE")]

/// A newer compiler that warns of more must still build a release: warnings are errors where .ci/run asks for it.
let checked: [SwiftSetting] =
    Context.environment["WARNINGS_AS_ERRORS"] == "1" ? [.treatAllWarnings(as: .error)] : []

let strict: [SwiftSetting] =
    checked + [
        .swiftLanguageMode(.v6),
        .enableExperimentalFeature("Lifetimes"),
        // A room's small functions may become part of the rooms above it: 3 to 6 % fewer instructions a transaction.
        .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release)),
    ]

/// For the rooms that read hostile bytes: no unsafe construct compiles.
let safe: [SwiftSetting] = strict + [.strictMemorySafety(), .treatWarning("StrictMemorySafety", as: .error)]

/// For the rooms on the query path: the run-time check of exclusive access costs 8 % of the pooler's own instructions, and what is
/// exempt from it one by one (`@exclusivity(unchecked)`) is copied instead of borrowed. Debug builds, and so the unit tests, check.
let fast: [SwiftSetting] = [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))]

let package = Package(
    name: "sluice",
    products: [
        .executable(name: "sluice", targets: ["sluice"]),
        // For Benchmarks/, a package of its own: what it needs burdens nobody who only builds Sluice.
        .library(name: "Workloads", targets: ["Workloads"]),
        .library(name: "CLibevent", targets: ["CLibevent"]),
        .library(name: "CLibpq", targets: ["CLibpq"]),
        .executable(name: "sluicectl", targets: ["sluicectl"]),
    ],
    traits: [
        .trait(name: "PAM", description: "auth_type = pam, through libpam"),
        .trait(name: "LDAP", description: "auth_type = ldap, through libldap"),
        .default(enabledTraits: ["PAM", "LDAP"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    ],
    targets: [
        // Line 0: libevent and OpenSSL in Swift clothes; libpq is for programs that are clients of PostgreSQL themselves.
        .systemLibrary(name: "CLibevent", pkgConfig: "libevent_core", providers: [.apt(["libevent-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CLibpq", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CPAM", pkgConfig: "pam", providers: [.apt(["libpam0g-dev"])]),
        .systemLibrary(name: "CLDAP", pkgConfig: "ldap", providers: [.apt(["libldap-dev"])]),
        .target(
            name: "PAM", dependencies: [.target(name: "CPAM", condition: .when(traits: ["PAM"]))], cSettings: gnu, swiftSettings: strict),
        .target(
            name: "LDAP", dependencies: [.target(name: "CLDAP", condition: .when(traits: ["LDAP"]))], cSettings: gnu, swiftSettings: strict),
        .systemLibrary(name: "CSignalDescriptor"),
        .target(name: "PostgresClient", dependencies: ["CLibpq"], cSettings: gnu, swiftSettings: strict),
        .target(name: "Terminal", dependencies: ["CSignalDescriptor", "Bytes"], cSettings: gnu, swiftSettings: strict),
        .target(name: "CRevision"),
        .target(name: "Revision", dependencies: ["CRevision"], swiftSettings: strict),
        .target(name: "Bytes", swiftSettings: strict),
        .target(name: "Locking", swiftSettings: strict),
        .target(name: "JSON", dependencies: ["Bytes"], swiftSettings: strict),
        .target(
            name: "EventLoop",
            dependencies: ["CLibevent", "Locking", "Bytes", .product(name: "DequeModule", package: "swift-collections")], cSettings: gnu,
            swiftSettings: strict + fast),
        .target(name: "Compression", dependencies: ["CZlib"], cSettings: gnu, swiftSettings: strict),
        .target(name: "TLS", dependencies: ["COpenSSL", "Locking"], cSettings: gnu, swiftSettings: strict + fast),

        // Line 1: bytes to values and back.
        .target(name: "PostgresWire", dependencies: ["Bytes"], swiftSettings: safe),
        .target(name: "Authentication", dependencies: ["PostgresWire", "TLS", "Bytes"], swiftSettings: safe),
        .target(name: "Configuration", dependencies: ["Bytes"], swiftSettings: safe),
        .target(name: "Statistics", dependencies: ["Bytes"], swiftSettings: safe),

        // Line 2: decisions as values.
        .target(
            name: "PoolCore",
            dependencies: [
                "Authentication", "PostgresWire", "Configuration", "Statistics", "Bytes", "Locking",
                .product(name: "DequeModule", package: "swift-collections"),
            ],
            swiftSettings: safe),

        .target(name: "Passwords", dependencies: ["Configuration", "EventLoop"], swiftSettings: strict),

        // Line 3: what operators see.
        .target(
            name: "Telemetry", dependencies: ["Bytes", "EventLoop", "JSON", "Locking", "PostgresWire"], cSettings: gnu,
            swiftSettings: strict),

        .target(
            name: "Console", dependencies: ["PoolCore", "PostgresWire", "Configuration", "Statistics", "EventLoop", "Bytes"],
            swiftSettings: safe),
        .target(
            name: "Monitoring", dependencies: ["Statistics", "EventLoop", "Compression", "Bytes", "JSON"],
            resources: [.embedInCode("Resources/page.html")], swiftSettings: strict),

        // Line 4: sockets meet decisions.
        .target(
            name: "Pooler",
            dependencies: [
                "Console", "Monitoring", "Telemetry", "PoolCore", "PostgresWire", "Authentication", "Configuration", "Statistics",
                "EventLoop", "Passwords", "TLS", "PAM", "LDAP", "Bytes", "Locking",
            ], cSettings: gnu, swiftSettings: strict + fast),

        // Line 5: programs.
        .executableTarget(
            name: "sluice",
            dependencies: [
                "Bytes", "Console", "Monitoring", "Pooler", "Configuration", "EventLoop", "TLS", "Telemetry", "Revision",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            cSettings: gnu, swiftSettings: strict),
        .executableTarget(
            name: "sluicectl",
            dependencies: [
                "Console", "Configuration", "EventLoop", "JSON", "Passwords", "PostgresClient", "Terminal", "Revision",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            cSettings: gnu, swiftSettings: strict),

        // What a transaction costs, counted in instructions (Benchmarks/instructions.py), and the same for wall clocks (Benchmarks/Micro).
        .target(
            name: "Workloads", dependencies: ["Authentication", "Bytes", "PoolCore", "PostgresWire", "Statistics"],
            path: "Benchmarks/Workloads", swiftSettings: strict),
        .executableTarget(name: "instructions", dependencies: ["Workloads"], path: "Benchmarks/Instructions", swiftSettings: strict),

        // A PostgreSQL for tests of decisions, and the same as a program, which Tests/differential compares with the real one.
        .target(name: "ModelPostgres", dependencies: ["PostgresWire"], path: "Tests/ModelPostgres", swiftSettings: strict),
        .executableTarget(name: "model-postgres", dependencies: ["ModelPostgres"], path: "Tests/ModelServer", swiftSettings: strict),

        // The daemon in a world that can be replayed (debug builds; empty in release builds).
        .target(
            name: "Simulation",
            dependencies: [
                "Pooler", "PoolCore", "PostgresWire", "Authentication", "Configuration", "Statistics", "EventLoop", "TLS", "Telemetry",
                "Bytes", "CLibevent", "ModelPostgres",
            ], cSettings: gnu, swiftSettings: strict),
        .executableTarget(name: "simulate", dependencies: ["Simulation"], cSettings: gnu, swiftSettings: strict),

        .testTarget(name: "PostgresWireTests", dependencies: ["PostgresWire"], swiftSettings: strict),
        .testTarget(name: "BytesTests", dependencies: ["Bytes"], swiftSettings: strict),
        .testTarget(name: "JSONTests", dependencies: ["JSON"], swiftSettings: strict),
        .testTarget(name: "CompressionTests", dependencies: ["Compression", "CZlib"], cSettings: gnu, swiftSettings: strict),
        // Certificates that tests make on the spot.
        .target(
            name: "TLSCredentials", dependencies: ["COpenSSL", "TLS"], path: "Tests/TLSCredentials", cSettings: gnu, swiftSettings: strict),
        .testTarget(name: "TLSTests", dependencies: ["TLS", "TLSCredentials"], cSettings: gnu, swiftSettings: strict),
        .testTarget(
            name: "AuthenticationTests", dependencies: ["Authentication", "PostgresWire", "Bytes"], cSettings: gnu, swiftSettings: strict),
        .testTarget(name: "ConfigurationTests", dependencies: ["Configuration", "Bytes"], swiftSettings: strict),
        .testTarget(name: "StatisticsTests", dependencies: ["Statistics"], swiftSettings: strict),
        .testTarget(name: "ConsoleTests", dependencies: ["Console"], cSettings: gnu, swiftSettings: strict),
        .testTarget(name: "PoolCoreTests", dependencies: ["PoolCore", "ModelPostgres"], cSettings: gnu, swiftSettings: strict),
        .testTarget(name: "TelemetryTests", dependencies: ["Telemetry"], cSettings: gnu, swiftSettings: strict),
        .testTarget(
            name: "MonitoringTests", dependencies: ["Monitoring", "Statistics", "EventLoop"], cSettings: gnu, swiftSettings: strict),
        .testTarget(
            name: "PoolerTests",
            dependencies: ["Pooler", "PoolCore", "Configuration", "EventLoop", "Telemetry", "TLS", "TLSCredentials"], cSettings: gnu,
            swiftSettings: strict),
        .testTarget(name: "SimulationTests", dependencies: ["Simulation", "simulate"], cSettings: gnu, swiftSettings: strict),
        .testTarget(name: "EventLoopTests", dependencies: ["EventLoop", "Locking"], cSettings: gnu, swiftSettings: strict),
        .testTarget(
            name: "sluicectlTests", dependencies: ["sluicectl", "Terminal", "PostgresClient"], cSettings: gnu, swiftSettings: strict),
    ]
)
