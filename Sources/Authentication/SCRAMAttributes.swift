/// The comma-separated parts of a SCRAM message (RFC 5802, section 7), read from left to right.
struct SCRAMAttributes {
    /// What has not been read, without the comma before it; nil once the last part was taken.
    private var rest: ArraySlice<UInt8>?

    /// - Throws: ``SCRAMError/messageTooLong`` or ``SCRAMError/malformedMessage`` (empty, or with a NUL byte).
    init(_ message: [UInt8], limit: Int) throws(SCRAMError) {
        guard message.count <= limit else { throw .messageTooLong }
        guard !message.isEmpty, !message.contains(0) else { throw .malformedMessage }
        rest = message[...]
    }

    private mutating func pop() -> ArraySlice<UInt8>? {
        guard let remaining = rest else { return nil }
        guard let comma = remaining.firstIndex(of: Self.comma) else {
            rest = nil
            return remaining
        }
        rest = remaining[(comma + 1)...]
        return remaining[..<comma]
    }

    /// The next part, whatever it holds.
    mutating func next() throws(SCRAMError) -> ArraySlice<UInt8> {
        guard let part = pop() else { throw .malformedMessage }
        return part
    }

    /// The value of the next part, which must be the attribute of this name.
    mutating func value(of name: Unicode.Scalar) throws(SCRAMError) -> ArraySlice<UInt8> {
        guard let part = pop() else { throw .missingAttribute(name) }
        if Self.is(part, UInt8(ascii: "m")) { throw .unsupportedExtension }
        guard Self.is(part, UInt8(ascii: name)) else { throw .missingAttribute(name) }
        return part.dropFirst(2)
    }

    /// The value of the last part, which must be the attribute of this name; before it only optional extensions may stand.
    mutating func lastValue(of name: Unicode.Scalar) throws(SCRAMError) -> ArraySlice<UInt8> {
        guard let remaining = rest else { throw .missingAttribute(name) }
        let last: ArraySlice<UInt8>
        if let comma = remaining.lastIndex(of: Self.comma) {
            last = remaining[(comma + 1)...]
            rest = remaining[..<comma]
        } else {
            last = remaining
            rest = nil
        }
        guard Self.is(last, UInt8(ascii: name)) else { throw .missingAttribute(name) }
        try skipExtensions()
        return last.dropFirst(2)
    }

    /// Skips what remains, all of which must have the form of an optional extension: a letter, `=` and a value.
    mutating func skipExtensions() throws(SCRAMError) {
        while let part = pop() {
            guard let name = part.first, isLetter(name), Self.is(part, name) else { throw .malformedMessage }
            if name == UInt8(ascii: "m") { throw .unsupportedExtension }
        }
    }

    /// Whether everything was read.
    var isEmpty: Bool { rest == nil }

    private static let comma = UInt8(ascii: ",")

    /// Whether a part is the attribute of this name.
    private static func `is`(_ part: ArraySlice<UInt8>, _ name: UInt8) -> Bool {
        part.count >= 2 && part[part.startIndex] == name && part[part.startIndex + 1] == UInt8(ascii: "=")
    }

    private func isLetter(_ byte: UInt8) -> Bool {
        let letter = byte | 0x20
        return (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(letter)
    }
}
