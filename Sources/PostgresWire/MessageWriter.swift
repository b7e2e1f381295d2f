/// Builds messages, one after the other, into one array that leaves in one `send`.
///
/// Whatever the arguments are, each message is well formed: texts end at their first NUL, which would otherwise let a
/// client's name or password grow a field of its own, and lengths are counted from the bytes written. Keep one writer and
/// call `removeAll` to write without allocating.
public struct MessageWriter: Sendable {
    public var bytes: [UInt8]

    @inlinable
    public init() {
        bytes = []
    }

    /// With room for so many bytes.
    @inlinable
    public init(capacity: Int) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    /// Forgets the messages and keeps the memory.
    @inlinable
    public mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
    }

    /// Appends bytes that are messages already, or a piece of one whose header was written.
    @inlinable
    public mutating func raw(_ source: Span<UInt8>, _ range: Range<Int>) {
        bytes.append(copying: source, in: range)
    }

    /// Starts a message; `end` fills in the length.
    @inlinable
    mutating func begin(_ type: UInt8) -> Int {
        bytes.append(type)
        let start = bytes.count
        word(0)
        return start
    }

    /// Counts the message that `begin` started and of which `following` bytes are not written here.
    @inlinable
    mutating func end(_ start: Int, following: Int = 0) {
        let (sum, overflow) = (bytes.count &- start).addingReportingOverflow(max(0, following))
        put(overflow ? .max : UInt32(clamping: sum), at: start)
    }

    @inlinable
    mutating func put(_ value: UInt32, at index: Int) {
        bytes[index] = UInt8(truncatingIfNeeded: value >> 24)
        bytes[index + 1] = UInt8(truncatingIfNeeded: value >> 16)
        bytes[index + 2] = UInt8(truncatingIfNeeded: value >> 8)
        bytes[index + 3] = UInt8(truncatingIfNeeded: value)
    }

    /// A message without a body.
    @inlinable
    mutating func empty(_ type: UInt8) {
        bytes.append(type)
        word(4)
    }

    @inlinable
    mutating func word(_ value: UInt32) {
        bytes.append(addingCapacity: 4) { bytes in
            bytes.append(UInt8(truncatingIfNeeded: value >> 24))
            bytes.append(UInt8(truncatingIfNeeded: value >> 16))
            bytes.append(UInt8(truncatingIfNeeded: value >> 8))
            bytes.append(UInt8(truncatingIfNeeded: value))
        }
    }

    @inlinable
    mutating func half(_ value: UInt16) {
        bytes.append(UInt8(truncatingIfNeeded: value >> 8))
        bytes.append(UInt8(truncatingIfNeeded: value))
    }

    /// A text and its NUL; the text ends at its own first NUL if it has one.
    @inlinable
    mutating func text(_ value: String) {
        let start = bytes.count
        bytes.append(contentsOf: value.utf8)
        if value.utf8.contains(ByteText.lead) { ByteText.restore(&bytes, from: start) }
        endText(start)
    }

    @inlinable
    mutating func text(_ value: [UInt8]) {
        let start = bytes.count
        bytes.append(contentsOf: value)
        endText(start)
    }

    @inlinable
    mutating func text(_ source: Span<UInt8>, _ range: Range<Int>) {
        let start = bytes.count
        bytes.append(copying: source, in: range)
        endText(start)
    }

    @inlinable
    mutating func endText(_ start: Int) {
        if let end = firstNUL(bytes.span, in: start..<bytes.count) { bytes.removeSubrange(end...) }
        bytes.append(0)
    }

    /// A count and that many texts, each with its length, nil as NULL: the values of Bind and DataRow.
    mutating func values(_ values: [String?]) {
        half(UInt16(clamping: values.count))
        for value in values.prefix(Int(UInt16.max)) {
            guard let value else {
                word(.max)
                continue
            }
            let start = bytes.count
            word(0)
            bytes.append(contentsOf: value.utf8)
            if value.utf8.contains(ByteText.lead) { ByteText.restore(&bytes, from: start + 4) }
            // Here the length does not count itself.
            put(UInt32(clamping: bytes.count - start - 4), at: start)
        }
    }
}
