import CSignalDescriptor
import Glibc

/// Signals that arrive as something to read, so that they can be waited for together with sockets and keys.
public struct SignalDescriptor: ~Copyable {
    /// Readable while a signal is pending.
    public let descriptor: Int32

    /// The signals that are taken.
    public enum Name: Int32, Sendable, CaseIterable {
        case hangup = 1
        case interrupt = 2
        case quit = 3
        case terminate = 15
        /// Ctrl-Z from outside: the terminal itself is raw.
        case stop = 20
        case windowChanged = 28
    }

    /// Blocks `names` for the process and collects them here. nil when the system refuses.
    public init?(_ names: [Name]) {
        var set = sigset_t()
        sigemptyset(&set)
        for name in names { sigaddset(&set, name.rawValue) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        descriptor = signalfd(-1, &set, Int32(SFD_NONBLOCK | SFD_CLOEXEC))
        guard descriptor >= 0 else { return nil }
    }

    deinit { close(descriptor) }

    /// The oldest pending signal; nil when none is pending.
    public borrowing func take() -> Name? {
        var information = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        guard read(descriptor, &information, size) == size else { return nil }
        return Name(rawValue: Int32(information.ssi_signo))
    }

    /// Waits for one of the signals. Returns false when none came in time.
    public borrowing func waits(milliseconds: Int) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, Int32(clamping: milliseconds)) > 0
    }
}
