/// Splits a text into tokens and passes over white space and comments.
///
/// PostgreSQL documentation, section "Lexical Structure".
struct SQLTokens: ~Escapable {
    let text: Span<UInt8>
    /// A backslash escapes in ordinary strings (`standard_conforming_strings = off`).
    let escapes: Bool
    var index = 0
    /// Identifiers may be bytes in any encoding in which a byte below 80 stands for itself.
    var takesBytes = false

    @_lifetime(copy text)
    init(_ text: Span<UInt8>, escapes: Bool) {
        self.text = text
        self.escapes = escapes
    }

    /// What a token looks like, before its value is asked for.
    enum Form: Equatable {
        case word
        case quoted
        /// `U&"..."`, without the UESCAPE that may follow.
        case unicodeQuoted
        case string(escapes: Bool)
        /// A string of another kind, the value of which nobody needs: `B''`, `X''`, `U&''`.
        case otherString
        case dollarString
        case number
        case symbol
        case semicolon
        case end
        case broken
    }

    /// The next token without taking it.
    @_lifetime(self: copy self)
    mutating func peek() -> SQLToken {
        let start = index
        let token = next()
        index = start
        return token
    }

    @_lifetime(self: copy self)
    mutating func next() -> SQLToken {
        let (form, start) = pass()
        switch form {
        case .word: return word(start..<index).map { .word($0) } ?? .broken
        case .quoted: return quoted(start..<index).map { .quoted($0) } ?? .broken
        case .unicodeQuoted: return unicodeQuoted(from: start).map { .quoted($0) } ?? .broken
        case .string(let escapes): return .string(goesOn() ? nil : string(endingWith: start..<index, escapes: escapes))
        case .otherString: return .string(nil)
        case .dollarString: return .string(dollarString(start..<index))
        case .number: return Self.text(text.extracting(start..<index)).map { .number($0) } ?? .broken
        case .symbol: return .symbol(text[start])
        case .semicolon: return .semicolon
        case .end: return .end
        case .broken: return .broken
        }
    }

    /// Goes on behind the next semicolon that is no part of a string, a name or a comment, or to the end of the text.
    ///
    /// Semicolons inside a statement (of CREATE RULE, or the body of a function in SQL) end it, too: what follows them there is never looked for.
    @_lifetime(self: copy self)
    mutating func skipStatement() {
        while true {
            switch pass().form {
            case .semicolon, .end: return
            default: break
            }
        }
    }

    // MARK: Where a token ends

    /// Goes on behind the next token. Makes no value of it, since texts come from clients, and may be one long token.
    @_lifetime(self: copy self)
    mutating func pass() -> (form: Form, start: Int) {
        guard skipBlanks() else {
            index = text.count
            return (.broken, index)
        }
        let start = index
        return (start < text.count ? passToken() : .end, start)
    }

    @_lifetime(self: copy self)
    private mutating func passToken() -> Form {
        let byte = text[index]
        switch byte {
        case UInt8(ascii: ";"):
            index += 1
            return .semicolon
        case UInt8(ascii: "'"):
            return passString(escapes: escapes)
        case UInt8(ascii: "\""):
            return passQuoted(byte, escapes: false) ? .quoted : .broken
        case UInt8(ascii: "$"):
            return passDollar()
        case 0x30...0x39:
            while index < text.count, Self.continuesIdentifier(text[index]) || text[index] == UInt8(ascii: ".") { index += 1 }
            return .number
        case _ where Self.startsIdentifier(byte):
            return passPrefixed(byte | 0x20) ?? passWord()
        default:
            index += 1
            return .symbol
        }
    }

