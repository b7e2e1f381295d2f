import Bytes

/// Names with Unicode escapes: `U&"d\0061t\+000061"`, with `UESCAPE '!'` behind them where the escape is another character.
///
/// PostgreSQL documentation, section "Identifiers and Key Words".
extension SQLTokens {
    @_lifetime(self: copy self)
    mutating func unicodeQuoted() -> SQLToken {
        index += 2
        let start = index + 1
        skipQuoted(UInt8(ascii: "\""))
        // What is longer than this is cut in any case: four bytes in UTF-8 take at most twelve here.
        guard index - 1 - start <= Self.longestSource, index > start, text[index - 1] == UInt8(ascii: "\"") else { return .other }
        let source = (start..<index - 1).map { text[$0] }
        // There PostgreSQL's text ends.
        guard !source.contains(0) else { return .other }
        let behind = index
        var escape = UInt8(ascii: "\\")
        // Not by `next`: what follows may be such a name again, and so on to the end of the text.
        if skipBlanks(), index < text.count, Self.startsIdentifier(text[index]), word() == .word("uescape") {
            guard skipBlanks(), index + 2 < text.count, text[index] == UInt8(ascii: "'"), text[index + 2] == UInt8(ascii: "'"),
                Self.mayEscape(text[index + 1])
            else { return .other }
            escape = text[index + 1]
            index += 3
        } else {
            index = behind
        }
        guard let name = Self.unescaped(source, escape) else { return .other }
        return Self.identifier(name, of: name.span).map { .quoted($0) } ?? .other
    }

    private static let longestSource = 1000

    /// Up to and with the quote that ends the name, which is doubled where it belongs to it.
    @_lifetime(self: copy self)
    private mutating func skipQuoted(_ quote: UInt8) {
        index += 1
        while index < text.count {
            if text[index] == quote {
                guard index + 1 < text.count, text[index + 1] == quote else { break }
                index += 1
            }
            index += 1
        }
        index = min(index + 1, text.count)
    }

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
