import CLibevent
import Glibc

/// What systemd gives a service and hears from it, by its own small protocols: sockets by number, and datagrams.
public enum ServiceManager {
    /// The descriptors that systemd opened for this process (`LISTEN_FDS`); empty when there are none, or they are another process's.
    /// They are marked so that no child inherits them.
    public static func takeSockets() -> [Int32] {
        guard let id = Environment.value("LISTEN_PID").flatMap({ Int32($0) }), id == getpid(),
            let count = Environment.value("LISTEN_FDS").flatMap({ Int32($0) }), count > 0, count <= 4096
        else { return [] }
        unsetenv("LISTEN_PID")
        unsetenv("LISTEN_FDS")
        unsetenv("LISTEN_FDNAMES")
        return (0..<count).compactMap { index in
            let descriptor = firstSocket + index
            guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 else { return nil }
            return descriptor
        }
    }

    private static let firstSocket: Int32 = 3

    /// States of the service, as sd_notify(3) lists them.
    public enum State: Sendable, Equatable {
        case ready
        case reloading
        case stopping
        /// One line for `systemctl status`.
        case status(String)

        var text: String {
            switch self {
            case .ready: "READY=1"
            case .reloading: "RELOADING=1\nMONOTONIC_USEC=\(MonotonicClock.now())"
            case .stopping: "STOPPING=1"
            case .status(let line): "STATUS=\(line.split(separator: "\n").joined(separator: " "))"
            }
        }
    }

    /// Tells systemd, if it listens (`NOTIFY_SOCKET`). Never waits; what can't be delivered is lost.
    public static func notify(_ state: State) {
        guard let path = Environment.value("NOTIFY_SOCKET"), let address = SocketAddress(unixPath: path) else { return }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let bytes = Array(state.text.utf8)
        _ = address.withSockaddr { sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), $0, $1) }
    }

    /// Standard error leads to the journal (`JOURNAL_STREAM` names its device and inode).
    public static var standardErrorIsJournal: Bool {
        guard let stream = Environment.value("JOURNAL_STREAM") else { return false }
        var status = stat()
        guard fstat(2, &status) == 0 else { return false }
        return stream == "\(status.st_dev):\(status.st_ino)"
    }
}
