import CLibevent
import Glibc

/// The short sends of a turn, which leave together when its owner calls `flush`.
///
/// A `send` wakes whoever waits at the other end. A process that is woken in the middle of the turn takes a processor away from it, finds
/// one answer, and sleeps again before the next one is sent; with many connections that costs more than all instructions of the turn.
///
/// Belongs to a loop, and to its thread. Sockets enter bytes with `Socket.post`; a socket that leaves the loop takes back what it has
/// posted, so its owner flushes first.
public final class Outbox {
    /// Which of those that are posted leave first. Alternating costs some 3 % of a pooler's CPU: clients that sit in one process are woken
    /// between servers instead of once.
    public enum Order {
        case first, last
    }

    /// A part of `bytes` for one socket.
    private struct Entry {
        /// nil: it has been dealt with.
        var record: UnsafeMutablePointer<SocketRecord>?
        var start: Int
        var count: Int
    }

    private struct List {
        let entries = UnsafeMutablePointer<Entry>.allocate(capacity: Outbox.limit)
        var count = 0
    }

    /// Longer ones are not worth the copy.
    private static let longest = 2048
    /// How many there may be of each order: a turn can have thousands of events.
    private static let limit = 64
    private static let capacity = 64 * 1024

    private let bytes = UnsafeMutableRawPointer.allocate(byteCount: Outbox.capacity, alignment: 64)
    private var used = 0
    private var first = List()
    private var last = List()

    init() {}

    deinit {
        bytes.deallocate()
        first.entries.deallocate()
        last.entries.deallocate()
    }

    /// Nothing has been posted since the last `flush`.
    public var isEmpty: Bool { used == 0 }

    /// So much has been posted that it is to be flushed before the end of the turn.
    public var isFull: Bool { first.count == Self.limit || last.count == Self.limit || used > Self.capacity - Self.longest }

    /// False: too long, or there is no room before the next `flush`. A socket posts in one order only.
    @inline(__always)
    func post(_ more: UnsafeRawBufferPointer, for record: UnsafeMutablePointer<SocketRecord>, _ order: Order) -> Bool {
        guard !more.isEmpty, more.count <= Self.longest, used + more.count <= Self.capacity, let source = more.baseAddress else {
            return false
        }
        switch order {
        case .first: guard enter(more.count, record, in: &first) else { return false }
        case .last: guard enter(more.count, record, in: &last) else { return false }
        }
        memcpy(bytes + used, source, more.count)
        used &+= more.count
        record.pointee.hasPosted = true
        return true
    }

    @inline(__always)
    private func enter(_ count: Int, _ record: UnsafeMutablePointer<SocketRecord>, in list: inout List) -> Bool {
        if record.pointee.hasPosted, list.count > 0 {
            let previous = list.entries + (list.count &- 1)
            if previous.pointee.record == record, previous.pointee.start + previous.pointee.count == used {
                // Both leave in one `send`.
                previous.pointee.count &+= count
                return true
            }
        }
        guard list.count < Self.limit else { return false }
        (list.entries + list.count).initialize(to: Entry(record: record, start: used, count: count))
        list.count &+= 1
        return true
    }

    /// Sends everything. `undelivered` is told of each socket that did not take all: its token, what it has not taken, and why, if it is
    /// broken. A socket that is full is told to its owner as writable later. It must neither post nor close a socket.
    public func flush(_ undelivered: (_ token: UInt32, _ rest: Span<UInt8>, _ error: ErrorNumber?) -> Void) {
        flush(&first, undelivered)
        flush(&last, undelivered)
        used = 0
    }

    private func flush(_ list: inout List, _ undelivered: (UInt32, Span<UInt8>, ErrorNumber?) -> Void) {
        for index in 0..<list.count {
            let entry = list.entries[index]
            guard let record = entry.record else { continue }
            record.pointee.hasPosted = false
            switch Socket.send(record, bytes + entry.start, entry.count) {
            case .bytes(entry.count):
                break
            case .bytes(let count):
                undelivered(record.pointee.token, rest(of: entry, behind: count), nil)
                // What is behind it must not overtake it.
                for next in index + 1..<list.count where list.entries[next].record == record {
                    undelivered(record.pointee.token, rest(of: list.entries[next], behind: 0), nil)
                    list.entries[next].record = nil
                }
            case .failed(let error):
                undelivered(record.pointee.token, Span(), error)
                for next in index + 1..<list.count where list.entries[next].record == record { list.entries[next].record = nil }
            }
        }
        list.count = 0
    }

    @_lifetime(borrow self)
    private func rest(of entry: Entry, behind count: Int) -> Span<UInt8> {
        let start = (bytes + entry.start + count).assumingMemoryBound(to: UInt8.self)
        return _overrideLifetime(Span(_unsafeStart: start, count: entry.count - count), borrowing: self)
    }

    /// The socket is about to be gone.
    func forget(_ record: UnsafeMutablePointer<SocketRecord>) {
        for list in [first, last] {
            for index in 0..<list.count where list.entries[index].record == record { list.entries[index].record = nil }
        }
    }
}
