import Glibc
import Logging

/// The system's log. libc keeps one connection to it for the process, so there is one of these, inside the sink's lock.
struct SystemLog {
    /// What lines are filed under.
    struct Identity: Equatable {
        /// `daemon`, `local0` and so on.
        var facility: String
        /// The program's name in the lines.
        var name: String
    }

    let identity: Identity
    /// libc keeps the pointer it is given.
    private let name: UnsafeMutablePointer<CChar>

    init(_ identity: Identity) {
        self.identity = identity
        name = strdup(identity.name)
        openlog(name, LOG_PID, Self.facilities[identity.facility] ?? facility(3))
    }

    func close() {
        closelog()
        free(name)
    }

    func write(_ level: Logger.Level, _ text: String) {
        text.withCString { text in
            withVaList([text]) { vsyslog(Self.priority(level), "%s", $0) }
        }
    }

    /// The severity numbers of syslog(3), which the journal reads too.
    static func priority(_ level: Logger.Level) -> Int32 {
        switch level {
        case .critical: 2
        case .error: 3
        case .warning: 4
        case .notice, .info: 6
        case .debug, .trace: 7
        }
    }

    /// The macros of syslog.h are more than Swift imports.
    private static let facilities: [String: Int32] = {
        var codes: [String: Int32] = [
            "kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8, "cron": 9, "authpriv": 10,
            "ftp": 11,
        ]
        for number in 0..<8 { codes["local\(number)"] = 16 + Int32(number) }
        return codes.mapValues(facility)
    }()
}

private func facility(_ code: Int32) -> Int32 { code << 3 }