    /// A string or a name with a letter in front of its quote; nil where there is none.
    @_lifetime(self: copy self)
    private mutating func passPrefixed(_ letter: UInt8) -> Form? {
        let isString = index + 1 < text.count && text[index + 1] == UInt8(ascii: "'")
        switch letter {
        case UInt8(ascii: "e") where isString, UInt8(ascii: "n") where isString:
            index += 1
            return passString(escapes: escapes || letter == UInt8(ascii: "e"))
        case UInt8(ascii: "b") where isString, UInt8(ascii: "x") where isString:
            index += 1
            return passQuoted(UInt8(ascii: "'"), escapes: false) ? .otherString : .broken
        case UInt8(ascii: "u") where isNext("&", "'", at: index + 1):
            index += 2
            return passQuoted(UInt8(ascii: "'"), escapes: false) ? .otherString : .broken
        case UInt8(ascii: "u") where isNext("&", "\"", at: index + 1):
            index += 2
            return passQuoted(UInt8(ascii: "\""), escapes: false) ? .unicodeQuoted : .broken
        default:
            return nil
        }
    }

    @_lifetime(self: copy self)
    private mutating func passWord() -> Form {
        while index < text.count, Self.continuesIdentifier(text[index]) { index += 1 }
        return .word
    }

    @_lifetime(self: copy self)
    private mutating func passString(escapes: Bool) -> Form {
        passQuoted(UInt8(ascii: "'"), escapes: escapes) ? .string(escapes: escapes) : .broken
    }

    /// From a quote up to and with the one that ends what it begins. A doubled one belongs to it. False: there is no such end.
    @_lifetime(self: copy self)
    private mutating func passQuoted(_ quote: UInt8, escapes: Bool) -> Bool {
        index += 1
        while index < text.count {
            let byte = text[index]
            index += 1
            if byte == quote {
                guard index < text.count, text[index] == quote else { return true }
                index += 1
            } else if byte == UInt8(ascii: "\\"), escapes {
                index = min(index + 1, text.count)
            }
        }
        return false
    }

    /// `$tag$...$tag$`, or a dollar that begins nothing, as that of a parameter, whose number comes next.
    @_lifetime(self: copy self)
    private mutating func passDollar() -> Form {
        let start = index
        index += 1
        var end = index
        while end < text.count, Self.continuesIdentifier(text[end]), text[end] != UInt8(ascii: "$") { end += 1 }
        guard end < text.count, text[end] == UInt8(ascii: "$"), end == index || Self.startsIdentifier(text[index]) else { return .symbol }
        let tag = text.extracting(start...end)
        index = end + 1
        while index + tag.count <= text.count {
            if text[index] == UInt8(ascii: "$"), tag.indices.allSatisfy({ text[index + $0] == tag[$0] }) {
                index += tag.count
                return .dollarString
            }
            index += 1
        }
        index = text.count
        return .broken
    }

    // MARK: Blanks

    /// False when a comment has no end or holds a NUL.
    @_lifetime(self: copy self)
    mutating func skipBlanks() -> Bool {
        while index < text.count {
            if DeallocateStatement.isSpace(text[index]) {
                index += 1
            } else if isNext("-", "-", at: index) {
                while index < text.count, text[index] != 0x0A, text[index] != 0x0D {
                    if text[index] == 0 { return false }
                    index += 1
                }
            } else if isNext("/", "*", at: index) {
                guard skipComment() else { return false }
            } else {
                return true
            }
        }
        return true
    }

    /// Comments nest.
    @_lifetime(self: copy self)
    private mutating func skipComment() -> Bool {
        var depth = 0
        while index < text.count, text[index] != 0 {
            if isNext("/", "*", at: index) {
                depth += 1
                index += 2
            } else if isNext("*", "/", at: index) {
                depth -= 1
                index += 2
                if depth == 0 { return true }
            } else {
                index += 1
            }
        }
        return false
    }

    private func isNext(_ first: Unicode.Scalar, _ second: Unicode.Scalar, at start: Int) -> Bool {
        start + 1 < text.count && text[start] == UInt8(ascii: first) && text[start + 1] == UInt8(ascii: second)
    }

    private static func startsIdentifier(_ byte: UInt8) -> Bool {
        byte >= 0x80 || byte == UInt8(ascii: "_") || (0x61...0x7A).contains(byte | 0x20)
    }

    private static func continuesIdentifier(_ byte: UInt8) -> Bool {
        startsIdentifier(byte) || byte == UInt8(ascii: "$") || (0x30...0x39).contains(byte)
    }
}
