import Bytes
import Glibc

/// Pieces of memory of one size for `HeldBytes`, which are used again and again instead of being allocated.
///
/// Not thread-safe: each worker has its own.
public final class ChunkPool {
    /// Usable bytes of a piece; most messages are shorter.
    static let chunkSize = 512
    private let limit: Int
    /// Pieces that exist, lent or not.
    private(set) var made = 0
    private var spare: UnsafeMutablePointer<HeldBytes.Header>?

    /// `limit`: more pieces than these are never made. Whoever holds bytes when all are lent has memory of its own.
    public init(limit: Int) { self.limit = limit }

    deinit {
        while let chunk = spare {
            spare = chunk.pointee.next
            HeldBytes.release(chunk)
        }
    }

    @inline(__always)
    fileprivate func lend() -> UnsafeMutablePointer<HeldBytes.Header>? {
        guard let chunk = spare else { return make() }
        spare = chunk.pointee.next
        return chunk
    }

    private func make() -> UnsafeMutablePointer<HeldBytes.Header>? {
        guard made < limit else { return nil }
        guard let chunk = HeldBytes.allocate(capacity: Self.chunkSize) else { return nil }
        made += 1
        chunk.pointee.isLent = true
        return chunk
    }

    @inline(__always)
    fileprivate func takeBack(_ chunk: UnsafeMutablePointer<HeldBytes.Header>) {
        chunk.pointee.next = spare
        spare = chunk
    }
}

/// Bytes that were received and can't go on yet: an unfinished message, or messages that wait for a server or for room in a socket.
///
/// Owns nothing while it is empty, as nearly all are at any time. What it needs comes from a pool where it is short, and goes back with
/// `clear`. There is one copy of the bytes at any time, also while they become more, and what has been used of a long one is given back.
public struct HeldBytes: ~Copyable {
    struct Header {
        var next: UnsafeMutablePointer<Header>?
        /// Where the first byte is, and the end of the last one: behind the header.
        var start: UInt32
        var end: UInt32
        /// Of the bytes behind the header.
        var capacity: UInt32
        /// It is a piece of the pool's.
        var isLent: Bool

        @inline(__always)
        var count: Int { Int(end &- start) }
    }

    /// Below this it is not worth to give back what has been used.
    private static let long = 1 << 20
    /// So large it gets more by a quarter, else as much again: not all of what is asked for may come.
    private static let huge = 16 << 20

    /// nil while empty.
    private var header: UnsafeMutablePointer<Header>?

    public init() {}

    deinit { if let header { Self.release(header) } }

    fileprivate static func allocate(capacity: Int) -> UnsafeMutablePointer<Header>? {
        guard let memory = BlockMemory.allocate(MemoryLayout<Header>.stride + capacity) else { return nil }
        let header = memory.bindMemory(to: Header.self, capacity: 1)
        header.initialize(to: Header(next: nil, start: 0, end: 0, capacity: UInt32(capacity), isLent: false))
        return header
    }

    fileprivate static func release(_ header: UnsafeMutablePointer<Header>) {
        BlockMemory.release(header, MemoryLayout<Header>.stride + Int(header.pointee.capacity))
    }

    @inline(__always)
    private static func bytes(behind header: UnsafeMutablePointer<Header>) -> UnsafeMutablePointer<UInt8> {
        UnsafeMutableRawPointer(header + 1).assumingMemoryBound(to: UInt8.self)
    }

    public var isEmpty: Bool { header == nil }

    /// How many bytes there are.
    public var count: Int { header.map { $0.pointee.count } ?? 0 }

