import Bytes

/// What a full socket has not taken yet. While there is any, the other side is not read, so this stays as small as one read.
struct Outgoing {
    private var bytes: [UInt8] = []
    private var sent = 0

    var isEmpty: Bool { bytes.isEmpty }
    var count: Int { bytes.count - sent }

    mutating func append(_ more: Span<UInt8>) { bytes.append(copying: more) }

    var pending: Span<UInt8> {
        @_lifetime(borrow self)
        borrowing get { bytes.span.extracting(sent...) }
    }

    mutating func consume(_ count: Int) {
        sent += count
        if sent == bytes.count {
            bytes = []
            sent = 0
        }
    }

    mutating func clear() {
        bytes = []
        sent = 0
    }
}
