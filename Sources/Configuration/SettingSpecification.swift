/// What a setting's value looks like.
public enum SettingKind: Sendable, Equatable {
    /// Any text.
    case string
    /// A number in C's notation, within bounds.
    case integer(ClosedRange<Int>)
    /// 0 or 1.
    case boolean
    /// A number of 32 bits without a sign.
    case unsigned
    /// Seconds, with a fraction where wanted.
    case time
    /// Seconds without a fraction.
    case wholeSeconds
    /// One of some words, in any case.
    case enumeration([String])
    /// Words with commas between them.
    case list

    /// The kind in a reader's words.
    public var summary: String {
        switch self {
        case .string: "text"
        case .integer(let range): range.upperBound == ValueSyntax.integerMaximum ? "integer" : "\(range.lowerBound) to \(range.upperBound)"
        case .boolean: "0 or 1"
        case .unsigned: "unsigned integer"
        case .time: "seconds"
        case .wholeSeconds: "whole seconds"
        case .enumeration(let words): words.joined(separator: ", ")
        case .list: "list"
        }
    }
}

/// Where a setting may be written.
public struct SettingScopes: OptionSet, Sendable, Equatable {
    /// The bits of the set.
    public let rawValue: UInt8

    /// Makes a set of its bits.
    public init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// In `[pgbouncer]` or `[sluice]`.
    public static let global = SettingScopes(rawValue: 1)
    /// In an entry of `[databases]`, which beats the global value.
    public static let database = SettingScopes(rawValue: 2)
    /// In an entry of `[users]`, which beats the database's value.
    public static let user = SettingScopes(rawValue: 4)
    /// In an entry of `[peers]`.
    public static let peer = SettingScopes(rawValue: 8)
}

/// How much a setting does.
public enum SettingSupport: Sendable, Equatable {
    /// It works.
    case built
    /// It is taken in silence, because there is nothing left for it to do.
    case ignored
    /// It is taken with a warning, because it should do something and does not yet.
    case notBuilt
    /// It is taken with a warning, because what it tuned is gone for good.
    case removed
}

/// Everything known about one global setting: how it is written, what it means, and where it is kept.
public struct SettingSpecification: Sendable {
    /// The name in the file and on the console.
    public let name: String
    /// What values look like.
    public let kind: SettingKind
    /// The default as it would be written in the file; nil where it is unset, which the console shows as NULL.
    public let defaultText: String?
    /// Where it may be written.
    public let scopes: SettingScopes
    /// Whether a reload takes effect; otherwise only a start does.
    public let reloadable: Bool
    /// How much of it works.
    public let support: SettingSupport
    /// The meaning, in one line.
    public let doc: String
    /// Leaves secrets out of a value; nil for a setting that holds none.
    private var secretsRemover: (@Sendable (String) -> String)?
    private let store: @Sendable (String, inout Settings) throws(InvalidValue) -> Void
    private let show: @Sendable (Settings) -> String?

    /// False for a setting of PgBouncer that is accepted without acting on it; using one gives a warning.
    public var isBuilt: Bool { support == .built || support == .ignored }

    /// Reads a value and keeps it.
    public func apply(_ text: String, to settings: inout Settings) throws(InvalidValue) {
        try store(text, &settings)
    }

    /// The current value as SHOW CONFIG prints it; nil stands for NULL.
    public func text(in settings: Settings) -> String? {
        show(settings)
    }

    /// A value for the log and for whoever may look but not change anything: without the secrets in it.
    public func withoutSecrets(_ text: String) -> String {
        secretsRemover?(text) ?? text
    }

    /// What to tell somebody who uses a setting that does nothing; nil for one that works.
    public var warning: String? {
        switch support {
        case .built, .ignored: nil
        case .notBuilt: "setting \"\(name)\" is accepted but has no effect yet"
        case .removed: "setting \"\(name)\" is accepted but has no effect: PgBouncer 1.26 removed it"
        }
    }
}

extension SettingSpecification {
    typealias Path<Value> = WritableKeyPath<Settings, Value> & Sendable

    /// The same setting, whose values may hold secrets.
    func hidingSecrets(_ remover: @escaping @Sendable (String) -> String) -> SettingSpecification {
        var setting = self
        setting.secretsRemover = remover
        return setting
    }

