import Bytes

/// The comma-separated parts of a SCRAM message (RFC 5802, section 7), read from left to right, in place.
struct SCRAMAttributes: ~Escapable {
    private let message: Span<UInt8>
    /// What has not been read, without the comma before it; nil once the last part was taken.
    private var rest: Range<Int>?

    /// - Throws: ``SCRAMError/messageTooLong`` or ``SCRAMError/malformedMessage`` (empty, or with a NUL byte).
    @_lifetime(copy message)
    init(_ message: Span<UInt8>, limit: Int) throws(SCRAMError) {
        guard message.count <= limit else { throw .messageTooLong }
        guard !message.isEmpty, message.firstIndex(of: 0) == nil else { throw .malformedMessage }
        self.message = message
        rest = message.indices
    }

    @_lifetime(self: copy self)
    private mutating func pop() -> Range<Int>? {
        guard let remaining = rest else { return nil }
        guard let comma = message.firstIndex(of: Self.comma, in: remaining) else {
            rest = nil
            return remaining
        }
        rest = comma + 1..<remaining.upperBound
        return remaining.lowerBound..<comma
    }

    /// Where the next part is, whatever it holds.
    @_lifetime(self: copy self)
    mutating func next() throws(SCRAMError) -> Range<Int> {
        guard let part = pop() else { throw .malformedMessage }
        return part
    }

    /// Where the value of the next part is, which must be the attribute of this name.
    @_lifetime(self: copy self)
    mutating func value(of name: Unicode.Scalar) throws(SCRAMError) -> Range<Int> {
        guard let part = pop() else { throw .missingAttribute(name) }
        if isAttribute(part, UInt8(ascii: "m")) { throw .unsupportedExtension }
        guard isAttribute(part, UInt8(ascii: name)) else { throw .missingAttribute(name) }
        return part.lowerBound + 2..<part.upperBound
    }

    /// Where the value of the last part is, which must be the attribute of this name; before it only optional extensions may stand.
    @_lifetime(self: copy self)
    mutating func lastValue(of name: Unicode.Scalar) throws(SCRAMError) -> Range<Int> {
        guard let remaining = rest else { throw .missingAttribute(name) }
        var last = remaining
        rest = nil
        for index in remaining.reversed() where message[index] == Self.comma {
            last = index + 1..<remaining.upperBound
            rest = remaining.lowerBound..<index
            break
        }
        guard isAttribute(last, UInt8(ascii: name)) else { throw .missingAttribute(name) }
        try skipExtensions()
        return last.lowerBound + 2..<last.upperBound
    }

    /// Skips what remains, all of which must have the form of an optional extension: a letter, `=` and a value.
    @_lifetime(self: copy self)
    mutating func skipExtensions() throws(SCRAMError) {
        while let part = pop() {
            guard !part.isEmpty, isLetter(message[part.lowerBound]), isAttribute(part, message[part.lowerBound]) else {
                throw .malformedMessage
            }
            if message[part.lowerBound] == UInt8(ascii: "m") { throw .unsupportedExtension }
        }
    }

    /// Whether everything was read.
    var isEmpty: Bool { rest == nil }

    private static let comma = UInt8(ascii: ",")

    /// Whether a part is the attribute of this name.
    private func isAttribute(_ part: Range<Int>, _ name: UInt8) -> Bool {
        part.count >= 2 && message[part.lowerBound] == name && message[part.lowerBound + 1] == UInt8(ascii: "=")
    }

    private func isLetter(_ byte: UInt8) -> Bool {
        let letter = byte | 0x20
        return (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(letter)
    }
}
