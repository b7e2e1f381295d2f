/// The comma-separated parts of a SCRAM message (RFC 5802, section 7), read from left to right.
struct SCRAMAttributes {
    private var parts: ArraySlice<ArraySlice<UInt8>>

    /// - Throws: ``SCRAMError/messageTooLong`` or ``SCRAMError/malformedMessage`` (empty, or with a NUL byte).
    init(_ message: [UInt8], limit: Int) throws(SCRAMError) {
        guard message.count <= limit else { throw .messageTooLong }
        guard !message.isEmpty, !message.contains(0) else { throw .malformedMessage }
        parts = message.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)[...]
    }

    /// The next part, whatever it holds.
    mutating func next() throws(SCRAMError) -> ArraySlice<UInt8> {
        guard let part = parts.popFirst() else { throw .malformedMessage }
        return part
    }

    /// The value of the next part, which must be the attribute of this name.
    mutating func value(of name: Unicode.Scalar) throws(SCRAMError) -> ArraySlice<UInt8> {
        guard let part = parts.popFirst() else { throw .missingAttribute(name) }
        if part.starts(with: "m=".utf8) { throw .unsupportedExtension }
        guard part.starts(with: [UInt8(ascii: name), UInt8(ascii: "=")]) else { throw .missingAttribute(name) }
        return part.dropFirst(2)
    }

    /// The value of the last part, which must be the attribute of this name; before it only optional extensions may stand.
    mutating func lastValue(of name: Unicode.Scalar) throws(SCRAMError) -> ArraySlice<UInt8> {
        guard let last = parts.popLast(), last.starts(with: [UInt8(ascii: name), UInt8(ascii: "=")]) else { throw .missingAttribute(name) }
        try skipExtensions()
        return last.dropFirst(2)
    }

    /// Skips what remains, all of which must have the form of an optional extension: a letter, `=` and a value.
    mutating func skipExtensions() throws(SCRAMError) {
        for part in parts {
            guard part.count >= 2, let name = part.first, isLetter(name), part.dropFirst().first == UInt8(ascii: "=") else {
                throw .malformedMessage
            }
            if name == UInt8(ascii: "m") { throw .unsupportedExtension }
        }
        parts = []
    }

    /// Whether everything was read.
    var isEmpty: Bool { parts.isEmpty }

    private func isLetter(_ byte: UInt8) -> Bool {
        let letter = byte | 0x20
        return (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(letter)
    }
}
