/// Where a statement ends.
extension SQLTokens {
    /// Goes on behind the next semicolon that is no part of a string, a name or a comment, or to the end of the text. `escapes`: a backslash
    /// escapes in ordinary strings.
    ///
    /// Semicolons inside a statement (of CREATE RULE, or the body of a function in SQL) end it, too: what follows them there is never looked for.
    @_lifetime(self: copy self)
    mutating func skipStatement(escapes: Bool) {
        while skipBlanks(), index < text.count {
            switch text[index] {
            case UInt8(ascii: ";"):
                index += 1
                return
            case UInt8(ascii: "'"):
                skipQuoted(UInt8(ascii: "'"), escapes: escapes)
            case UInt8(ascii: "\""):
                skipQuoted(UInt8(ascii: "\""), escapes: false)
            case UInt8(ascii: "$"):
                skipDollarQuoted()
            case let byte where Self.startsIdentifier(byte):
                let start = index
                while index < text.count, Self.continuesIdentifier(text[index]) { index += 1 }
                // E'...' has escapes whatever is set; U&'...' has none, and ends where an ordinary string would.
                if index == start + 1, text[start] | 0x20 == UInt8(ascii: "e"), index < text.count, text[index] == UInt8(ascii: "'") {
                    skipQuoted(UInt8(ascii: "'"), escapes: true)
                }
            default:
                index += 1
            }
        }
        index = text.count
    }

    /// Goes on behind a string or a quoted name. A quote in it is doubled.
    @_lifetime(self: copy self)
    private mutating func skipQuoted(_ quote: UInt8, escapes: Bool) {
        index += 1
        while index < text.count {
            let byte = text[index]
            index += 1
            if byte == UInt8(ascii: "\\"), escapes {
                index = min(index + 1, text.count)
            } else if byte == quote {
                // A doubled one begins another string here: it ends in the same place.
                return
            }
        }
    }

    /// Goes on behind `$tag$...$tag$`, or behind a dollar that begins nothing.
    @_lifetime(self: copy self)
    mutating func skipDollarQuoted() {
        let start = index
        index += 1
        while index < text.count, Self.continuesIdentifier(text[index]), text[index] != UInt8(ascii: "$") { index += 1 }
        guard index < text.count, text[index] == UInt8(ascii: "$"), index == start + 1 || Self.startsIdentifier(text[start + 1]) else {
            return
        }
        index += 1
        let tag = text.extracting(start..<index)
        while index + tag.count <= text.count {
            if text[index] == UInt8(ascii: "$"), tag.indices.allSatisfy({ text[index + $0] == tag[$0] }) {
                index += tag.count
                return
            }
            index += 1
        }
        index = text.count
    }
}
