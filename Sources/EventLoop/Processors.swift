import Glibc

/// How many processors this process may use: what its affinity mask allows, and no more than a quota of its control groups pays for.
/// A container sees all processors of its machine; threads beyond its share do nothing but get throttled together.
public struct Processors: Sendable, Equatable {
    /// Processors that the machine has online.
    public let online: Int
    /// Those of them that the affinity mask names; cpusets of control groups show here, too.
    public let allowed: Int
    /// The smallest quota of a control group around the process, in whole processors, rounded up; nil without one.
    public let quota: Int?

    /// How many threads can run at the same time.
    public var usable: Int { max(1, min(allowed, quota ?? allowed)) }

    public init(online: Int, allowed: Int, quota: Int?) {
        self.online = online
        self.allowed = allowed
        self.quota = quota
    }

    /// How things were when somebody first asked.
    public static let current: Processors = {
        let online = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        return Processors(online: online, allowed: affinity ?? online, quota: ControlGroups(root: "").quota)
    }()

    /// The number of bits in the affinity mask; nil when the system does not tell.
    private static var affinity: Int? {
        // The kernel refuses a mask that is shorter than its own; 1024 bits are enough for nearly all machines.
        var words = [UInt](repeating: 0, count: 1024 / UInt.bitWidth)
        while words.count <= 1 << 16 {
            let size = words.count * MemoryLayout<UInt>.stride
            let status = words.withUnsafeMutableBytes { bytes in
                sched_getaffinity(0, size, bytes.baseAddress!.assumingMemoryBound(to: cpu_set_t.self))
            }
            if status == 0 {
                let count = words.reduce(0) { $0 + $1.nonzeroBitCount }
                return count > 0 ? count : nil
            }
            guard errno == EINVAL else { return nil }
            words = [UInt](repeating: 0, count: words.count * 2)
        }
        return nil
    }
}

/// The quota of processor time of the control groups around this process (cgroups(7)), both in version 1 and in version 2.
struct ControlGroups {
    /// What stands before the names of all files: empty, or a folder that a test made.
    let root: String

    /// In whole processors, rounded up: a quota of one and a half is worth a second thread. nil means that nothing is limited, or that
    /// nothing can be read.
    var quota: Int? {
        let groups = lines("/proc/self/cgroup")
        let mounts = lines("/proc/self/mountinfo").compactMap { Mount($0) }
        var smallest: Double?
        for group in groups {
            // number:controllers:path; version 2 has the number 0 and no controllers.
            let fields = group.split(separator: UInt8(ascii: ":"), maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let controllers = fields[1].split(separator: UInt8(ascii: ","))
            let isUnified = Self.text(fields[0]) == "0" && controllers.isEmpty
            guard isUnified || controllers.contains(where: { Self.text($0) == "cpu" }) else { continue }
            let path = Self.text(fields[2])
            let candidates = mounts.filter { isUnified ? $0.type == "cgroup2" : $0.type == "cgroup" && $0.hasProcessors }
            var folders = candidates.flatMap { $0.folders(of: path) }
            // Whoever is not shown the whole tree (a container) finds its own group at the mount itself.
            if folders.isEmpty { folders = candidates.map(\.place) }
            for folder in folders {
                guard let share = isUnified ? unified(folder) : separate(folder) else { continue }
                smallest = min(smallest ?? share, share)
            }
        }
        return smallest.map { Int(min($0.rounded(.up), 1_048_576)) }
    }

    /// `cpu.max`: microseconds of processor time in a period, or `max`, then the period.
    private func unified(_ folder: String) -> Double? {
        guard let line = lines("\(folder)/cpu.max").first else { return nil }
        let words = line.split(separator: UInt8(ascii: " "))
        guard words.count == 2 else { return nil }
        return Self.share(words[0], of: words[1])
    }

    /// `cpu.cfs_quota_us`, -1 for none, and `cpu.cfs_period_us`.
    private func separate(_ folder: String) -> Double? {
        guard let quota = lines("\(folder)/cpu.cfs_quota_us").first, let period = lines("\(folder)/cpu.cfs_period_us").first else {
            return nil
        }
        return Self.share(quota, of: period)
    }

    private static func share(_ quota: ArraySlice<UInt8>, of period: ArraySlice<UInt8>) -> Double? {
        guard let quota = Int64(text(quota)), let period = Int64(text(period)), quota > 0, period > 0 else { return nil }
        return Double(quota) / Double(period)
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

    private func lines(_ path: String) -> [ArraySlice<UInt8>] {
        guard let content = try? Files.read(root + path) else { return [] }
        return content.split(separator: UInt8(ascii: "\n"))
    }

    /// A line of mountinfo (proc_pid_mountinfo(5)).
    private struct Mount {
        /// The folder of the file system that is mounted, and where.
        let source: String
        let place: String
        let type: String
        /// Whether this hierarchy of version 1 has the controller `cpu`.
        let hasProcessors: Bool

        init?(_ line: ArraySlice<UInt8>) {
            let words = line.split(separator: UInt8(ascii: " "))
            // Optional fields stand between the sixth word and a hyphen.
            guard let hyphen = words.firstIndex(where: { ControlGroups.text($0) == "-" }), hyphen >= 6, words.count >= hyphen + 4 else {
                return nil
            }
            source = Self.unescaped(words[3])
            place = Self.unescaped(words[4])
            type = ControlGroups.text(words[hyphen + 1])
            hasProcessors = words[hyphen + 3].split(separator: UInt8(ascii: ",")).contains { ControlGroups.text($0) == "cpu" }
        }

        /// The folders of a group and of all groups around it, as far as they can be seen here; none where it lies outside.
        func folders(of path: String) -> [String] {
            var rest = path[...]
            if source != "/" {
                guard path == source || path.hasPrefix(source + "/") else { return [] }
                rest = path.dropFirst(source.count)
            }
            let names = rest.split(separator: "/")
            // A group outside of the namespace is written with /.. in front.
            guard !names.contains("..") else { return [] }
            return (0...names.count).map { count in ([place] + names.prefix(count).map(String.init)).joined(separator: "/") }
        }

        /// Blanks and the like are written as \040.
        private static func unescaped(_ word: ArraySlice<UInt8>) -> String {
            var bytes: [UInt8] = []
            var left = word
            while let byte = left.popFirst() {
                if byte == UInt8(ascii: "\\"), left.count >= 3, let code = UInt8(ControlGroups.text(left.prefix(3)), radix: 8) {
                    bytes.append(code)
                    left = left.dropFirst(3)
                } else {
                    bytes.append(byte)
                }
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }
}
