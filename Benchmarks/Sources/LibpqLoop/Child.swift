import Glibc

/// A process that we started. It has a session of its own, so that Ctrl-C reaches us first.
public final class Child {
    public let pid: pid_t
    public let name: String
    private var status: Int32?

    /// Starts `command`; what it prints goes to the file `output` (appended). The first word is looked up in PATH.
    public init(_ command: [String], name: String? = nil, environment: [String: String] = [:], output: String = "/dev/null")
        throws(SystemFailure)
    {
        self.name = name ?? command[0]
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        posix_spawn_file_actions_addclosefrom_np(&actions, 3)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSID | 0x04 | 0x08))  // and SETSIGDEF, SETSIGMASK

        var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        var variables: [String: String] = [:]
        var next = environ
        while let entry = next.pointee {
            let text = String(cString: entry)
            // libpq's variables are about somebody else's server.
            if let equals = text.firstIndex(of: "="), !text.hasPrefix("PG") {
                variables[String(text[..<equals])] = String(text[text.index(after: equals)...])
            }
            next += 1
        }
        variables.merge(environment) { $1 }
        var block: [UnsafeMutablePointer<CChar>?] = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in arguments + block { free(text) } }
        var pid: pid_t = 0
        let result = posix_spawnp(&pid, command[0], &actions, &attributes, &arguments, &block)
        guard result == 0 else { throw SystemFailure("cannot start \(command[0])", result) }
        self.pid = pid
    }

    /// The exit status, or 128 and the signal; nil while it runs.
    public func poll() -> Int32? {
        if let status { return status }
        var raw: Int32 = 0
        guard waitpid(pid, &raw, WNOHANG) == pid else { return nil }
        let result = raw & 0x7f == 0 ? raw >> 8 & 0xff : 128 + raw & 0x7f
        status = result
        return result
    }

    public var isRunning: Bool { poll() == nil }

    public func signal(_ number: Int32) {
        if isRunning { kill(pid, number) }
    }

    /// Waits up to `seconds`; false when it still runs then.
    public func wait(atMost seconds: Double) -> Bool {
        let end = Loop.now + Int64(seconds * 1e9)
        while isRunning {
            if Loop.now >= end { return false }
            usleep(5_000)
        }
        return true
    }

    /// Ends it with `number`, and with SIGKILL when that does not help in time; SIGKILL goes to what it started, too.
    public func stop(_ number: Int32 = SIGTERM, grace: Double = 8) {
        guard isRunning else { return }
        kill(pid, number)
        if !wait(atMost: grace) {
            kill(-pid, SIGKILL)
            kill(pid, SIGKILL)
            _ = wait(atMost: 5)
        }
    }
}
