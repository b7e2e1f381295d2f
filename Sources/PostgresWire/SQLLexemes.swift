/// A token of a text with the values that literals have.
enum SQLLexeme: Equatable {
    /// A key word or an identifier without quotes, in lower case.
    case word(String)
    /// An identifier that stood in quotes.
    case quoted(String)
    /// A string; nil where its value is not certain: it has escapes, or bytes that are no UTF-8.
    case string(String?)
    case number(String)
    case symbol(UInt8)
    case semicolon
    case end
    /// What can't be read: a comment, string or name without an end, or a name that is empty or not UTF-8.
    case broken
}

extension SQLTokens {
    /// The next token with its value. `escapes`: a backslash escapes in ordinary strings.
    @_lifetime(self: copy self)
    mutating func lexeme(escapes: Bool) -> SQLLexeme {
        guard skipBlanks() else {
            index = text.count
            return .broken
        }
        guard index < text.count else { return .end }
        let start = index
        let byte = text[start]
        switch byte {
        case UInt8(ascii: "'"):
            return string(escapes: escapes)
        case UInt8(ascii: "$"):
            if start + 1 < text.count, (0x30...0x39).contains(text[start + 1]) {
                // A parameter: its number comes next.
                index += 1
                return .symbol(byte)
            }
            skipDollarQuoted()
            return index > start + 1 ? dollarString(from: start) : .symbol(byte)
        case 0x30...0x39:
            while index < text.count, Self.continuesIdentifier(text[index]) || text[index] == UInt8(ascii: ".") { index += 1 }
            return Self.text(text.extracting(start..<index)).map { .number($0) } ?? .broken
        case let first where Self.startsIdentifier(first) && start + 1 < text.count && text[start + 1] == UInt8(ascii: "'"):
            // E'', B'', X'' and N'': of these only N'' is an ordinary string.
            index += 1
            switch first | 0x20 {
            case UInt8(ascii: "e"): return string(escapes: true)
            case UInt8(ascii: "n"): return string(escapes: escapes)
            default:
                _ = string(escapes: false)
                return .string(nil)
            }
        case UInt8(ascii: "u"), UInt8(ascii: "U"):
            if start + 2 < text.count, text[start + 1] == UInt8(ascii: "&"), text[start + 2] == UInt8(ascii: "'") {
                index += 2
                _ = string(escapes: false)
                return .string(nil)
            }
        default:
            break
        }
        switch next() {
        case .word(let name): return .word(name)
        case .quoted(let name): return .quoted(name)
        case .semicolon: return .semicolon
        case .equalsSign: return .symbol(byte)
        case .end: return .end
        case .other:
            if index == start {
                index += 1
                return .symbol(byte)
            }
            return .broken
        }
    }

    /// From the quote on. A doubled quote is one of the string's own; a string in two parts across a line break is not put together, and
    /// so its value is not known.
    @_lifetime(self: copy self)
    private mutating func string(escapes: Bool) -> SQLLexeme {
        var value: [UInt8] = []
        var isCertain = true
        index += 1
        while index < text.count {
            let byte = text[index]
            index += 1
            if byte == UInt8(ascii: "'") {
                guard index < text.count, text[index] == byte else {
                    let behind = index
                    let goesOn = skipBlanks() && index < text.count && text[index] == UInt8(ascii: "'")
                    index = behind
                    return .string(isCertain && !goesOn ? Self.text(value.span) : nil)
                }
                index += 1
            } else if byte == UInt8(ascii: "\\"), escapes {
                isCertain = false
                index = min(index + 1, text.count)
                continue
            }
            if value.count > Self.longestValue { isCertain = false } else { value.append(byte) }
        }
        return .broken
    }

    private func dollarString(from start: Int) -> SQLLexeme {
        var tag = 1
        while start + tag < index, text[start + tag] != UInt8(ascii: "$") { tag += 1 }
        tag += 1
        guard index - start >= 2 * tag, index - start - 2 * tag <= Self.longestValue else { return .string(nil) }
        return .string(Self.text(text.extracting(start + tag..<index - tag)))
    }

    /// No value of a setting that is looked at is as long.
    private static let longestValue = 4096

    private static func text(_ bytes: Span<UInt8>) -> String? {
        guard (try? UTF8Span(validating: bytes)) != nil else { return nil }
        var copy: [UInt8] = []
        for index in bytes.indices { copy.append(bytes[index]) }
        return String(decoding: copy, as: UTF8.self)
    }
}
