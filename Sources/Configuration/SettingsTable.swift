/// All settings as data. The file parser, the console's SHOW CONFIG and SET, the sample file and the reference page read this table.
public enum SettingsTable {
    /// The global settings, alphabetically, which is the order of SHOW CONFIG.
    public static let all: [SettingSpecification] = topics.flatMap(\.settings).sorted { $0.name < $1.name }

    /// Finds a global setting by its name.
    public static func named(_ name: String) -> SettingSpecification? {
        byName[name]
    }

    /// The global settings as a reader looks for them.
    static let topics: [(title: String, settings: [SettingSpecification])] = [
        ("Where clients connect", sockets),
        ("Who may come in", authentication),
        ("Pools", pooling),
        ("Times", timeouts),
        ("Log and statistics", logging),
        ("The process", process),
        ("TLS", tls),
    ]

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
}
