/// One token of a text, as far as DEALLOCATE needs to tell them apart.
enum SQLToken: Equatable {
    /// A key word or an identifier without quotes, in lower case.
    case word(String)
    /// An identifier that stood in quotes.
    case quoted(String)
    case semicolon
    case equalsSign
    case end
    /// Whatever else, and identifiers that are empty or not UTF-8.
    case other

    var identifier: String? {
        switch self {
        case .word(let name), .quoted(let name): name
        default: nil
        }
    }
}

/// Splits a text into tokens and passes over white space and comments.
///
/// PostgreSQL documentation, section "Lexical Structure".
struct SQLTokens: ~Escapable {
    let text: Span<UInt8>
    var index = 0

    @_lifetime(copy text)
    init(_ text: Span<UInt8>) {
        self.text = text
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
        guard skipBlanks() else { return .other }
        guard index < text.count else { return .end }
        switch text[index] {
        case UInt8(ascii: ";"):
            index += 1
            return .semicolon
        case UInt8(ascii: "="):
            index += 1
            return .equalsSign
        case UInt8(ascii: "\""):
            return quoted()
        case UInt8(ascii: "u"), UInt8(ascii: "U"):
            if isNext("&", "\"", at: index + 1) { return unicodeQuoted() }
            return word()
        case let byte where Self.startsIdentifier(byte):
            return word()
        default:
            return .other
        }
    }

    /// False when a comment has no end or holds a NUL.
    @_lifetime(self: copy self)
    mutating func skipBlanks() -> Bool {
        while index < text.count {
            if DeallocateStatement.isSpace(text[index]) {
                index += 1
            } else if isNext("-", "-") {
                while index < text.count, text[index] != 0x0A, text[index] != 0x0D {
                    if text[index] == 0 { return false }
                    index += 1
                }
            } else if isNext("/", "*") {
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
            if isNext("/", "*") {
                depth += 1
                index += 2
            } else if isNext("*", "/") {
                depth -= 1
                index += 2
                if depth == 0 { return true }
            } else {
                index += 1
            }
        }
        return false
    }

    private func isNext(_ first: Unicode.Scalar, _ second: Unicode.Scalar, at start: Int? = nil) -> Bool {
        let start = start ?? index
        return start + 1 < text.count && text[start] == UInt8(ascii: first) && text[start + 1] == UInt8(ascii: second)
    }

    @_lifetime(self: copy self)
    mutating func word() -> SQLToken {
        var name: [UInt8] = []
        let start = index
        while index < text.count, Self.continuesIdentifier(text[index]) {
            let byte = text[index]
            Self.keep((0x41...0x5A).contains(byte) ? byte | 0x20 : byte, in: &name)
            index += 1
        }
        return Self.identifier(name, of: text.extracting(start..<index)).map { .word($0) } ?? .other
    }

    @_lifetime(self: copy self)
    private mutating func quoted() -> SQLToken {
        var name: [UInt8] = []
        let start = index
        index += 1
        while index < text.count, text[index] != 0 {
            if text[index] == UInt8(ascii: "\"") {
                index += 1
                guard index < text.count, text[index] == UInt8(ascii: "\"") else {
                    return Self.identifier(name, of: text.extracting(start..<index)).map { .quoted($0) } ?? .other
                }
            }
            Self.keep(text[index], in: &name)
            index += 1
        }
        return .other
    }

    /// Adds to a name what is needed to cut it, and no more: texts come from clients, and may be one identifier.
    private static func keep(_ byte: UInt8, in name: inout [UInt8]) {
        if name.count <= Identifier.significantBytes { name.append(byte) }
    }

    /// The name as PostgreSQL keeps it: at most 63 bytes, cut between characters. Nil when empty or not UTF-8.
    static func identifier(_ name: [UInt8], of source: Span<UInt8>) -> String? {
        guard !name.isEmpty, (try? UTF8Span(validating: source)) != nil else { return nil }
        var end = min(name.count, Identifier.significantBytes)
        if end < name.count { while name[end] & 0xC0 == 0x80 { end -= 1 } }
        return String(decoding: name[..<end], as: UTF8.self)
    }

    static func startsIdentifier(_ byte: UInt8) -> Bool {
        byte >= 0x80 || byte == UInt8(ascii: "_") || (0x61...0x7A).contains(byte | 0x20)
    }

    static func continuesIdentifier(_ byte: UInt8) -> Bool {
        startsIdentifier(byte) || byte == UInt8(ascii: "$") || (0x30...0x39).contains(byte)
    }
}
