import Glibc

/// The system's log. libc keeps one connection to it for the process, so there may be one of these at a time; the owner sees to it that
/// no two threads use it at once.
public struct SystemLog: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): `name` is never read or written here after `init`, only freed by `close`.
    /// What lines are filed under.
    public struct Identity: Equatable {
        /// `daemon`, `local0` and so on.
        public var facility: String
        /// The program's name in the lines.
        public var name: String

        public init(facility: String, name: String) {
            self.facility = facility
            self.name = name
        }
    }

    public let identity: Identity
    /// libc keeps the pointer it is given.
    private let name: UnsafeMutablePointer<CChar>

    /// Opens it; an unknown facility is taken for `daemon`.
    public init(_ identity: Identity) {
        self.identity = identity
        name = strdup(identity.name)
        openlog(name, LOG_PID, Self.facilities[identity.facility] ?? facility(3))
    }

    /// Ends it; not to be used any more.
    public func close() {
        closelog()
        free(name)
    }

    /// Writes a line with a severity of syslog(3), 0 to 7.
    public func write(priority: Int32, _ text: String) {
        text.withCString { text in
            withVaList([text]) { vsyslog(priority, "%s", $0) }
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
