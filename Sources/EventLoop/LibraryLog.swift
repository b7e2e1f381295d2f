import CLibevent
import Locking

/// What libevent, its resolver and its HTTP server have to say; else it goes to standard error in a form of its own.
public enum LibraryLog {
    /// libevent's own scale.
    public enum Severity: Int32, Sendable {
        case debug, message, warning, error
    }

    private static let receiver = Locked<(@Sendable (Severity, String) -> Void)?>(nil)

    /// Hands everything to `receiver`, on whatever thread it comes up. It must not call libevent.
    public static func send(to receiver: @escaping @Sendable (_ severity: Severity, _ text: String) -> Void) {
        self.receiver.withLock { $0 = receiver }
        event_set_log_callback { severity, text in
            guard let text, let receiver = LibraryLog.receiver.withLock({ $0 }) else { return }
            receiver(Severity(rawValue: severity) ?? .error, String(cString: text))
        }
    }
}
