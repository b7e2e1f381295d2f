import Bytes
import EventLoop

/// What a full socket has not taken yet. While there is any, the other side is not read, so this stays as small as one read.
struct Outgoing {
    private var bytes: [UInt8] = []
    private var sent = 0

    var isEmpty: Bool { bytes.isEmpty }
    var count: Int { bytes.count - sent }

    mutating func append(_ more: Span<UInt8>) { bytes.append(copying: more) }

    /// Sends as much as the socket takes: all of it if this is empty afterwards. Returns why the socket failed.
    mutating func flush(to socket: borrowing Socket) -> ErrorNumber? {
        while !bytes.isEmpty {
            switch socket.send(bytes.span.extracting(sent...)) {
            case .bytes(0): return nil
            case .bytes(let count): consume(count)
            case .failed(let error): return error
            }
        }
        return nil
    }

    private mutating func consume(_ count: Int) {
        sent += count
        if sent == bytes.count { clear() }
    }

    mutating func clear() {
        bytes = []
        sent = 0
    }
}
