import LibpqLoop

/// strace on some processes for a while, after the measured window: it slows down what it looks at.
final class SystemCallTracer {
    private var child: Child?
    private let file: String
    private let folder: String

    init(_ pids: [Int32]) throws {
        folder = try Machine.temporaryFolder("sluicebench-strace")
        file = folder + "/calls"
        do {
            child = try Child(["strace", "-c", "-f", "-o", file] + pids.flatMap { ["-p", String($0)] }, output: folder + "/said")
        } catch {
            Machine.remove(folder)
            throw error
        }
    }

    /// Ends it; the calls by name.
    @discardableResult
    func stop() -> SystemCallCount? {
        guard let child else { return nil }
        self.child = nil
        child.stop(2)
        defer { Machine.remove(folder) }
        return Machine.read(file).flatMap(SystemCallCount.init(summary:))
    }

    deinit { stop() }
}

/// Calls by name, from the table of `strace -c`.
public struct SystemCallCount: Equatable, Sendable {
    public var calls: [String: Int] = [:]

    /// nil where the text has no such table.
    public init?(summary: String) {
        for line in summary.split(separator: "\n") {
            let words = line.split(separator: " ")
            // % time, seconds, usecs/call, calls, (errors), syscall
            guard words.count >= 5, Double(words[0]) != nil, let count = Int(words[3]), let name = words.last, name != "total" else {
                continue
            }
            calls[String(name), default: 0] += count
        }
        if calls.isEmpty { return nil }
    }

    /// Calls for each transaction, most frequent first; rare ones left out.
    func result(transactions: Int) -> [String: Double]? {
        guard transactions > 0 else { return nil }
        return calls.mapValues { Double($0) / Double(transactions) }.filter { $0.value >= 0.005 }
    }
}
