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
            free(chunk)
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
        made += 1
        let chunk = HeldBytes.allocate(capacity: Self.chunkSize)
        chunk.pointee.isLent = true
        return chunk
    }

    @inline(__always)
    fileprivate func takeBack(_ chunk: UnsafeMutablePointer<HeldBytes.Header>) {
        chunk.pointee.next = spare
        spare = chunk
    }
}

/// Bytes that were received and can't go on yet: an unfinished message, or messages that wait for a server.
///
/// Owns nothing while it is empty, as nearly all are at any time. What it needs comes from a pool where it is short, and goes back with
/// `clear`.
public struct HeldBytes: ~Copyable {
    struct Header {
        var next: UnsafeMutablePointer<Header>?
        var count: UInt32
        /// Of the bytes behind the header.
        var capacity: UInt32
        /// It is a piece of the pool's.
        var isLent: Bool
    }

    /// nil while empty.
    private var header: UnsafeMutablePointer<Header>?

    public init() {}

    deinit { if let header { free(header) } }

    fileprivate static func allocate(capacity: Int) -> UnsafeMutablePointer<Header> {
        guard let memory = malloc(MemoryLayout<Header>.stride + capacity) else { fatalError("out of memory") }
        let header = memory.bindMemory(to: Header.self, capacity: 1)
        header.initialize(to: Header(next: nil, count: 0, capacity: UInt32(capacity), isLent: false))
        return header
    }

    @inline(__always)
    private static func bytes(behind header: UnsafeMutablePointer<Header>) -> UnsafeMutablePointer<UInt8> {
        UnsafeMutableRawPointer(header + 1).assumingMemoryBound(to: UInt8.self)
    }

    public var isEmpty: Bool { header == nil }

    /// How many bytes there are.
    public var count: Int { header.map { Int($0.pointee.count) } ?? 0 }

    /// All of them.
    public var bytes: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            guard let header else { return Span() }
            let span = Span<UInt8>(_unsafeStart: Self.bytes(behind: header), count: Int(header.pointee.count))
            return _overrideLifetime(span, borrowing: self)
        }
    }

    /// Adds a copy of these bytes at the end. There may be 4 GiB in all.
    public mutating func append(_ more: Span<UInt8>, from pool: ChunkPool) {
        more.withUnsafeBufferPointer { more in
            guard let source = more.baseAddress, !more.isEmpty else { return }
            let header = room(for: more.count, from: pool)
            memcpy(Self.bytes(behind: header) + Int(header.pointee.count), source, more.count)
            header.pointee.count += UInt32(more.count)
        }
    }

    @inline(__always)
    private mutating func room(for more: Int, from pool: ChunkPool) -> UnsafeMutablePointer<Header> {
        if let header {
            if more <= Int(header.pointee.capacity - header.pointee.count) { return header }
        } else if more <= ChunkPool.chunkSize, let chunk = pool.lend() {
            chunk.pointee.count = 0
            header = chunk
            return chunk
        }
        return grow(by: more, from: pool)
    }

    private mutating func grow(by more: Int, from pool: ChunkPool) -> UnsafeMutablePointer<Header> {
        // Memory for a first message is just as large as that: nobody knows whether more comes.
        let capacity = header.map { max(2 * Int($0.pointee.capacity), Int($0.pointee.count) + more) } ?? more
        return move(to: Self.allocate(capacity: capacity), from: 0, pool)
    }

    /// Copies what there is from `start` on, and gives the memory back in which it was.
    @discardableResult
    private mutating func move(
        to fresh: UnsafeMutablePointer<Header>, from start: Int, _ pool: ChunkPool
    ) -> UnsafeMutablePointer<Header> {
        if let old = header {
            let rest = Int(old.pointee.count) - start
            memcpy(Self.bytes(behind: fresh), Self.bytes(behind: old) + start, rest)
            fresh.pointee.count = UInt32(rest)
            clear(to: pool)
        }
        header = fresh
        return fresh
    }

    /// Takes the first bytes away.
    public mutating func removeFirst(_ used: Int, _ pool: ChunkPool) {
        guard let header, used > 0 else { return }
        precondition(used <= header.pointee.count)
        let rest = Int(header.pointee.count) - used
        if rest == 0 {
            clear(to: pool)
        } else if header.pointee.capacity > ChunkPool.chunkSize, rest <= header.pointee.capacity / 2 {
            // The memory of a large message is not kept for the sake of a small one behind it.
            move(to: (rest <= ChunkPool.chunkSize ? pool.lend() : nil) ?? Self.allocate(capacity: rest), from: used, pool)
        } else {
            memmove(Self.bytes(behind: header), Self.bytes(behind: header) + used, rest)
            header.pointee.count = UInt32(rest)
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
    public mutating func clear(to pool: ChunkPool) {
        guard let header else { return }
        self.header = nil
        if header.pointee.isLent { pool.takeBack(header) } else { free(header) }
    }
}
