#if canImport(Glibc)
    import Glibc
#endif

/// A fixed piece of memory that keeps the beginning of something: filling it is one copy of at most its size, and allocates nothing.
public final class Excerpt {
    @usableFromInline let start: UnsafeMutableRawPointer
    /// How much is kept at most.
    public let capacity: Int
    /// How much is kept.
    @usableFromInline @exclusivity(unchecked) var length = 0

    /// Keeps nothing yet.
    public init(capacity: Int) {
        self.capacity = capacity
        start = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit { start.deallocate() }

    /// All of what was to be kept is there.
    public var isWhole: Bool { length < capacity }

    /// Keeps the beginning of these bytes in place of what was kept before.
    @inlinable @inline(__always)
    public func keep(_ bytes: Span<UInt8>) {
        bytes.withUnsafeBytes { bytes in
            guard let source = bytes.baseAddress else { return }
            length = min(bytes.count, capacity)
            memcpy(start, source, length)
        }
    }

    /// Forgets everything.
    public func clear() { length = 0 }

    /// A copy of what is kept.
    public var bytes: [UInt8] { Array(UnsafeRawBufferPointer(start: start, count: length)) }
}
