import Glibc
import JSON
import PostgresWire

/// A record as an object of JSON, for `log_format = json`.
extension LogRecord {
    /// The line, with its line feed.
    func json(time: timespec, process: Int32) -> [UInt8] {
        var json = JSONWriter(capacity: 256)
        json.object { json in
            json.member("time", Self.stamp(time))
            json.member("level", level.name)
            json.member("pid", Int(process))
            subject?.write(to: &json)
            json.member("message", event.text.printable)
            event.write(to: &json)
        }
        return json.bytes + [0x0A]
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
}

extension LogSubject {
    /// Names as they are; bytes that are no UTF-8 are told as `\xe4`.
    fileprivate func write(to json: inout JSONWriter) {
        switch self {
        case .client(let id, let database, let user, let address):
            write("client", id, &json)
            write(database, user, &json)
            json.member("address", address)
        case .server(let id, let database, let user, let address, let process):
            write("server", id, &json)
            write(database, user, &json)
            json.member("address", address)
            if let process { json.member("server_pid", Int(process)) }
        case .pool(let database, let user):
            write(database, user, &json)
        case .peer(let id, let number, let host):
            write("peer", id, &json)
            json.member("peer", number)
            json.member("address", host)
        }
    }

    private func write(_ side: String, _ id: UInt64, _ json: inout JSONWriter) {
        json.member("side", side)
        json.member("id", Int(clamping: id))
    }

    private func write(_ database: String?, _ user: String?, _ json: inout JSONWriter) {
        json.member("database", database?.printable)
        json.member("user", user?.printable)
    }
}

extension LogEvent {
    /// The members that the event has beside its text.
    fileprivate func write(to json: inout JSONWriter) {
        switch self {
        case .words: break
        case .login(_, _, let tls, let replication):
            json.member("event", "login")
            json.member("tls", tls)
            json.member("replication", replication)
        case .loginFailed(let reason, let cause):
            json.member("event", "login_failed")
            json.member("reason", reason.printable)
            json.member("cause", cause)
        case .poolerError(let message, let code):
            json.member("event", "error")
            json.member("error", message.printable)
            json.member("sqlstate", code)
        case .close(let reason, let cause, let age):
            json.member("event", "close")
            json.member("reason", reason.printable)
            json.member("cause", cause)
            json.member("age_seconds", age)
        }
    }
}
