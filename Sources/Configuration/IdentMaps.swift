import Bytes

/// The user name maps of `auth_ident_file`: which names of the system, or of a certificate, may log in as which user.
public struct IdentMaps: Sendable, Equatable {
    private struct Entry: Equatable {
        let systemName: String
        /// Nil: every user.
        let user: String?
    }

    /// What a map says about somebody.
    public enum Verdict: Sendable, Equatable {
        case allowed
        /// The map says nothing that fits.
        case noMatch
        /// There is no map of this name.
        case noSuchMap
    }

    private var maps: NameTable<[Entry]> = [:]
    /// Lines that were skipped and why, with file and line.
    public private(set) var warnings: [String] = []

    /// No maps.
    public init() {}

    /// Reads lines of map, system name and user (`all` for every one). A line that is not understood is skipped with a warning.
    public init(parsing bytes: [UInt8], file: String) {
        var lines = AccessFileLines(bytes)
        while var line = lines.next() {
            do throws(InvalidValue) {
                let (map, entry) = try Self.entry(&line)
                maps[map, default: []].append(entry)
            } catch {
                warnings.append("\(file):\(lines.number): ident: \(error.message); the line is skipped")
            }
        }
    }

    /// Whether a person who is known as one of `systemNames` may be `user`.
    public func verdict(map: String, systemNames: [String], user: String) -> Verdict {
        guard let entries = maps[map] else { return .noSuchMap }
        let isAllowed = entries.contains {
            systemNames.containsName($0.systemName) && ($0.user?.hasSameBytes(as: user) ?? true)
        }
        return isAllowed ? .allowed : .noMatch
    }

    private static func entry(_ line: inout AccessFileLine) throws(InvalidValue) -> (map: String, entry: Entry) {
        guard let map = try line.single("map name") else { throw InvalidValue("the map name is missing") }
        guard let system = try line.single("system name") else { throw InvalidValue("the system name is missing") }
        guard let user = try line.single("user") else { throw InvalidValue("the user is missing") }
        guard try line.field() == nil else { throw InvalidValue("expected three fields: map, system name and user") }
        if !system.isQuoted, system.text.hasPrefix("/") { throw InvalidValue("regular expressions are not supported") }
        guard !map.text.isEmpty, !system.text.isEmpty, !user.text.isEmpty else { throw InvalidValue("an empty name") }
        guard user.text.utf8.count <= Names.maximumUserBytes else {
            throw InvalidValue("the user name is longer than \(Names.maximumUserBytes) bytes")
        }
        return (map.text, Entry(systemName: system.text, user: user.isKeyword("all") ? nil : user.text))
    }
}
