/// Reads a message's body as PostgreSQL does (pqformat.c): each fault is the error that PostgreSQL gives there.
struct MessageReader {
    private var rest: ArraySlice<UInt8>

    init(_ body: ArraySlice<UInt8>) { rest = body }

    var isAtEnd: Bool { rest.isEmpty }

    /// pq_getmsgbyte
    mutating func byte() throws(ModelPostgres.Failure) -> UInt8 {
        guard let byte = rest.popFirst() else { throw .protocolViolation }
        return byte
    }

    /// pq_getmsgint
    mutating func integer(bytes: Int) throws(ModelPostgres.Failure) -> Int {
        guard rest.count >= bytes else {
            // What is left is not consumed, and the message is at an end all the same.
            throw .protocolViolation
        }
        var value = 0
        for _ in 0..<bytes { value = value << 8 | Int(rest.removeFirst()) }
        return value
    }

    /// pq_getmsgstring, in the client's encoding: invalid bytes are refused.
    mutating func text() throws(ModelPostgres.Failure) -> String {
        guard let end = rest.firstIndex(of: 0) else { throw .protocolViolation }
        let bytes = Array(rest[..<end])
        rest = rest[(end + 1)...]
        guard let text = String(validating: bytes, as: UTF8.self) else { throw ModelPostgres.Failure("22021") }
        return text
    }

    /// The value of a parameter; nil for NULL.
    mutating func value() throws(ModelPostgres.Failure) -> [UInt8]? {
        let length = try integer(bytes: 4)
        if length == 0xFFFF_FFFF { return nil }
        guard length <= rest.count else { throw .protocolViolation }
        defer { rest = rest.dropFirst(length) }
        return Array(rest.prefix(length))
    }

    /// pq_getmsgend
    func end() throws(ModelPostgres.Failure) {
        guard rest.isEmpty else { throw .protocolViolation }
    }
}
