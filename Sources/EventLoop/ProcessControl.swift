import Glibc

/// What concerns the process as a whole.
public enum ProcessControl {
    public static var id: Int32 { getpid() }

    public static func isAlive(_ id: Int32) -> Bool { kill(id, 0) == 0 || errno == EPERM }

    /// Allows as many open files as the system lets this process have. Returns the number.
    @discardableResult
    public static func raiseFileLimit() -> Int {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        if limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        return Int(clamping: limit.rlim_cur)
    }

    /// Whether the system has such a user.
    public static func isKnown(user: String) -> Bool { getpwnam(user) != nil }

    /// Becomes another user for good, with that user's groups.
    public static func become(user: String) throws(SystemError) {
        guard let entry = getpwnam(user) else { throw SystemError(call: "unknown user \(user)", number: EINVAL) }
        let (uid, gid) = (entry.pointee.pw_uid, entry.pointee.pw_gid)
        if uid == geteuid() { return }
        guard initgroups(user, gid) == 0 else { throw SystemError(call: "initgroups", number: errno) }
        guard setgid(gid) == 0 else { throw SystemError(call: "setgid", number: errno) }
        guard setuid(uid) == 0 else { throw SystemError(call: "setuid", number: errno) }
    }

    /// Whether the process has root's rights.
    public static var isRoot: Bool { geteuid() == 0 }

    /// Goes on in the background: a new session, no terminal, standard streams to nowhere, the same working directory. The caller's
    /// process ends with status 0. Only before any thread has been started.
    public static func daemonise() throws(SystemError) {
        guard daemon(1, 0) == 0 else { throw SystemError(call: "daemon", number: errno) }
    }

    /// Writes a line to standard error.
    public static func complain(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        _ = write(2, bytes, bytes.count)
    }

    /// Writes text to standard output, which is needed whole: waits for a slow reader.
    public static func say(_ text: String) {
        let bytes = Array(text.utf8)
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { write(1, $0.baseAddress! + sent, bytes.count - sent) }
            if count > 0 { sent += count } else if errno != EINTR { return }
        }
    }

    /// Ends the process at once: the threads of the loops are in the middle of their work, and nothing of it has to be saved.
    public static func exit(_ status: Int32) -> Never { _exit(status) }
}

/// The environment of the process.
public enum Environment {
    /// All variables; of two of the same name, the first one.
    public static var all: [(name: String, value: String)] {
        var result: [(name: String, value: String)] = []
        var place: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?> = environ
        while let entry = place.pointee {
            let text = String(cString: entry)
            if let equals = text.utf8.firstIndex(of: UInt8(ascii: "=")) {
                result.append((String(text[..<equals]), String(text[equals...].dropFirst())))
            }
            place += 1
        }
        return result
    }

    /// nil when unset or empty.
    public static func value(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }
}
