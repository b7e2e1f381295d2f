import Glibc

/// Who is at the other end of a Unix socket, as the kernel tells it: nobody can pretend to be somebody else.
public struct PeerIdentity: Sendable, Equatable {
    public let userID: UInt32
    public let processID: Int32

    /// Nil when the descriptor is no connected Unix socket.
    public init?(of descriptor: Int32) {
        #if DEBUG
            // The network of a simulation has no Unix sockets.
            if Kernel.simulated != nil { return nil }
        #endif
        var credentials = ucred()
        var size = socklen_t(MemoryLayout<ucred>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0, credentials.pid > 0 else { return nil }
        userID = credentials.uid
        processID = credentials.pid
    }

    /// The user's name; nil when the system knows none for the number. May wait: the system may ask a directory (nsswitch.conf).
    public var userName: String? {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 16 * 1024) { text in
            guard let start = text.baseAddress, getpwuid_r(userID, &entry, start, text.count, &found) == 0, found != nil,
                let name = entry.pw_name
            else {
                return nil
            }
            return String(cString: name)
        }
    }

    /// Whether it runs as the same user as this process.
    public var isOwnUser: Bool { userID == geteuid() }
}
