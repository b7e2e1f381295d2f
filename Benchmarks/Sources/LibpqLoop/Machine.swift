import Glibc

/// What the operating system tells of processes and limits.
public enum Machine {
    /// Raises the number of files this process may open as far as it may by itself. Returns the number.
    @discardableResult
    public static func raiseFileLimit() -> Int {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return Int(clamping: limit.rlim_cur)
    }

    public static var openFiles: Int { entries("/proc/self/fd").count }

    /// A file's whole text; nil when it cannot be read.
    public static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(descriptor, &piece, piece.count)
            if count < 0 { return nil }
            if count == 0 { break }
            bytes += piece[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func entries(_ folder: String) -> [String] {
        guard let handle = opendir(folder) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) { String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self)) })
        }
        return names.filter { $0 != "." && $0 != ".." }
    }

    /// The numeric address of a host, so that connecting never waits for a name server; nil when there is none.
    public static func resolve(_ host: String) -> String? {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &list) == 0, let first = list else { return nil }
        defer { freeaddrinfo(list) }
        var text = [CChar](repeating: 0, count: 256)
        guard getnameinfo(first.pointee.ai_addr, first.pointee.ai_addrlen, &text, 256, nil, 0, NI_NUMERICHOST) == 0 else { return nil }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// A port of 127.0.0.1 that is free now.
    public static func freePort() throws(SystemFailure) -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw SystemFailure("socket") }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, __CONST_SOCKADDR_ARG(__sockaddr__: $0), length) == 0
                    && getsockname(descriptor, __SOCKADDR_ARG(__sockaddr__: $0), &length) == 0
            }
        }
        guard status else { throw SystemFailure("bind") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    /// How many sockets listen on a TCP port of this machine: one for each process with so_reuseport. Looks without connecting.
    public static func listeners(_ port: Int) -> Int {
        let hexadecimal = String(port, radix: 16, uppercase: true)
        let wanted = ":" + String(repeating: "0", count: 4 - hexadecimal.count) + hexadecimal
        return ["/proc/net/tcp", "/proc/net/tcp6"].reduce(0) { sum, path in
            sum
                + (read(path) ?? "").split(separator: "\n").dropFirst().count { line in
                    let words = line.split(separator: " ")
                    return words.count > 3 && words[1].hasSuffix(wanted) && words[3] == "0A"
                }
        }
    }

    public static var isRoot: Bool { geteuid() == 0 }

    public static var isTerminal: Bool { isatty(2) == 1 }
    public static var isTerminalOutput: Bool { isatty(1) == 1 }

    /// Columns of the terminal behind stderr; 80 where it does not say.
    public static var terminalWidth: Int {
        var size = winsize()
        return ioctl(2, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    }

    /// Columns for what is printed to stdout: the terminal's, or what COLUMNS says; no limit for a file or a pipe.
    public static var outputWidth: Int {
        var size = winsize()
        if isTerminalOutput { return ioctl(1, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80 }
        return getenv("COLUMNS").flatMap { Int(String(cString: $0)) }.map { max(20, $0) } ?? .max
    }

    /// A new folder under TMPDIR.
    public static func temporaryFolder(_ prefix: String) throws(SystemFailure) -> String {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/\(prefix).XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemFailure("cannot make a folder in \(base)") }
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        chmod(path, 0o755)
        return path
    }

    /// Writes without a buffer, so that what is said is seen at once. False when not all of it could be written.
    @discardableResult
    public static func say(_ text: String, to descriptor: Int32 = 2) -> Bool {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if written < 0, errno == EINTR { continue }
            if written <= 0 { return false }
            bytes = bytes.dropFirst(written)
        }
        return true
    }
}

/// The CPU time and the memory of some processes and of all that they started.
public struct ProcessMeter {
    public let roots: [pid_t]

    public init(_ roots: [pid_t]) { self.roots = roots }

    /// The roots and their descendants, as far as they are alive.
    public var family: [pid_t] {
        var found: [pid_t] = []
        var left = roots
        while let pid = left.popLast() {
            guard kill(pid, 0) == 0 || errno == EPERM, !found.contains(pid) else { continue }
            found.append(pid)
            for thread in Machine.entries("/proc/\(pid)/task") {
                left += (Machine.read("/proc/\(pid)/task/\(thread)/children") ?? "").split(separator: " ").compactMap { pid_t($0) }
            }
        }
        return found
    }

