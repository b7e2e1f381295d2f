import LibpqLoop

/// Where to connect, taken from a connection URL or string of libpq's.
public struct Target: Sendable {
    public var name: String
    /// libpq's keywords, in order; a later one wins.
    public var keywords: [(name: String, value: String)]
    /// Processes to measure: the pooler's.
    public var pids: [Int32]
    /// For messages: `127.0.0.1:6543`.
    public var address: String
    public var user: String
    public var database: String

    /// Throws a usage error when libpq cannot read `url`, or its host has no address.
    public init(name: String, url: String, pids: [Int32] = []) throws(BenchFailure) {
        let parts: [String: String]
        do { parts = try ConnectionString.parse(url) } catch { throw .usage("not a connection URL: \(error)") }
        self.name = name
        self.pids = pids
        let host = parts["host"] ?? parts["hostaddr"] ?? "local socket"
        address = "\(host):\(parts["port"] ?? "5432")"
        user = parts["user"] ?? "the current user"
        database = parts["dbname"] ?? user
        keywords = [("dbname", url), ("fallback_application_name", "sluicebench"), ("gssencmode", "disable")]
        // Asked once, not at each of thousands of logins: libpq would wait for the answer.
        if let host = parts["host"], parts["hostaddr"] == nil, !host.hasPrefix("/"), !host.contains(",") {
            guard let numeric = Machine.resolve(host) else { throw .usage("no address is known for the host \"\(host)\" of the target") }
            keywords.append(("hostaddr", numeric))
        }
    }

    /// The keywords for one client: as another user, where it belongs to a tenant.
    func keywords(tenant: Int?) -> [(name: String, value: String)] {
        guard let tenant else { return keywords }
        return keywords + [("user", Self.tenantName(tenant))]
    }

    public static func tenantName(_ number: Int) -> String { "sluicebench_\(number)" }
}

/// Why a run cannot begin or go on. The message is for the terminal.
public enum BenchFailure: Error, CustomStringConvertible {
    /// The command line or a file is wrong.
    case usage(String)
    /// The target or a program that is needed does not work.
    case unavailable(String)
    /// Ctrl-C, or a signal that means the same.
    case interrupted

    public var description: String {
        switch self {
        case .usage(let text), .unavailable(let text): text
        case .interrupted: "interrupted"
        }
    }

    /// 2 for a wrong call, 3 for something that does not work, 130 after Ctrl-C.
    public var exitStatus: Int32 {
        switch self {
        case .usage: 2
        case .unavailable: 3
        case .interrupted: 130
        }
    }
}
