import Bytes

/// Names with Unicode escapes: `U&"d\0061t\+000061"`, with `UESCAPE '!'` behind them where the escape is another character.
///
/// PostgreSQL documentation, section "Identifiers and Key Words".
extension SQLTokens {
    /// The name that begins at an index and that was just passed over; takes its UESCAPE, too.
    @_lifetime(self: copy self)
    mutating func unicodeQuoted(from start: Int) -> String? {
        let quotes = start + 2..<index
        // What is longer than this is cut in any case: four bytes in UTF-8 take at most twelve here.
        guard quotes.count - 2 <= Self.longestSource else { return nil }
        let source = quotes.dropFirst().dropLast().map { text[$0] }
        // There PostgreSQL's text ends.
        guard !source.contains(0) else { return nil }
        let behind = index
        var escape = UInt8(ascii: "\\")
        // Not by `next`: what follows may be such a name again, and so on to the end of the text.
        let (form, place) = pass()
        if form == .word, word(place..<index) == "uescape" {
            guard skipBlanks(), index + 2 < text.count, text[index] == UInt8(ascii: "'"), text[index + 2] == UInt8(ascii: "'"),
                Self.mayEscape(text[index + 1])
            else { return nil }
            escape = text[index + 1]
            index += 3
        } else {
            index = behind
        }
        guard let name = Self.unescaped(source, escape) else { return nil }
        return Self.identifier(name, of: name.span)
    }

    private static let longestSource = 1000

    private static func mayEscape(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "+"), UInt8(ascii: "'"), UInt8(ascii: "\""), 0x80...: false
        default: !DeallocateStatement.isSpace(byte) && Hexadecimal.value(of: byte) == nil
        }
    }

    /// The name's bytes in UTF-8; nil where PostgreSQL finds a fault.
    private static func unescaped(_ source: [UInt8], _ escape: UInt8) -> [UInt8]? {
        var name: [UInt8] = []
        var at = 0
        var surrogate: UInt32?
        while at < source.count {
            let byte = source[at]
            if byte != escape || at + 1 < source.count && source[at + 1] == escape {
                guard surrogate == nil else { return nil }
                name.append(byte)
                // A quote is doubled, as is the escape.
                at += byte == escape || byte == UInt8(ascii: "\"") ? 2 : 1
                continue
            }
            let isLong = at + 1 < source.count && source[at + 1] == UInt8(ascii: "+")
            let first = at + (isLong ? 2 : 1)
            let end = first + (isLong ? 6 : 4)
            guard end <= source.count else { return nil }
            var value: UInt32 = 0
            for digit in source[first..<end] {
                guard let number = Hexadecimal.value(of: digit) else { return nil }
                value = value << 4 | UInt32(number)
            }
            at = end
            if let high = surrogate {
                guard (0xDC00...0xDFFF).contains(value) else { return nil }
                value = 0x10000 + (high - 0xD800) << 10 + (value - 0xDC00)
                surrogate = nil
            } else if (0xD800...0xDBFF).contains(value) {
                surrogate = value
                continue
            }
            guard value != 0, let scalar = Unicode.Scalar(value) else { return nil }
            name += Array(String(scalar).utf8)
        }
        return surrogate == nil ? name : nil
    }
}
