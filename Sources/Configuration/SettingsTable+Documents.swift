extension SettingsTable {
    // Config/sluice.ini and docs/configuration.md hold what these two return: `make docs` writes them, DocumentsTests compares.

    /// A sample file with every setting at its default, commented out. It loads as it stands.
    public static func annotatedIni() -> String {
        var text = """
            ;;; Sluice configuration. Every line that starts with one ";" shows a default.
            ;;; "no effect yet": the setting is accepted with a warning and does nothing.
            ;;; A comment fills a whole line; behind a value it would be part of the value.

            [databases]

            ;; NAME = KEY=VALUE KEY=VALUE ... with spaces between. "*" stands for every other name.
            ;app = host=127.0.0.1 port=5432 dbname=app
            ;* = host=127.0.0.1


            """
        describe(databaseKeys, in: &text)
        text += "\n[users]\n\n;; NAME = KEY=VALUE ... beats the database's and the global value.\n\n"
        describe(userKeys, in: &text)
        text += "\n[peers]\n\n;; NUMBER = KEY=VALUE ... for other processes with a peer_id.\n\n"
        describe(peerKeys, in: &text)
        text += "\n[sluice]\n"
        for (title, settings) in topics {
            text += "\n;;;\n;;; \(title)\n;;;\n"
            for setting in settings {
                text += "\n;; \(setting.doc)\n;; (\(properties(of: setting)))\n"
                text += ";\(setting.name) =\(setting.defaultText.map { $0.isEmpty ? "" : " " + $0 } ?? "")\n"
            }
        }
        return text
    }

    /// The reference page.
    public static func markdown() -> String {
        var text = """
            # Configuration

            Written by `make docs` from the table that also reads the file; [Config/sluice.ini](../Config/sluice.ini) is the same as a
            sample file.

            The file has the sections `[sluice]` (or `[pgbouncer]`, which means the same), `[databases]`, `[users]` and `[peers]`.
            A comment fills a whole line and starts with `;` or `#`. Numbers may be decimal, hexadecimal (`0x`) or octal (leading
            `0`). Times are seconds. The column "live" tells whether a reload (SIGHUP) changes the setting; the others are read at the
            start only.

            `%include FILE` reads another file in its place. After `%expand_environment`, `${NAME}` in a value stands for an environment
            variable, `${NAME:-text}` for the text where that is not set or empty, and `$$` for a dollar sign.

            A setting with "no effect yet" is one of PgBouncer's that is not built: it is accepted with a warning, and does nothing.
            An unknown setting, or a value that does not fit, is an error that names file and line.

            """
        for (title, settings) in topics {
            text += "\n## \(title)\n\n| setting | value | default | live | meaning |\n|---|---|---|---|---|\n"
            for setting in settings.sorted(by: { $0.name < $1.name }) {
                let defaultText = setting.defaultText.map { $0.isEmpty ? "empty" : "`\(cell($0))`" } ?? "unset"
                text += "| `\(setting.name)` | \(cell(setting.kind.summary)) | \(defaultText) | \(setting.reloadable ? "yes" : "no") "
                text += "| \(cell(setting.doc))\(mark(note(on: setting.support))) |\n"
            }
        }
        text += table("Databases", "Entries of `[databases]`; `*` stands for names that have no entry.", databaseKeys)
        text += table("Users", "Entries of `[users]`; they beat the database's and the global value.", userKeys)
        text += table("Peers", "Entries of `[peers]`; the name is the peer's number, its `peer_id`.", peerKeys)
        return text
    }

    private static func describe<Target>(_ keys: [ConnectStringKey<Target>], in text: inout String) {
        for key in keys { text += ";; \(key.name): \(key.doc) Default: \(key.fallback).\(key.isBuilt ? "" : " No effect yet.")\n" }
    }

    private static func properties(of setting: SettingSpecification) -> String {
        var parts = [setting.kind.summary]
        if setting.defaultText == nil { parts.append("unset by default") }
        if setting.scopes.contains(.database) { parts.append("also in [databases]") }
        if setting.scopes.contains(.user) { parts.append("also in [users]") }
        if !setting.reloadable { parts.append("read at start only") }
        let note = note(on: setting.support)
        if !note.isEmpty { parts.append(note) }
        return parts.joined(separator: "; ")
    }

    private static func note(on support: SettingSupport) -> String {
        switch support {
        case .built: ""
        case .ignored: "not needed"
        case .notBuilt: "no effect yet"
        case .removed: "no effect"
        }
    }

    private static func table<Target>(_ title: String, _ introduction: String, _ keys: [ConnectStringKey<Target>]) -> String {
        var text = "\n## \(title)\n\n\(introduction)\n\n| key | value | default | meaning |\n|---|---|---|---|\n"
        for key in keys {
            let meaning = cell(key.doc) + mark(note(on: key.isBuilt ? .built : .notBuilt))
            text += "| `\(key.name)` | \(cell(key.kind.summary)) | \(cell(key.fallback)) | \(meaning) |\n"
        }
        return text
    }

    private static func mark(_ note: String) -> String {
        note.isEmpty ? "" : " **(\(note))**"
    }

    private static func cell(_ text: String) -> String {
        String(text.flatMap { $0 == "|" ? "\\|" : String($0) })
    }
}