    static func string(
        _ name: String, _ path: Path<String>, _ defaultText: String, scopes: SettingScopes = .global, live: Bool = true,
        support: SettingSupport = .built, _ doc: String
    ) -> SettingSpecification {
        .init(
            name: name, kind: .string, defaultText: defaultText, scopes: scopes, reloadable: live, support: support, doc: doc,
            store: { text, settings in settings[keyPath: path] = text }, show: { $0[keyPath: path] })
    }

    /// A string that can be unset, which is not the same as empty.
    static func string(
        _ name: String, _ path: Path<String?>, scopes: SettingScopes = .global, live: Bool = true, support: SettingSupport = .built,
        check: @escaping @Sendable (String) throws(InvalidValue) -> Void = { _ in }, _ doc: String
    ) -> SettingSpecification {
        .init(
            name: name, kind: .string, defaultText: nil, scopes: scopes, reloadable: live, support: support, doc: doc,
            store: { text, settings throws(InvalidValue) in
                try check(text)
                settings[keyPath: path] = text
            }, show: { $0[keyPath: path] })
    }

    static func integer(
        _ name: String, _ path: Path<Int>, _ defaultText: String?, in range: ClosedRange<Int> = 0...ValueSyntax.integerMaximum,
        scopes: SettingScopes = .global, live: Bool = true, support: SettingSupport = .built, _ doc: String
    ) -> SettingSpecification {
        .init(
            name: name, kind: .integer(range), defaultText: defaultText, scopes: scopes, reloadable: live, support: support, doc: doc,
            store: { text, settings throws(InvalidValue) in settings[keyPath: path] = try ValueSyntax.integer(text, in: range) },
            show: { String($0[keyPath: path]) })
    }

    static func unsigned(_ name: String, _ path: Path<Int>, _ defaultText: String, _ doc: String) -> SettingSpecification {
        .init(
            name: name, kind: .unsigned, defaultText: defaultText, scopes: .global, reloadable: true, support: .built, doc: doc,
            store: { text, settings throws(InvalidValue) in
                settings[keyPath: path] = try ValueSyntax.integer(text, in: 0...Int(UInt32.max))
            }, show: { String($0[keyPath: path]) })
    }

    static func boolean(
        _ name: String, _ path: Path<Bool>, _ defaultText: String, live: Bool = true, support: SettingSupport = .built, _ doc: String
    ) -> SettingSpecification {
        .init(
            name: name, kind: .boolean, defaultText: defaultText, scopes: .global, reloadable: live, support: support, doc: doc,
            store: { text, settings throws(InvalidValue) in settings[keyPath: path] = try ValueSyntax.boolean(text) },
            show: { $0[keyPath: path] ? "1" : "0" })
    }

    static func time(
        _ name: String, _ path: Path<Microseconds>, _ defaultText: String, scopes: SettingScopes = .global,
        support: SettingSupport = .built, _ doc: String
    ) -> SettingSpecification {
        .init(
            name: name, kind: .time, defaultText: defaultText, scopes: scopes, reloadable: true, support: support, doc: doc,
            store: { text, settings throws(InvalidValue) in settings[keyPath: path] = try ValueSyntax.time(text) },
            show: { TimeText.seconds($0[keyPath: path]) })
    }

    static func choice<Choice>(
        _ name: String, _ path: Path<Choice>, _ defaultText: String, scopes: SettingScopes = .global,
        support: SettingSupport = .built, _ doc: String
    ) -> SettingSpecification where Choice: RawRepresentable & CaseIterable & Sendable, Choice.RawValue == String {
        .init(
            name: name, kind: .enumeration(Choice.allCases.map(\.rawValue)), defaultText: defaultText, scopes: scopes, reloadable: true,
            support: support, doc: doc,
            store: { text, settings throws(InvalidValue) in settings[keyPath: path] = try ValueSyntax.choice(text, of: Choice.self) },
            show: { $0[keyPath: path].rawValue })
    }

    static func list(
        _ name: String, _ path: Path<[String]>, _ defaultText: String, splitsAtBlanks: Bool = false, live: Bool = true,
        support: SettingSupport = .built, _ doc: String
    ) -> SettingSpecification {
        .init(
            name: name, kind: .list, defaultText: defaultText, scopes: .global, reloadable: live, support: support, doc: doc,
            store: { text, settings in settings[keyPath: path] = ValueSyntax.list(text, blanksToo: splitsAtBlanks) },
            show: { $0[keyPath: path].joined(separator: ",") })
    }
}
