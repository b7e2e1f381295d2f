/// The run-time parameters of a session: values, what a transaction has changed, and what the client has been told (guc.c).
public struct ModelSettings {
    /// Names in lower case.
    private var values: [String: String]
    /// What the session began with: what RESET goes back to.
    private let defaults: [String: String]
    /// The values before the transaction under way changed any.
    private var before: [String: String]?
    /// What the client was told last.
    private var told: [String: String]

    /// Those that the client hears of, as PostgreSQL spells them.
    public static let reported = [
        "application_name", "client_encoding", "DateStyle", "IntervalStyle", "standard_conforming_strings", "TimeZone",
    ]

    /// What a session has without a word of its client's.
    private static let ofServer = [
        "application_name": "", "client_encoding": "UTF8", "datestyle": "ISO, MDY", "intervalstyle": "postgres",
        "standard_conforming_strings": "on", "timezone": "Etc/UTC", "extra_float_digits": "1", "work_mem": "4MB", "statement_timeout": "0",
    ]

    /// A session that was begun with these values.
    public init(startup: [String: String] = [:]) {
        values = Self.ofServer
        for (name, value) in startup { values[name.lowercased()] = value }
        defaults = values
        told = values
    }

    /// Whether there is a parameter of that name.
    public static func isKnown(_ name: String) -> Bool { ofServer[name.lowercased()] != nil }

    /// Whether a parameter may have that value; looked at for one of them.
    public static func takes(_ value: String, for name: String) -> Bool {
        guard name.lowercased() == "extra_float_digits" else { return true }
        return Int(value).map { (-15...3).contains($0) } ?? false
    }

    public subscript(name: String) -> String? { values[name.lowercased()] }

    mutating func set(_ name: String, to value: String) {
        if before == nil { before = values }
        values[name.lowercased()] = value
    }

    mutating func reset(_ name: String) { if let value = defaults[name.lowercased()] { set(name, to: value) } }

    mutating func resetAll() {
        if before == nil { before = values }
        values = defaults
    }

    /// AtEOXact_GUC
    mutating func endTransaction(commits: Bool) {
        if !commits, let before { values = before }
        before = nil
    }

    /// What the client has to hear before it is told that the server is ready (ReportChangedGUCOptions).
    mutating func takeNews() -> [(name: String, value: String)] {
        var news: [(name: String, value: String)] = []
        for name in Self.reported {
            guard let value = values[name.lowercased()], told[name.lowercased()] != value else { continue }
            told[name.lowercased()] = value
            news.append((name, value))
        }
        return news
    }

    /// All that has another value than the session began with.
    public var changed: [String: String] { values.filter { defaults[$0.key] != $0.value } }
}