    /// All of them.
    public var bytes: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            guard let header else { return Span() }
            let first = Self.bytes(behind: header) + Int(header.pointee.start)
            let span = Span<UInt8>(_unsafeStart: first, count: header.pointee.count)
            return _overrideLifetime(span, borrowing: self)
        }
    }

    /// Adds a copy of these bytes at the end. There may be 4 GiB in all. False where there is not enough memory: nothing was added, and
    /// what was there is as it was.
    public mutating func append(_ more: Span<UInt8>, from pool: ChunkPool? = nil) -> Bool {
        more.withUnsafeBufferPointer { more in
            guard let source = more.baseAddress, !more.isEmpty else { return true }
            guard let header = room(for: more.count, from: pool) else { return false }
            memcpy(Self.bytes(behind: header) + Int(header.pointee.end), source, more.count)
            header.pointee.end += UInt32(more.count)
            return true
        }
    }

    @inline(__always)
    private mutating func room(for more: Int, from pool: ChunkPool?) -> UnsafeMutablePointer<Header>? {
        if let header {
            if more <= Int(header.pointee.capacity - header.pointee.end) { return header }
        } else if more <= ChunkPool.chunkSize, let chunk = pool?.lend() {
            chunk.pointee.start = 0
            chunk.pointee.end = 0
            header = chunk
            return chunk
        }
        return grow(by: more, from: pool)
    }

    private mutating func grow(by more: Int, from pool: ChunkPool?) -> UnsafeMutablePointer<Header>? {
        guard let old = header else {
            // Memory for a first message is just as large as that: nobody knows whether more comes.
            header = Self.allocate(capacity: more)
            return header
        }
        let (capacity, used) = (Int(old.pointee.capacity), Int(old.pointee.start))
        if used > 0 {
            // Not for the sake of a few bytes each time.
            let isWorthIt = used >= capacity / 2 || capacity <= ChunkPool.chunkSize
            compact(old)
            if isWorthIt, more <= capacity - Int(old.pointee.end) { return old }
        }
        let needed = Int(old.pointee.end) + more
        guard needed <= Int(UInt32.max) - 4096 else { return nil }
        let generous = min(capacity < Self.huge ? 2 * capacity : capacity / 4 * 5, Int(UInt32.max) - 4096)
        if let grown = resize(old, to: max(generous, needed), pool) { return grown }
        return generous > needed ? resize(old, to: needed, pool) : nil
    }

    private func compact(_ header: UnsafeMutablePointer<Header>) {
        let bytes = Self.bytes(behind: header)
        memmove(bytes, bytes + Int(header.pointee.start), header.pointee.count)
        header.pointee.end -= header.pointee.start
        header.pointee.start = 0
    }

    private mutating func resize(
        _ old: UnsafeMutablePointer<Header>, to capacity: Int, _ pool: ChunkPool?
    ) -> UnsafeMutablePointer<Header>? {
        if old.pointee.isLent {
            guard let fresh = Self.allocate(capacity: capacity) else { return nil }
            return move(to: fresh, pool)
        }
        let frame = MemoryLayout<Header>.stride
        guard let memory = BlockMemory.resize(old, from: frame + Int(old.pointee.capacity), to: frame + capacity) else { return nil }
        let moved = memory.assumingMemoryBound(to: Header.self)
        moved.pointee.capacity = UInt32(capacity)
        header = moved
        return moved
    }

    /// Copies what there is, and gives the memory back in which it was.
    @discardableResult
    private mutating func move(to fresh: UnsafeMutablePointer<Header>, _ pool: ChunkPool?) -> UnsafeMutablePointer<Header> {
        if let old = header {
            memcpy(Self.bytes(behind: fresh), Self.bytes(behind: old) + Int(old.pointee.start), old.pointee.count)
            fresh.pointee.start = 0
            fresh.pointee.end = UInt32(old.pointee.count)
            clear(to: pool)
        }
        header = fresh
        return fresh
    }

    /// Takes the first bytes away.
    public mutating func removeFirst(_ used: Int, _ pool: ChunkPool? = nil) {
        guard let header, used > 0 else { return }
        precondition(used <= header.pointee.count)
        header.pointee.start += UInt32(used)
        let rest = header.pointee.count
        if rest == 0 {
            clear(to: pool)
        } else if header.pointee.capacity > ChunkPool.chunkSize, rest <= min(Int(header.pointee.capacity) / 2, Self.long / 4) {
            // The memory of a large message is not kept for the sake of a small one behind it.
            if let fresh = (rest <= ChunkPool.chunkSize ? pool?.lend() : nil) ?? Self.allocate(capacity: rest) { move(to: fresh, pool) }
        } else if header.pointee.capacity >= Self.long {
            let end = MemoryLayout<Header>.stride + Int(header.pointee.start)
            BlockMemory.discard(header, from: max(4096, end - used), to: end)
        }
    }

    /// Gives all of it away: this is empty afterwards.
    @inline(__always)
    public mutating func take() -> HeldBytes {
        let all = HeldBytes(header)
        header = nil
        return all
    }

    private init(_ header: UnsafeMutablePointer<Header>?) { self.header = header }

    /// Forgets everything.
    @inline(__always)
    public mutating func clear(to pool: ChunkPool?) {
        guard let header else { return }
        self.header = nil
        if let pool, header.pointee.isLent { pool.takeBack(header) } else { Self.release(header) }
    }
}
