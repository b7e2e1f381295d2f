import Bytes

/// The header of one message: its type and how many bytes it takes, type byte and length field included.
///
/// PostgreSQL documentation, section "Messaging Overview".
public struct Frame: Equatable, Sendable {
    /// One of the constants in `Frontend` or `Backend`, or whatever byte the peer sent.
    public let type: UInt8
    /// The bytes of the whole message, type byte included; 5 or more.
    public let length: Int

    /// Only `peekFrame` makes frames, so that `length` can be trusted.
    @inlinable
    init(type: UInt8, length: Int) {
        self.type = type
        self.length = length
    }

    /// Where the body lies when the message starts at `offset`. The end may lie beyond the bytes that have arrived.
    @inlinable
    public func body(at offset: Int) -> Range<Int> {
        offset + 5..<offset + length
    }
}

/// What `peekFrame` found.
public enum FramePeek: Equatable, Sendable {
    /// A header; the body need not have arrived.
    case frame(Frame)
    /// Fewer than the five bytes of a header are there.
    case short
    /// The length is below 4 or above `Int32.max`: the stream cannot be followed any more.
    case malformed
}

/// Reads the message header at `offset`.
///
/// The shape of this function makes the compiler emit one bounds check, one four-byte load and one swap; taking the
/// bytes apart or testing the two limits of the length separately brings back four loads.
@inlinable
public func peekFrame(_ bytes: Span<UInt8>, at offset: Int) -> FramePeek {
    guard offset >= 0, offset <= bytes.count &- 5 else { return .short }
    let header = bytes.extracting(offset..<offset &+ 5)
    let word = UInt32(header[1]) << 24 | UInt32(header[2]) << 16 | UInt32(header[3]) << 8 | UInt32(header[4])
    // Read as signed, what is above Int32.max is negative and fails the same test.
    let length = Int32(bitPattern: word)
    guard length >= 4 else { return .malformed }
    return .frame(Frame(type: header[0], length: Int(length) &+ 1))
}

/// As many as eight of the bytes that have arrived from an offset on, in hexadecimal: for messages about what is no header.
public func headerDigits(_ bytes: Span<UInt8>, at offset: Int) -> String {
    guard offset >= 0, offset <= bytes.count else { return "" }
    let header = bytes.extracting(offset...).extracting(first: 8)
    return Hexadecimal.text([UInt8](copying: header))
}
