/// 'now' and its like.
public enum TimeLiteral {
    /// Whether the text has a literal that PostgreSQL turns into the time of the Parse: 'now' and its like.
    public static func isIn(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard bytes.holds(range) else { return false }
        let text = bytes.extracting(range)
        guard mayHaveTimeLiteral(text) else { return false }
        var tokens = SQLTokens(text, escapes: false)
        while true {
            switch tokens.next() {
            case .string(let value):
                guard let value else { return true }
                let words = value.lowercased().split { !$0.isLetter }
                if words.contains(where: { timeWords.contains(String($0)) }) { return true }
            case .broken: return true
            case .end: return false
            default: break
            }
        }
    }

    private static let timeWords: Set<String> = ["now", "today", "tomorrow", "yesterday", "allballs"]

    /// "now", "tod", "tom", "yes" or "all" behind a quote, with blanks or other words between them.
    private static func mayHaveTimeLiteral(_ text: Span<UInt8>) -> Bool {
        var hasQuote = false
        var index = 0
        while index &+ 2 < text.count {
            let byte = text[index]
            if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "$") {
                hasQuote = true
            } else if hasQuote {
                switch (byte | 0x20, text[index &+ 1] | 0x20, text[index &+ 2] | 0x20) {
                case (0x6E, 0x6F, 0x77), (0x74, 0x6F, 0x64), (0x74, 0x6F, 0x6D), (0x79, 0x65, 0x73), (0x61, 0x6C, 0x6C): return true
                default: break
                }
            }
            index &+= 1
        }
        return false
    }
}
