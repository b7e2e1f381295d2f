import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// Memory for what strangers may make large. An allocation can fail, and then only the one who asked is refused.
///
/// Swift's own allocations end the process where there is no memory. So a block is refused while there is still some for them
/// (`reserve`), and what a client or a server can make large lies in blocks only.
///
/// Large blocks come from the kernel and go back to it at once. They grow without being copied.
public enum BlockMemory {
    /// From this size on a block is pages of its own. Whoever frees a block says its size, as it was asked for.
    @usableFromInline static let large = 256 * 1024
    /// Smaller ones are not counted.
    @usableFromInline static let small = 4096
    /// So much has to be left for all else; about so much is given away between two looks at it.
    private static let reserve = 32 << 20
    private static let interval = 4 << 20

    /// Bytes given away since the last look.
    private static let unchecked = Atomic<Int>(0)
    /// Two who look at the same time must not both take what is there once.
    private static let gate = Mutex(())

    /// Memory of so many bytes; nil where there is not enough.
    @inlinable
    public static func allocate(_ size: Int) -> UnsafeMutableRawPointer? {
        size < small ? malloc(size) : allocateCounted(size)
    }

    @usableFromInline
    static func allocateCounted(_ size: Int) -> UnsafeMutableRawPointer? {
        if size >= large {
            return gate.withLock { _ in isThere(reserve + size) ? map(size) : nil }
        }
        return admits(size) ? malloc(size) : nil
    }

    /// A block of another size with the same bytes, as far as they fit. Nil where there is not enough memory; then the old one is as it was.
    public static func resize(_ memory: UnsafeMutableRawPointer, from old: Int, to size: Int) -> UnsafeMutableRawPointer? {
        if old >= large, size >= large {
            let start = UInt(bitPattern: memory)
            let moved = gate.withLock { _ in
                size <= old || isThere(reserve + size - old) ? remap(start, pages(old), pages(size), 1) : .max
            }
            return moved == .max ? nil : UnsafeMutableRawPointer(bitPattern: moved)
        }
        guard let fresh = allocate(size) else { return nil }
        memcpy(fresh, memory, min(old, size))
        release(memory, old)
        return fresh
    }

    /// Gives back what `allocate` or `resize` gave for this size.
    @inlinable
    public static func release(_ memory: UnsafeMutableRawPointer, _ size: Int) {
        if size < large { free(memory) } else { unmap(memory, size) }
    }

    /// Gives the memory of a part of a large block back, of which nobody needs what is in it; nor what else is in the page where the
    /// part starts.
    public static func discard(_ memory: UnsafeMutableRawPointer, from start: Int, to end: Int) {
        let (first, last) = (start & ~4095, end & ~4095)
        if last > first { madvise(memory + first, last - first, Int32(MADV_DONTNEED)) }
    }

    @usableFromInline
    static func unmap(_ memory: UnsafeMutableRawPointer, _ size: Int) { munmap(memory, pages(size)) }

    private static func map(_ size: Int) -> UnsafeMutableRawPointer? {
        let memory = mmap(nil, pages(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        return memory == MAP_FAILED ? nil : memory
    }

    private static func pages(_ size: Int) -> Int { (size + 4095) & ~4095 }

    /// Whether the system would give so much.
    private static func isThere(_ size: Int) -> Bool {
        guard let probe = map(size) else { return false }
        munmap(probe, pages(size))
        return true
    }

    /// Whether a table may grow by so many bytes in Swift's memory, which can't be refused later on.
    public static func admits(_ size: Int) -> Bool {
        guard unchecked.add(size, ordering: .relaxed).newValue >= interval else { return true }
        guard gate.withLock({ _ in isThere(reserve) }) else { return false }
        unchecked.store(0, ordering: .relaxed)
        return true
    }
}

/// `mremap` of glibc, which Swift does not import because it takes a varying number of arguments: addresses as numbers, all
/// ones for a failure; flag 1 lets the pages move.
@_silgen_name("mremap")
private func remap(_ memory: UInt, _ old: Int, _ new: Int, _ flags: Int32) -> UInt

/// Bytes that never change, in a block of memory.
public struct ByteBlock: ~Copyable, @unchecked Sendable {
    // SAFETY (@unchecked Sendable): written in `init` only.
    @usableFromInline let start: UnsafeMutableRawPointer
    /// How many there are.
    public let count: Int

    /// A copy of these bytes; nil where there is not enough memory for it.
    public init?(copying bytes: Span<UInt8>) {
        guard let memory = BlockMemory.allocate(max(1, bytes.count)) else { return nil }
        start = memory
        count = bytes.count
        bytes.withUnsafeBytes { source in
            if let address = source.baseAddress { memcpy(memory, address, source.count) }
        }
    }

    deinit { BlockMemory.release(start, max(1, count)) }

    /// All of them.
    @inlinable
    public var bytes: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            let span = Span<UInt8>(_unsafeStart: UnsafePointer(start.assumingMemoryBound(to: UInt8.self)), count: count)
            return _overrideLifetime(span, borrowing: self)
        }
    }

    /// All of them, for as long as the object lives of which this is a constant. The compiler can't see that for itself.
    @inlinable
    @_lifetime(borrow owner)
    public func bytes(ofConstantOf owner: borrowing some AnyObject) -> Span<UInt8> {
        let span = Span<UInt8>(_unsafeStart: UnsafePointer(start.assumingMemoryBound(to: UInt8.self)), count: count)
        return _overrideLifetime(span, borrowing: owner)
    }
}
