import Bytes
import PostgresWire

/// What a message may hold when it becomes a line of text: names and error texts come from strangers.
enum LogText {
    /// The text with control characters, which a terminal would obey, as `\x1b`, and so bytes that are no UTF-8.
    ///
    /// Goes by Unicode scalars: for a `Character`, CR LF is one thing that is neither CR nor LF.
    ///
    /// - Parameter lineFeed: what stands for a line feed. A tab behind it keeps the rest from looking like a line of the log; where each line
    ///   is a message for itself, as in the system's log, it must be none.
    static func harmless(_ text: String, lineFeed: String = "\n\t") -> String {
        // 0xC2 begins the bytes of U+0080 to U+009F, and 0xF4 those of the code points that stand for bytes which are no text.
        guard text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F || $0 == 0xC2 || $0 == 0xF4 }) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.printable.unicodeScalars {
            switch scalar.value {
            case 0x0A: result.append(contentsOf: lineFeed.unicodeScalars)
            case 0x09: result.append(scalar)
            case 0..<0x20, 0x7F..<0xA0:
                result.append(contentsOf: "\\x\(Hexadecimal.text([UInt8(scalar.value)]))".unicodeScalars)
            default: result.append(scalar)
            }
        }
        return String(result)
    }

    /// The text in one line.
    static func oneLine(_ text: String) -> String { harmless(text, lineFeed: "\\x0a") }
}
