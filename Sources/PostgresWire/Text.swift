extension Span where Element == UInt8 {
    /// Whether `range` lies inside this span.
    @inlinable
    func holds(_ range: Range<Int>) -> Bool {
        range.lowerBound >= 0 && range.upperBound <= count
    }
}

/// Where the first NUL byte of `range` is, or nil when there is none or the range is not inside `bytes`.
///
/// Looks at eight bytes at a time: statement texts are long.
@inlinable
public func firstNUL(_ bytes: Span<UInt8>, in range: Range<Int>) -> Int? {
    guard bytes.holds(range) else { return nil }
    // Most names are empty.
    if !range.isEmpty, bytes[range.lowerBound] == 0 { return range.lowerBound }
    let text = bytes.extracting(range)
    var index = 0
    while index <= text.count &- 8 {
        let eight = text.extracting(index..<index &+ 8)
        let low = UInt64(eight[0]) | UInt64(eight[1]) << 8 | UInt64(eight[2]) << 16 | UInt64(eight[3]) << 24
        let high = UInt64(eight[4]) << 32 | UInt64(eight[5]) << 40 | UInt64(eight[6]) << 48 | UInt64(eight[7]) << 56
        let word = low | high
        let zeros = (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
        if zeros != 0 { return range.lowerBound &+ index &+ zeros.trailingZeroBitCount / 8 }
        index &+= 8
    }
    while index < text.count {
        if text[index] == 0 { return range.lowerBound &+ index }
        index &+= 1
    }
    return nil
}

extension [UInt8] {
    /// A copy of `range`; empty when the range is not inside `bytes`.
    public init(copying bytes: Span<UInt8>, in range: Range<Int>) {
        self = []
        append(copying: bytes, in: range)
    }

    /// Appends a copy of `range`; nothing when the range is not inside `bytes`.
    @inlinable
    public mutating func append(copying bytes: Span<UInt8>, in range: Range<Int>) {
        guard bytes.holds(range) else { return }
        let source = bytes.extracting(range)
        append(addingCapacity: source.count) { output in
            for index in source.indices { output.append(source[index]) }
        }
    }
}
