import Synchronization

/// How much a message of the log matters.
public enum LogLevel: UInt8, Sendable, CaseIterable, Comparable, AtomicRepresentable {
    case trace, debug, info, warning, error, critical

    public static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }

    /// PgBouncer's word for it.
    var word: String {
        switch self {
        case .trace: "NOISE"
        case .debug: "DEBUG"
        case .info: "LOG"
        case .warning: "WARNING"
        case .error: "ERROR"
        case .critical: "FATAL"
        }
    }

    /// The word in JSON.
    var name: String {
        switch self {
        case .trace: "trace"
        case .debug: "debug"
        case .info: "info"
        case .warning: "warning"
        case .error: "error"
        case .critical: "fatal"
        }
    }

    /// The number of syslog(3), which the journal reads, too.
    var severity: Int32 {
        switch self {
        case .critical: 2
        case .error: 3
        case .warning: 4
        case .info: 6
        case .debug, .trace: 7
        }
    }
}
