import Glibc

/// A worker's read buffer: every `recv` of the worker goes here, and most bytes leave for the other side straight from here.
public final class ReceiveBuffer {
    let start: UnsafeMutableRawPointer
    public let capacity: Int

    public init(capacity: Int) {
        self.capacity = capacity
        start = .allocate(byteCount: capacity, alignment: 64)
    }

    deinit { start.deallocate() }

    /// The first `count` bytes, as the last `receive` left them.
    @inline(__always)
    @_lifetime(borrow self)
    public func bytes(_ count: Int) -> Span<UInt8> {
        precondition(count <= capacity)
        let span = Span<UInt8>(_unsafeStart: start.assumingMemoryBound(to: UInt8.self), count: count)
        return _overrideLifetime(span, borrowing: self)
    }
}

/// A worker's scratch for what cannot leave straight from the read buffer: a burst in which a message was rewritten, injected or
/// left out. It is filled, sent once and emptied; its memory stays.
public final class SendBuffer {
    private var start: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    public private(set) var count = 0

    public init(capacity: Int) {
        self.capacity = capacity
        start = .allocate(capacity: capacity)
    }

    deinit { start.deallocate() }

    public var isEmpty: Bool { count == 0 }

    public var bytes: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            let span = Span<UInt8>(_unsafeStart: start, count: count)
            return _overrideLifetime(span, borrowing: self)
        }
    }

    /// Forgets the content. Memory that one huge message needed is given back.
    public func clear() {
        count = 0
        if capacity > 1 << 20 {
            start.deallocate()
            capacity = 1 << 16
            start = .allocate(capacity: capacity)
        }
    }

    @inline(__always)
    private func reserve(_ more: Int) {
        if count + more > capacity { grow(more) }
    }

    private func grow(_ more: Int) {
        let larger = max(capacity * 2, count + more)
        let fresh = UnsafeMutablePointer<UInt8>.allocate(capacity: larger)
        fresh.update(from: start, count: count)
        start.deallocate()
        start = fresh
        capacity = larger
    }

    @inline(__always)
    public func append(_ bytes: Span<UInt8>) {
        bytes.withUnsafeBufferPointer { source in
            guard let address = source.baseAddress else { return }
            reserve(source.count)
            memcpy(start + count, address, source.count)
            count += source.count
        }
    }

    @inline(__always)
    public func append(_ bytes: [UInt8]) { append(bytes.span) }

    @inline(__always)
    public func append(_ byte: UInt8) {
        reserve(1)
        start[count] = byte
        count += 1
    }

    /// A name and the NUL behind it.
    @inline(__always)
    public func append(terminated name: Span<UInt8>) {
        name.withUnsafeBufferPointer { source in
            reserve(source.count + 1)
            if let address = source.baseAddress { memcpy(start + count, address, source.count) }
            start[count + source.count] = 0
            count += source.count + 1
        }
    }

    /// The head of a message: its type, and how long it is without that.
    @inline(__always)
    public func append(type: UInt8, length: Int) {
        reserve(5)
        start[count] = type
        UnsafeMutableRawPointer(start + count + 1).storeBytes(of: UInt32(length).bigEndian, as: UInt32.self)
        count += 5
    }
}
