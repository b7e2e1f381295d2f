import Bytes
import Locking

/// What PostgreSQL looks at, beside the text and the catalogue, when it analyses and plans a statement: the settings that decide what
/// literals and names mean, which role it is for, and how values that are folded into the plan are written.
///
/// Interned in a `PlanContextTable`, so that two of one table are the same if their numbers are.
final class PlanContext: Sendable {
    /// Unique in its table, from 1.
    let id: UInt64
    /// The values by the places of `names`. Nil: what the server has without a SET, which it does not report.
    let values: [String?]

    fileprivate init(id: UInt64, values: [String?]) {
        self.id = id
        self.values = values
    }

    /// In lower case. The last one is set last: what is behind it is in another encoding.
    static let names = [
        "search_path", "role", "datestyle", "intervalstyle", "timezone", "timezone_abbreviations", "standard_conforming_strings",
        "backslash_quote", "xmloption", "lc_monetary", "array_nulls", "transform_null_equals", "bytea_output", "extra_float_digits",
        "quote_all_identifiers", "client_encoding",
    ]

    static func place(of name: String) -> Int? { names.firstIndex { $0.hasSameBytes(as: name) } }

    /// The context in which nothing is set.
    static let standard = PlanContext(id: 1, values: Array(repeating: nil, count: names.count))

    /// Values that the planner folds into a plan are written by these settings.
    private static let writing = Set(["bytea_output", "extra_float_digits", "quote_all_identifiers"])

    /// Whether a plan made in the other context may have other constants, though the analysis was the same.
    func writesLike(_ other: PlanContext) -> Bool {
        Self.names.indices.allSatisfy { !Self.writing.contains(Self.names[$0]) || values[$0] == other.values[$0] }
    }

    /// Backslashes escape in ordinary strings.
    var escapes: Bool { values[6].map { $0.lowercased() == "off" } ?? false }

    /// The statements that turn any session into one in this context, until its transaction ends.
    var all: [String] {
        zip(Self.names, values).map { name, value in Self.change(name, to: value) }
    }

    private static func change(_ name: String, to value: String?) -> String {
        // RESET would last. TO DEFAULT is what it would give.
        guard let value else { return "SET LOCAL \(name) TO DEFAULT" }
        return "SELECT pg_catalog.set_config('\(name)',\(ParameterChange.quoted(value)),true)"
    }

    /// The statements that turn a session in this context into one in `other`, until its transaction ends.
    func changes(to other: PlanContext) -> [String] {
        var changes: [String] = []
        for (place, name) in Self.names.enumerated() {
            switch (values[place], other.values[place]) {
            case (let here?, let there?) where here.hasSameBytes(as: there): break
            case (nil, nil): break
            case (_, let there): changes.append(Self.change(name, to: there))
            }
        }
        return changes
    }
}

/// The contexts of one database, each once. Those that nothing is in any more are dropped when there are twice as many.
final class PlanContextTable: Sendable {
    private struct Content {
        var contexts: [[UInt8]: PlanContext] = [:]
        var lastID = PlanContext.standard.id
        var sweepAt = 256
    }

    private let content = Locked(Content())

    var count: Int { content.withLock { $0.contexts.count } }

    /// The context with these values.
    func intern(_ values: [String?]) -> PlanContext {
        if values.allSatisfy({ $0 == nil }) { return .standard }
        // By bytes: a search_path that only looks like another one leads to other tables.
        var key: [UInt8] = []
        for value in values {
            guard let value else {
                key.append(0)
                continue
            }
            key.append(1)
            key.append(contentsOf: value.utf8)
            key.append(0)
        }
        return content.withLock { content in
            if let known = content.contexts[key] { return known }
            if content.contexts.count >= content.sweepAt { Self.sweep(&content) }
            content.lastID += 1
            let context = PlanContext(id: content.lastID, values: values)
            content.contexts[key] = context
            return context
        }
    }

    private static func sweep(_ content: inout Content) {
        for key in Array(content.contexts.keys) {
            guard var context = content.contexts.removeValue(forKey: key) else { continue }
            if !isKnownUniquelyReferenced(&context) { content.contexts[key] = context }
        }
        content.sweepAt = max(256, content.contexts.count * 2)
    }
}
