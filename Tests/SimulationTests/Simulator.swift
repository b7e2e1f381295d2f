import Foundation

/// The program `simulate`, which is beside the tests. A process of its own: it takes all tasks of its process from Swift's runtime.
struct Simulator {
    struct Outcome {
        let status: Int32
        let output: String

        /// The hash of the last seed.
        var hash: Substring? {
            guard let start = output.range(of: "hash ", options: .backwards)?.upperBound else { return nil }
            return output[start...].prefix { $0.isHexDigit }
        }
        var steps: Substring? { output.firstMatch(of: /([0-9]+) steps/)?.1 }
    }

    static func run(_ arguments: String...) async throws -> Outcome {
        // Not on a thread that other tests wait for.
        try await withCheckedThrowingContinuation { continuation in
            Thread { continuation.resume(with: Result { try runNow(arguments) }) }.start()
        }
    }

    private static func runNow(_ arguments: [String]) throws -> Outcome {
        let process = Process()
        let folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        process.executableURL = folder.appendingPathComponent("simulate")
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Outcome(status: process.terminationStatus, output: String(decoding: data, as: UTF8.self))
    }
}
