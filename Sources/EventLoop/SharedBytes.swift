import Glibc

/// A few bytes that all processes of one user which name them alike have in common, in shared memory: the first one chooses them, and
/// with the last one they are gone. Nobody but that user can read them.
public final class SharedBytes: Sendable {
    /// What was chosen.
    public let bytes: [UInt8]
    private let descriptor: Int32
    private let path: String

    /// How long to wait for somebody who is just choosing or leaving: 200 times 5 ms.
    private static let (tries, pause) = (200, UInt32(5000))

    /// Joins those who have these bytes, or is the first one. Waits a second at most; for the start of the process.
    ///
    /// - Parameters:
    ///   - name: of letters, digits and signs without a slash; the user's number is added.
    ///   - candidate: what is chosen where nobody has chosen yet.
    public init(named name: String, orElse candidate: [UInt8]) throws(SystemError) {
        path = "/\(name)-\(geteuid())"
        for _ in 0..<Self.tries {
            let descriptor = shm_open(path, O_RDWR | O_CREAT, 0o600)
            guard descriptor >= 0 else { throw SystemError(call: "shm_open \(path)", number: errno) }
            do throws(SystemError) {
                if let known = try Self.join(descriptor, candidate) {
                    (self.descriptor, bytes) = (descriptor, known)
                    return
                }
            } catch {
                close(descriptor)
                throw error
            }
            close(descriptor)
            usleep(Self.pause)
        }
        throw SystemError(call: "flock \(path)", number: ETIMEDOUT)
    }

    /// Whoever is there holds a shared lock for life. An exclusive one means that nobody else is there: its owner may choose, or remove
    /// the name. Nil: to be tried again, for somebody else is doing just that.
    private static func join(_ descriptor: Int32, _ candidate: [UInt8]) throws(SystemError) -> [UInt8]? {
        var information = stat()
        guard fstat(descriptor, &information) == 0 else { throw SystemError(call: "fstat", number: errno) }
        // Of somebody else, who would know what is in it.
        guard information.st_uid == geteuid(), information.st_mode & 0o077 == 0 else {
            throw SystemError(call: "shm_open", number: EACCES)
        }
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0, information.st_size != candidate.count {
            guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, candidate, candidate.count, 0) == candidate.count else {
                throw SystemError(call: "write", number: errno)
            }
        }
        guard flock(descriptor, LOCK_SH | LOCK_NB) == 0 else { return nil }
        var known = [UInt8](repeating: 0, count: candidate.count)
        guard pread(descriptor, &known, known.count, 0) == known.count, fstat(descriptor, &information) == 0, information.st_nlink > 0
        else {
            return nil
        }
        return known
    }

    /// Leaves the others; with the last one the name is gone. What a crash leaves behind the next one finds.
    public func leave() {
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { shm_unlink(path) }
    }

    deinit { close(descriptor) }
}
