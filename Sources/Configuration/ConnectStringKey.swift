/// One key that an entry of `[databases]`, `[users]` or `[peers]` may hold.
public struct ConnectStringKey<Target>: Sendable {
    /// The name in the file.
    public let name: String
    /// What values look like.
    public let kind: SettingKind
    /// What applies when the key is missing, in a reader's words.
    public let fallback: String
    /// False for a key that is accepted without acting on it; using one gives a warning.
    public let isBuilt: Bool
    /// The meaning, in one line.
    public let doc: String
    private let store: @Sendable (String, inout Target) throws(InvalidValue) -> Void

    /// Reads a value and keeps it.
    public func apply(_ text: String, to target: inout Target) throws(InvalidValue) {
        try store(text, &target)
    }
}

extension ConnectStringKey {
    typealias Path<Value> = WritableKeyPath<Target, Value> & Sendable

    static func string(_ name: String, _ path: Path<String?>, _ fallback: String, isBuilt: Bool = true, _ doc: String) -> Self {
        .init(name: name, kind: .string, fallback: fallback, isBuilt: isBuilt, doc: doc, store: { $1[keyPath: path] = $0 })
    }

    /// A number; a negative one means that the key is not set.
    static func size(_ name: String, _ path: Path<Int?>, _ fallback: String, _ doc: String) -> Self {
        let range = -1...ValueSyntax.integerMaximum
        return .init(
            name: name, kind: .integer(range), fallback: fallback, isBuilt: true, doc: doc,
            store: { text, target throws(InvalidValue) in
                let value = try ValueSyntax.integer(text, in: range)
                target[keyPath: path] = value < 0 ? nil : value
            })
    }

    static func port(_ name: String, _ path: Path<Int>, _ fallback: String, _ doc: String) -> Self {
        let range = 1...65535
        return .init(
            name: name, kind: .integer(range), fallback: fallback, isBuilt: true, doc: doc,
            store: { text, target throws(InvalidValue) in target[keyPath: path] = try ValueSyntax.integer(text, in: range) })
    }

    static func wholeSeconds(_ name: String, _ path: Path<Microseconds?>, _ fallback: String, _ doc: String) -> Self {
        .init(
            name: name, kind: .wholeSeconds, fallback: fallback, isBuilt: true, doc: doc,
            store: { text, target throws(InvalidValue) in target[keyPath: path] = try ValueSyntax.wholeSeconds(text) })
    }

    static func poolMode(_ path: Path<PoolMode?>, _ fallback: String) -> Self {
        .init(
            name: "pool_mode", kind: .enumeration(PoolMode.allCases.map(\.rawValue)), fallback: fallback, isBuilt: true,
            doc: "When a server connection goes back to its pool.",
            store: { text, target throws(InvalidValue) in target[keyPath: path] = try ValueSyntax.choice(text, of: PoolMode.self) })
    }

    static func custom(
        _ name: String, _ kind: SettingKind, _ fallback: String, isBuilt: Bool = true, _ doc: String,
        store: @escaping @Sendable (String, inout Target) throws(InvalidValue) -> Void
    ) -> Self {
        .init(name: name, kind: kind, fallback: fallback, isBuilt: isBuilt, doc: doc, store: store)
    }
}
