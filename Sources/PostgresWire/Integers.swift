/// The big-endian 32-bit number at `offset`, or nil when it is not all there.
///
/// PostgreSQL documentation, section "Message Data Types".
@inlinable
public func readUInt32(_ bytes: Span<UInt8>, at offset: Int) -> UInt32? {
    guard offset >= 0, offset <= bytes.count &- 4 else { return nil }
    let word = bytes.extracting(offset..<offset &+ 4)
    return UInt32(word[0]) << 24 | UInt32(word[1]) << 16 | UInt32(word[2]) << 8 | UInt32(word[3])
}

/// The big-endian 16-bit number at `offset`, or nil when it is not all there.
@inlinable
public func readUInt16(_ bytes: Span<UInt8>, at offset: Int) -> UInt16? {
    guard offset >= 0, offset <= bytes.count &- 2 else { return nil }
    let word = bytes.extracting(offset..<offset &+ 2)
    return UInt16(word[0]) << 8 | UInt16(word[1])
}

/// The big-endian signed 16-bit number at `offset`, or nil when it is not all there.
@inlinable
public func readInt16(_ bytes: Span<UInt8>, at offset: Int) -> Int16? {
    readUInt16(bytes, at: offset).map { Int16(bitPattern: $0) }
}