    /// Nanoseconds of CPU that the family has used so far, with all threads, and with those of its processes that have ended and were
    /// waited for: the difference of two such figures is what was used in between. nil when one of the roots is gone.
    public func cpu() -> Int64? {
        let pids = family
        guard roots.allSatisfy(pids.contains) else { return nil }
        return pids.reduce(0) { sum, pid in
            var clock = clockid_t()
            var time = timespec()
            guard clock_getcpuclockid(pid, &clock) == 0, clock_gettime(clock, &time) == 0 else { return sum }
            return sum + Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec) + Self.ofEndedChildren(pid)
        }
    }

    /// Counted by the kernel in ticks of ten milliseconds.
    private static func ofEndedChildren(_ pid: pid_t) -> Int64 {
        // The name of the program, in parentheses, may hold anything; utime is the twelfth word behind it.
        guard let text = Machine.read("/proc/\(pid)/stat"), let name = text.lastIndex(of: ")") else { return 0 }
        let words = text[text.index(after: name)...].split(separator: " ")
        guard words.count > 14, let user = Int64(words[13]), let system = Int64(words[14]) else { return 0 }
        return (user + system) * 1_000_000_000 / Int64(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// Nanoseconds of CPU that this program has used.
    public static var own: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// Bytes of the processes' own memory: anonymous pages, a page that several share counted once. nil when none is alive.
    public func memory() -> Int? {
        let pids = family
        guard !pids.isEmpty else { return nil }
        return pids.reduce(0) { sum, pid in
            if pids.count > 1, let shared = kilobytes("Pss_Anon:", in: "/proc/\(pid)/smaps_rollup") { return sum + shared * 1024 }
            return sum + (kilobytes("RssAnon:", in: "/proc/\(pid)/status") ?? 0) * 1024
        }
    }

    private func kilobytes(_ name: String, in path: String) -> Int? {
        for line in (Machine.read(path) ?? "").split(separator: "\n") where line.hasPrefix(name) {
            return line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) }
        }
        return nil
    }
}

extension Machine {
    /// Removes a file, or a folder with what is in it. Follows no link.
    public static func remove(_ path: String) {
        var information = stat()
        guard lstat(path, &information) == 0 else { return }
        if information.st_mode & S_IFMT == S_IFDIR {
            for name in entries(path) { remove("\(path)/\(name)") }
            rmdir(path)
        } else {
            unlink(path)
        }
    }

    /// Writes a file anew. Returns whether that worked.
    @discardableResult
    public static func write(_ text: String, to path: String) -> Bool {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return false }
        let isWhole = say(text, to: descriptor)
        return close(descriptor) == 0 && isWhole
    }

    /// Whether a file can be written. Leaves everything as it was.
    public static func canWrite(_ path: String) -> Bool {
        let isThere = access(path, F_OK) == 0
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return false }
        if !isThere { unlink(path) }
        return close(descriptor) == 0
    }
}

extension Machine {
    /// What is in a folder, in no order; nothing where there is none.
    public static func names(in folder: String) -> [String] { entries(folder) }

    /// Gives a file to the user postgres, where we are root.
    public static func give(_ path: String) {
        guard isRoot, let owner = getpwnam("postgres") else { return }
        chown(path, owner.pointee.pw_uid, owner.pointee.pw_gid)
    }

    /// Numbers of the cores that this process may run on.
    public static var cores: [Int] {
        // 0-1,4
        for line in (read("/proc/self/status") ?? "").split(separator: "\n") where line.hasPrefix("Cpus_allowed_list:") {
            return line.dropFirst(18).split(separator: ",").flatMap { part -> [Int] in
                let ends = part.split(separator: "-").compactMap { Int($0.filter(\.isNumber)) }
                guard let first = ends.first, let last = ends.last else { return [] }
                return Array(first...last)
            }
        }
        return [0]
    }

    /// Keeps this program, and what it starts, to some cores.
    public static func pin(to cores: [Int]) {
        var set = cpu_set_t()
        withUnsafeMutableBytes(of: &set) { bytes in
            for core in cores where core / 8 < bytes.count { bytes[core / 8] |= 1 << UInt8(core % 8) }
        }
        sched_setaffinity(0, MemoryLayout<cpu_set_t>.size, &set)
    }

    /// The processor's name, as the kernel tells it.
    public static var processor: String {
        for line in (read("/proc/cpuinfo") ?? "").split(separator: "\n") where line.hasPrefix("model name") {
            return line.split(separator: ":", maxSplits: 1).last.map { String($0.drop { $0 == " " }) } ?? "unknown"
        }
        return "unknown"
    }

    public static var memoryGigabytes: Int {
        let kilobytes =
            (read("/proc/meminfo") ?? "").split(separator: "\n").first?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return (kilobytes + 524_288) / 1_048_576
    }

    public static var kernel: String {
        (read("/proc/sys/kernel/ostype") ?? "").filter { $0 != "\n" } + " "
            + (read("/proc/sys/kernel/osrelease") ?? "").prefix { $0 != "\n" && $0 != "-" }
    }

    public static var system: String {
        for line in (read("/etc/os-release") ?? "").split(separator: "\n") where line.hasPrefix("PRETTY_NAME=") {
            return line.dropFirst(12).filter { $0 != "\"" }
        }
        return "unknown"
    }

    /// Today, as 2026-01-31, in UTC.
    public static var date: String {
        var now = time(nil)
        var parts = tm()
        gmtime_r(&now, &parts)
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
    }

    /// The first line that a program prints; nil where it cannot be run.
    public static func firstLine(of command: [String]) -> String? { lines(of: command).first }

    /// The lines that a program prints; none where it cannot be run.
    public static func lines(of command: [String]) -> [String] {
        guard let folder = try? temporaryFolder("sluicebench-says") else { return [] }
        defer { remove(folder) }
        guard let child = try? Child(command, output: folder + "/out") else { return [] }
        guard child.wait(atMost: 5) else {
            child.stop(SIGKILL)
            return []
        }
        return (read(folder + "/out") ?? "").split(separator: "\n").map(String.init)
    }
}
