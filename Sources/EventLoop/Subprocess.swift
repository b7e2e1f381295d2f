@preconcurrency import Glibc
import Locking

/// Commands of the shell, of which the output is wanted. They block, so they run on threads of their own.
public enum Subprocess {
    /// Why there is no output.
    public enum Failure: Error, Equatable {
        case notStarted(String)
        case timedOut
        case tooLong
        case exited(status: Int32)
        case killed(signal: Int32)

        /// Why, in words that repeat nothing of the output.
        public var reason: String {
            switch self {
            case .notStarted(let reason): "cannot be run: \(reason)"
            case .timedOut: "no end in time"
            case .tooLong: "the output is too long"
            case .exited(let status): "exit status \(status)"
            case .killed(let signal): "ended by signal \(signal)"
            }
        }
    }

    /// Commands do not outlive the process that waits for them.
    private struct Running {
        /// Process groups of those that run.
        var groups: Set<pid_t> = []
        /// None is started any more.
        var isOver = false
    }

    private static let running = Locked(Running())

    /// Runs a command with `/bin/sh` and returns what it prints on standard output, once it has ended with status 0. Its standard input
    /// and standard error are /dev/null, and it has no descriptor of this process. It is a process group of its own, which is killed
    /// when the time is up.
    ///
    /// - Parameters:
    ///   - environment: added to that of this process.
    ///   - timeout: in microseconds; 0 means no limit.
    ///   - limit: the most bytes that it may print.
    public static func output(
        of command: String, environment: [(name: String, value: String)], timeout: Int64, limit: Int
    ) throws(Failure) -> [UInt8] {
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, Int32(O_CLOEXEC)) == 0 else { throw .notStarted(SystemError(call: "pipe", number: errno).reason) }
        let (reader, writer) = (ends[0], ends[1])
        defer { close(reader) }
        guard max(reader, writer) < Descriptors.endForServers else {
            close(writer)
            throw .notStarted(SystemError(call: "pipe", number: EMFILE).reason)
        }
        let deadline = timeout > 0 ? MonotonicClock.now() + timeout : .max
        let child: pid_t
        do {
            defer { close(writer) }
            child = try spawn(command, environment, output: writer)
        }
        let result = collect(from: reader, limit: limit, deadline: deadline)
        guard case .success(let bytes) = result, let status = wait(for: child, until: deadline) else {
            end(child)
            if case .failure(let failure) = result { throw failure }
            throw .timedOut
        }
        let signal = status & 0x7f
        guard signal == 0 else { throw .killed(signal: signal) }
        guard status == 0 else { throw .exited(status: (status >> 8) & 0xff) }
        return bytes
    }

    /// Kills whatever runs, and starts nothing any more: for the end of this process.
    public static func endAll() {
        running.withLock { running in
            running.isOver = true
            for group in running.groups { kill(-group, SIGKILL) }
        }
    }

    // MARK: Steps

    private static func spawn(
        _ command: String, _ environment: [(name: String, value: String)], output: Int32
    ) throws(Failure) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addclosefrom_np(&actions, 3)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // This process ignores SIGPIPE and blocks others; a command is not to know about that.
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigaddset(&signals, SIGPIPE)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        var arguments: [UnsafeMutablePointer<CChar>?] = ["sh", "-c", command].map { (text: String) in strdup(text) }
        arguments.append(nil)
        let own = Set(environment.map(\.name))
        var variables: [UnsafeMutablePointer<CChar>?] = []
        var next = environ
        while let variable = next.pointee {
            let text = String(cString: variable)
            if !own.contains(String(text.prefix { $0 != "=" })) { variables.append(strdup(variable)) }
            next += 1
        }
        variables += environment.map { strdup("\($0.name)=\($0.value)") }
        variables.append(nil)
        defer { for text in arguments + variables { free(text) } }

        // Under the lock, so that `endAll` misses none.
        return try running.withLock { (running) throws(Failure) -> pid_t in
            guard !running.isOver else { throw Failure.notStarted("this process ends") }
            var child: pid_t = 0
            let status = posix_spawn(&child, "/bin/sh", &actions, &attributes, arguments, variables)
            guard status == 0 else { throw Failure.notStarted(SystemError(call: "posix_spawn", number: status).reason) }
            running.groups.insert(child)
            return child
        }
    }

    /// All that comes until the other end is closed.
    private static func collect(from descriptor: Int32, limit: Int, deadline: Int64) -> Result<[UInt8], Failure> {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let left = deadline == .max ? -1 : max(0, (deadline - MonotonicClock.now() + 999) / 1000)
            let ready = poll(&wanted, 1, Int32(clamping: left))
            if ready == 0 { return .failure(.timedOut) }
            if ready < 0 { continue }
            let count = read(descriptor, &chunk, chunk.count)
            if count == 0 { return .success(bytes) }
            if count > 0 { bytes += chunk[..<count] }
            if bytes.count > limit { return .failure(.tooLong) }
        }
    }

    /// The status of a child that has ended, or does so in time. Most end in the moment in which they close their output.
    private static func wait(for child: pid_t, until deadline: Int64) -> Int32? {
        var pause: UInt32 = 100
        while true {
            var status: Int32 = 0
            // It is taken out before its number can be another process's.
            let ended = running.withLock { running in
                guard waitpid(child, &status, WNOHANG) == child else { return false }
                running.groups.remove(child)
                return true
            }
            if ended { return status }
            guard MonotonicClock.now() < deadline else { return nil }
            usleep(pause)
            pause = min(pause * 2, 10_000)
        }
    }

    private static func end(_ child: pid_t) {
        kill(-child, SIGKILL)
        _ = wait(for: child, until: .max)
    }
}
