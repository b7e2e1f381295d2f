import Logging

/// The severity numbers of syslog(3), which the journal reads too.
enum Severity {
    static func number(_ level: Logger.Level) -> Int32 {
        switch level {
        case .critical: 2
        case .error: 3
        case .warning: 4
        case .notice, .info: 6
        case .debug, .trace: 7
        }
    }
}
