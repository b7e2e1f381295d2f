/// What a message may hold when it becomes a line of the log: names and error texts come from strangers.
enum LogText {
    /// The text with each line but the first indented by a tab, so that none looks like a line of the log, and with control characters
    /// (which a terminal would obey) as `\x1b`.
    ///
    /// Goes by Unicode scalars: for a `Character`, CR LF is one thing that is neither CR nor LF.
    static func harmless(_ text: String) -> String {
        // 0xC2 begins the bytes of U+0080 to U+009F, and 0xF4 those of the code points that stand for bytes which are no text.
        guard text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F || $0 == 0xC2 || $0 == 0xF4 }) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x0A: result.append(contentsOf: "\n\t".unicodeScalars)
            case 0x09: result.append(scalar)
            case 0..<0x20, 0x7F..<0xA0:
                let digits = String(scalar.value, radix: 16)
                result.append(contentsOf: (digits.utf8.count < 2 ? "\\x0" : "\\x").unicodeScalars)
                result.append(contentsOf: digits.unicodeScalars)
            case 0x10_FF80...0x10_FFFF:
                result.append(contentsOf: "\\x\(String(scalar.value & 0xFF, radix: 16))".unicodeScalars)
            default: result.append(scalar)
            }
        }
        return String(result)
    }
}
