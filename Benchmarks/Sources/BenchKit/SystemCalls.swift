import LibpqLoop

/// strace on some processes for a while, after the measured window: it slows down what it looks at.
final class SystemCallTracer {
    /// When it should have attached to all of them, by the clock of `Loop.now`.
    let deadline: Int64
    private var child: Child?
    private let count: Int
    private let folder: String

    init(_ pids: [Int32]) throws {
        folder = try Machine.temporaryFolder("sluicebench-strace")
        count = pids.count
        deadline = Loop.now + 3_000_000_000 + Int64(pids.count) * 50_000_000
        do {
            child = try Child(
                ["strace", "-c", "-f", "-o", folder + "/calls"] + pids.flatMap { ["-p", String($0)] }, output: folder + "/said")
        } catch {
            Machine.remove(folder)
            throw error
        }
    }

    /// Whether it sees all processes: what was done before is not in its table, so must not be divided by.
    var isAttached: Bool { Self.attached(in: Machine.read(folder + "/said") ?? "") >= count }

    /// `strace: Process 123 attached`, or `attached with 3 threads`, once for each that was asked for.
    static func attached(in said: String) -> Int {
        said.split(separator: "\n").count { $0.hasPrefix("strace: Process ") && $0.split(separator: " ").dropFirst(3).first == "attached" }
    }

    /// What it says when it does not work.
    var words: String { (Machine.read(folder + "/said") ?? "").split(separator: "\n").first.map(String.init) ?? "strace says nothing" }

    /// Ends it; the calls by name.
    @discardableResult
    func stop() -> SystemCallCount? {
        guard let child else { return nil }
        self.child = nil
        child.stop(2)
        defer { Machine.remove(folder) }
        return Machine.read(folder + "/calls").flatMap(SystemCallCount.init(summary:))
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
