// Spans of bytes copied, compared and hashed at memory speed, with a safe surface. The rooms above contain no `unsafe`; a loop over a
// span's elements there would cost a nanosecond a byte on the query path.

#if canImport(Glibc)
    import Glibc
#endif

extension Array where Element == UInt8 {
    /// A copy of a span, in one move.
    @inlinable
    public init(copying bytes: Span<UInt8>) {
        self = bytes.withUnsafeBufferPointer { Array($0) }
    }

    /// Appends a copy of a span, in one move.
    @inlinable
    public mutating func append(copying bytes: Span<UInt8>) {
        bytes.withUnsafeBufferPointer { append(contentsOf: $0) }
    }

    /// Whether the array holds just the bytes of the span.
    @inlinable
    public func hasSameBytes(as bytes: Span<UInt8>) -> Bool {
        guard count == bytes.count else { return false }
        return self.withUnsafeBytes { mine in
            bytes.withUnsafeBytes { theirs in
                mine.isEmpty || memcmp(mine.baseAddress!, theirs.baseAddress!, mine.count) == 0
            }
        }
    }
}

extension Span<UInt8> {
    /// Where a byte occurs first.
    @inlinable
    public func firstIndex(of byte: UInt8) -> Int? { firstIndex(of: byte, in: indices) }

    /// Where a byte occurs first in a part of the span.
    @inlinable
    public func firstIndex(of byte: UInt8, in range: Range<Int>) -> Int? {
        extracting(range).withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress, let found = memchr(start, Int32(byte), bytes.count) else { return nil }
            return range.lowerBound + (UnsafeRawPointer(found) - start)
        }
    }

    /// Whether both hold the same bytes. Not for secrets: it stops at the first difference.
    @inlinable
    public func hasSameBytes(as other: Span<UInt8>) -> Bool { count == other.count && hasPrefix(other) }

    /// Whether the array holds the same bytes. Not for secrets.
    @inlinable
    public func hasSameBytes(as other: [UInt8]) -> Bool { hasSameBytes(as: other.span) }

    /// Whether the bytes begin with these. Not for secrets.
    @inlinable
    public func hasPrefix(_ prefix: [UInt8]) -> Bool { hasPrefix(prefix.span) }

    /// Whether the bytes begin with these. Not for secrets.
    @inlinable
    public func hasPrefix(_ prefix: Span<UInt8>) -> Bool {
        guard count >= prefix.count else { return false }
        return withUnsafeBytes { mine in
            prefix.withUnsafeBytes { $0.isEmpty || memcmp(mine.baseAddress!, $0.baseAddress!, $0.count) == 0 }
        }
    }
}

/// A keyed 64-bit hash for tables whose keys come from clients. The seed is drawn at start, so that nobody can aim at collisions
/// without being able to watch the timing of many lookups; tables compare the bytes all the same. It is drawn with that of Swift's own
/// tables: `SWIFT_DETERMINISTIC_HASHING=1`, which a simulation runs with, makes both the same each time.
public enum BytesHash {
    @usableFromInline static let seed = UInt64(bitPattern: Int64(Hasher().finalize())) | 1

    /// Folded multiplication over eight bytes at a time (the scheme of wyhash).
    @inlinable
    public static func of(_ bytes: Span<UInt8>) -> UInt64 {
        bytes.withUnsafeBytes { bytes in
            var hash = seed ^ UInt64(truncatingIfNeeded: bytes.count)
            var at = 0
            while at + 8 <= bytes.count {
                hash = fold(hash ^ bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self), 0x9E37_79B9_7F4A_7C15)
                at += 8
            }
            var tail: UInt64 = 0
            while at < bytes.count {
                tail = tail << 8 | UInt64(bytes[at])
                at += 1
            }
            return fold(hash ^ tail, 0xD6E8_FEB8_6659_FD93)
        }
    }

    @inlinable @inline(__always)
    static func fold(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = left.multipliedFullWidth(by: right)
        return product.high ^ product.low ^ seed
    }
}
