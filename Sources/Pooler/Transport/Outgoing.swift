import EventLoop
import PoolCore

/// What a full socket has not taken yet. While there is any, the other side is not read, so this stays as small as one read.
struct Outgoing: ~Copyable {
    /// What waits behind what is ready for the socket, to be made ready when that has left.
    private final class Later {
        enum Piece {
            case bytes(Copy)
            /// A statement's definition from there on. It is not copied, for it may be large.
            case text(Statement, from: Int)
        }

        final class Copy {
            var held = HeldBytes()
        }

        var pieces: [Piece] = []
    }

    private var ready = HeldBytes()
    private var later: Later?

    var isEmpty: Bool { ready.isEmpty }
    var count: Int { ready.count }
    /// Something has to be made ready first: what is sent now goes behind it.
    var hasLater: Bool { later != nil }

    /// False where there is no memory for it: what was to be sent is not whole any more.
    mutating func append(_ more: Span<UInt8>) -> Bool { ready.append(more) }

    mutating func appendLater(_ statement: Statement, from start: Int) {
        let later = later ?? Later()
        later.pieces.append(.text(statement, from: start))
        self.later = later
    }

    /// False where there is no memory for it.
    mutating func appendLater(_ more: Span<UInt8>) -> Bool {
        let later = later ?? Later()
        self.later = later
        if case .bytes(let copy)? = later.pieces.last { return copy.held.append(more) }
        let copy = Later.Copy()
        later.pieces.append(.bytes(copy))
        return copy.held.append(more)
    }

    /// Sends as much as the socket takes: all of what is ready if this is empty afterwards. Returns why the socket failed.
    mutating func flush(to socket: borrowing Socket) -> ErrorNumber? {
        while !ready.isEmpty {
            switch socket.send(ready.bytes) {
            case .bytes(0): return nil
            case .bytes(let count): ready.removeFirst(count)
            case .failed(let error): return error
            }
        }
        return nil
    }

    /// Hands on what waits behind what was ready, a piece at a time, as long as `send` leaves room.
    mutating func takeLater() -> Next? {
        guard let later else { return nil }
        let first = later.pieces.removeFirst()
        if later.pieces.isEmpty { self.later = nil }
        switch first {
        case .bytes(let copy): return .bytes(copy.held.take())
        case .text(let statement, let start): return .text(statement, from: start)
        }
    }

    enum Next: ~Copyable {
        case bytes(HeldBytes)
        case text(Statement, from: Int)
    }

    /// Puts back what there was no room for, as the next.
    mutating func putBack(_ statement: Statement, from start: Int) {
        let later = later ?? Later()
        later.pieces.insert(.text(statement, from: start), at: 0)
        self.later = later
    }

    mutating func clear() {
        ready.clear(to: nil)
        later = nil
    }
}
