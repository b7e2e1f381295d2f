/// The versions of TLS that a `*_tls_protocols` setting allows.
struct TLSProtocols: OptionSet, Sendable {
    let rawValue: UInt8

    static let v10 = TLSProtocols(rawValue: 1)
    static let v11 = TLSProtocols(rawValue: 2)
    static let v12 = TLSProtocols(rawValue: 4)
    static let v13 = TLSProtocols(rawValue: 8)
    static let secure: TLSProtocols = [.v12, .v13]
    static let all: TLSProtocols = [.v10, .v11, .v12, .v13]

    private static let words: [String: TLSProtocols] = [
        "tlsv1.0": .v10, "tlsv1.1": .v11, "tlsv1.2": .v12, "tlsv1.3": .v13, "tlsv1": all, "secure": secure, "default": secure,
        "all": all,
    ]

    init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Words with commas or colons between them; `!` before one takes it away again.
    init?(parsing text: String) {
        var chosen: TLSProtocols = []
        var isFirst = true
        for part in text.lowercased().split(whereSeparator: { ",: \t".contains($0) }) {
            let isNegative = part.hasPrefix("!")
            guard let versions = Self.words[String(isNegative ? part.dropFirst() : part)] else { return nil }
            if isNegative {
                if isFirst { chosen = .all }
                chosen.subtract(versions)
            } else {
                chosen.formUnion(versions)
            }
            isFirst = false
        }
        guard !chosen.isEmpty else { return nil }
        self = chosen
    }
}
