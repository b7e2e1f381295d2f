import Glibc
import Logging

/// A log message in its parts, for `log_format = json`.
///
/// Messages about a connection begin with its label, `C-0x1f: database/user@address:port`; their parts become members of their own, and
/// so do the reason and the age of a connection that is closed.
struct LogRecord: Equatable {
    struct Connection: Equatable {
        /// `client` or `server`.
        var side: String
        /// The number that SHOW CLIENTS and SHOW SERVERS call `id`.
        var id: UInt64
        var database: String
        var user: String
        var address: String
    }

    var connection: Connection?
    /// The message without the label.
    var message: String
    var reason: String?
    var age: Int?

    init(text: String) {
        message = text
        if let (connection, rest) = Self.label(text) {
            self.connection = connection
            message = rest
            closing()
        }
    }

    private static func label(_ text: String) -> (Connection, String)? {
        guard text.hasPrefix("C-0x") || text.hasPrefix("S-0x"), let colon = text.firstIndex(of: ":"),
            let id = UInt64(text[text.index(text.startIndex, offsetBy: 4)..<colon], radix: 16)
        else { return nil }
        let rest = text[colon...].dropFirst(2)
        guard let slash = rest.firstIndex(of: "/") else { return nil }
        var search = rest[slash...].dropFirst()
        // A user's name may hold an @ of its own: an address has to follow.
        while let at = search.firstIndex(of: "@") {
            let address = search[at...].dropFirst().prefix { $0 != " " }
            if isAddress(address) {
                let user = rest[rest.index(after: slash)..<at]
                let connection = Connection(
                    side: text.first == "C" ? "client" : "server", id: id, database: String(rest[..<slash]), user: String(user),
                    address: String(address))
                return (connection, String(rest[address.endIndex...].dropFirst()))
            }
            search = search[at...].dropFirst()
        }
        return nil
    }

    private static func isAddress(_ text: Substring) -> Bool {
        if text == "unix" || text == "?" { return true }
        let isUnix = text.hasPrefix("unix(") && text.contains("):")
        let text = isUnix ? "u" + text.drop { $0 != ":" } : text
        guard let colon = text.lastIndex(of: ":"), colon != text.startIndex else { return false }
        let port = text[colon...].dropFirst()
        return !port.isEmpty && port.utf8.allSatisfy { (0x30...0x39).contains($0) }
            && text[..<colon].utf8.allSatisfy {
                $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "[")
                    || $0 == UInt8(ascii: "]") || $0 == UInt8(ascii: "%") || (0x30...0x39).contains($0) || (0x61...0x7A).contains($0)
            }
    }

    /// `closing because: REASON (age=7s)`
    private mutating func closing() {
        let start = "closing because: "
        guard message.hasPrefix(start) else { return }
        var reason = message.dropFirst(start.count)
        if reason.hasSuffix("s)"), let open = reason.lastIndex(of: "("), reason[open...].hasPrefix("(age="),
            let age = Int(reason[open...].dropFirst(5).dropLast(2))
        {
            self.age = age
            reason = reason[..<open]
            while reason.last == " " { reason.removeLast() }
        }
        self.reason = String(reason)
    }

    /// The line, with its line feed.
    func json(time: timespec, level: Logger.Level, process: Int32) -> String {
        var line = "{\"time\":\"\(Self.stamp(time))\",\"level\":\"\(Self.name(level))\",\"pid\":\(process)"
        if let connection {
            line += ",\"side\":\"\(connection.side)\",\"id\":\(connection.id),\"database\":\(Self.quoted(connection.database))"
            line += ",\"user\":\(Self.quoted(connection.user)),\"address\":\(Self.quoted(connection.address))"
        }
        line += ",\"message\":\(Self.quoted(message))"
        if let reason { line += ",\"event\":\"close\",\"reason\":\(Self.quoted(reason))" }
        if let age { line += ",\"age_seconds\":\(age)" }
        return line + "}\n"
    }

    private static func name(_ level: Logger.Level) -> String {
        switch level {
        case .critical: "fatal"
        case .error: "error"
        case .warning: "warning"
        case .notice, .info: "info"
        case .debug: "debug"
        case .trace: "trace"
        }
    }

    /// RFC 3339, in UTC.
    private static func stamp(_ time: timespec) -> String {
        var seconds = time_t(time.tv_sec)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func digits(_ number: Int, _ count: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, count - text.utf8.count)) + text
        }
        let date = "\(digits(Int(parts.tm_year) + 1900, 4))-\(digits(Int(parts.tm_mon) + 1, 2))-\(digits(Int(parts.tm_mday), 2))"
        let clock = "\(digits(Int(parts.tm_hour), 2)):\(digits(Int(parts.tm_min), 2)):\(digits(Int(parts.tm_sec), 2))"
        return "\(date)T\(clock).\(digits(time.tv_nsec / 1_000_000, 3))Z"
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case _ where scalar.value < 32 || scalar.value == 127:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
