/// The values of tokens.
extension SQLTokens {
    func word(_ range: Range<Int>) -> String? {
        var name: [UInt8] = []
        for index in range {
            let byte = text[index]
            Self.keep((0x41...0x5A).contains(byte) ? byte | 0x20 : byte, in: &name)
        }
        return identifier(name, of: text.extracting(range))
    }

    /// The name in a range that begins and ends with a quote.
    func quoted(_ range: Range<Int>) -> String? {
        var name: [UInt8] = []
        var at = range.lowerBound + 1
        while at < range.upperBound - 1 {
            let byte = text[at]
            // There PostgreSQL's text ends.
            if byte == 0 { return nil }
            Self.keep(byte, in: &name)
            at += byte == UInt8(ascii: "\"") ? 2 : 1
        }
        return identifier(name, of: text.extracting(range))
    }

    /// Adds to a name what is needed to cut it, and no more: texts come from clients, and may be one identifier.
    private static func keep(_ byte: UInt8, in name: inout [UInt8]) {
        if name.count <= Identifier.significantBytes { name.append(byte) }
    }

    private func identifier(_ name: [UInt8], of source: Span<UInt8>) -> String? {
        if let name = Self.identifier(name, of: source) { return name }
        // Where PostgreSQL cuts it, its encoding decides.
        guard takesBytes, !name.isEmpty, name.count <= Identifier.significantBytes else { return nil }
        return String(decoding: name.span, in: 0..<name.count)
    }

    /// The name as PostgreSQL keeps it: at most 63 bytes, cut between characters. Nil when empty or not UTF-8.
    static func identifier(_ name: [UInt8], of source: Span<UInt8>) -> String? {
        guard !name.isEmpty, (try? UTF8Span(validating: source)) != nil else { return nil }
        var end = min(name.count, Identifier.significantBytes)
        if end < name.count { while name[end] & 0xC0 == 0x80 { end -= 1 } }
        return String(decoding: name[..<end], as: UTF8.self)
    }

    /// Whether another string follows the one that was just passed over. Both are one where a line break lies between them. They are not put
    /// together here, so the value is not known.
    @_lifetime(self: copy self)
    mutating func goesOn() -> Bool {
        let behind = index
        defer { index = behind }
        return skipBlanks() && index < text.count && text[index] == UInt8(ascii: "'")
    }

    /// The value of a string that ends where the range does, and begins there with a quote or a letter in front of it.
    func string(endingWith range: Range<Int>, escapes: Bool) -> String? {
        var at = range.lowerBound + (text[range.lowerBound] == UInt8(ascii: "'") ? 1 : 2)
        guard range.upperBound - at <= Self.longestValue else { return nil }
        var value: [UInt8] = []
        while at < range.upperBound - 1 {
            let byte = text[at]
            if escapes, byte == UInt8(ascii: "\\") { return nil }
            value.append(byte)
            at += byte == UInt8(ascii: "'") ? 2 : 1
        }
        return Self.text(value.span)
    }

    /// The value of `$tag$...$tag$`.
    func dollarString(_ range: Range<Int>) -> String? {
        var tag = range.lowerBound + 1
        while text[tag] != UInt8(ascii: "$") { tag += 1 }
        let value = tag + 1..<range.upperBound - (tag + 1 - range.lowerBound)
        return value.count <= Self.longestValue ? Self.text(text.extracting(value)) : nil
    }

    /// No value of a setting that is looked at is as long.
    private static let longestValue = 4096

    static func text(_ bytes: Span<UInt8>) -> String? {
        guard let text = try? UTF8Span(validating: bytes) else { return nil }
        return String(copying: text)
    }
}
