import Configuration

/// A file system for tests: texts by path.
struct Files {
    var texts: [String: String]

    init(_ texts: [String: String]) {
        self.texts = texts
    }

    func load(_ path: String = "sluice.ini") throws(ConfigurationError) -> Configuration {
        try Configuration.load(path: path, read: read)
    }

    func check() -> (configuration: Configuration, faults: [ConfigurationError]) {
        Configuration.check(path: "sluice.ini", read: read)
    }

    func read(_ path: String) throws(ConfigurationError) -> [UInt8] {
        guard let text = texts[path] else { throw ConfigurationError(file: path, message: "no such file") }
        return Array(text.utf8)
    }

    /// The text of the error that loading ends in; "loaded" if there is none.
    func error() -> String {
        do throws(ConfigurationError) {
            _ = try load()
            return "loaded"
        } catch {
            return error.description
        }
    }
}

/// Loads one file.
func load(_ text: String) throws -> Configuration {
    try Files(["sluice.ini": text]).load()
}

/// The error of loading one file.
func loadError(_ text: String) -> String {
    Files(["sluice.ini": text]).error()
}

/// Loads settings that stand under `[pgbouncer]`.
func settings(_ lines: String...) throws -> Settings {
    try load("[pgbouncer]\n" + lines.joined(separator: "\n")).settings
}
