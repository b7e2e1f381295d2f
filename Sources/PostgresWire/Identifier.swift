/// A name as PostgreSQL keeps it.
public enum Identifier {
    /// Names are the same if as many of their first bytes are (`NAMEDATALEN`, less the NUL).
    @inlinable public static var significantBytes: Int { 63 }

    /// Whether the text may have an identifier that PostgreSQL cuts, of which it says so (NOTICE 42622) each time that it parses the text.
    public static func mayBeCut(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard bytes.holds(range) else { return false }
        var run = 0
        var quote: Int?
        for index in range {
            switch bytes[index] {
            case UInt8(ascii: "\""):
                if let start = quote, index - start - 1 > significantBytes { return true }
                quote = index
                run = 0
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x80...0xFF, UInt8(ascii: "_"), UInt8(ascii: "$"):
                run += 1
                if run > significantBytes { return true }
            default:
                run = 0
            }
        }
        return false
    }
}
