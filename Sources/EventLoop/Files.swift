import Glibc

/// The few things a pooler does with files, all of them at start, reload or end, or on a thread that may wait.
public enum Files {
    /// The whole content; not much more than `limit` bytes of a file that is longer.
    public static func read(_ path: String, limit: Int = .max) throws(SystemError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemError(call: "open \(path)", number: errno) }
        defer { close(descriptor) }
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count == 0 { return content }
            guard count > 0 else {
                if errno == EINTR { continue }
                throw SystemError(call: "read \(path)", number: errno)
            }
            content += chunk[..<count]
            if content.count > limit { return content }
        }
    }

    /// Makes a new file; refuses to touch one that is there.
    public static func create(_ path: String, content: String, mode: Int = 0o644) throws(SystemError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode_t(truncatingIfNeeded: mode))
        guard descriptor >= 0 else { throw SystemError(call: "open \(path)", number: errno) }
        defer { close(descriptor) }
        let bytes = Array(content.utf8)
        guard write(descriptor, bytes, bytes.count) == bytes.count else { throw SystemError(call: "write \(path)", number: errno) }
    }

    /// Writes a line to a file that is open for appending, by one call: lines of several processes stay whole. Nobody could be told of an error.
    public static func append(_ line: Span<UInt8>, to descriptor: Int32) {
        line.withUnsafeBufferPointer { _ = write(descriptor, $0.baseAddress, $0.count) }
    }

    public static func remove(_ path: String) { unlink(path) }

    public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Whether the system has such a group, or it is a number.
    public static func isKnown(group: String) -> Bool { UInt32(group) != nil || getgrnam(group) != nil }

    /// Permission bits, and the group if one is named (by name or number).
    public static func setAccess(_ path: String, mode: Int, group: String) throws(SystemError) {
        guard chmod(path, mode_t(truncatingIfNeeded: mode)) == 0 else { throw SystemError(call: "chmod \(path)", number: errno) }
        guard !group.isEmpty else { return }
        guard let id = UInt32(group) ?? getgrnam(group)?.pointee.gr_gid else {
            throw SystemError(call: "unknown group \(group)", number: EINVAL)
        }
        guard chown(path, uid_t.max, id) == 0 else { throw SystemError(call: "chown \(path)", number: errno) }
    }
}

/// Who owns a file.
public enum FileOwner {
    /// Whether the file belongs to the user that this process runs as.
    public static func isCaller(_ path: String) -> Bool {
        var information = stat()
        return stat(path, &information) == 0 && information.st_uid == geteuid()
    }
}
