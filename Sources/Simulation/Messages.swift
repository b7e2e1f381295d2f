#if DEBUG
    import ModelPostgres
    import PostgresWire

    /// Takes a stream apart.
    struct MessageStream {
        private var bytes: [UInt8] = []

        mutating func append(_ more: [UInt8]) { bytes += more }

        var isEmpty: Bool { bytes.isEmpty }
        var count: Int { bytes.count }
        var start: [UInt8] { Array(bytes.prefix(16)) }

        /// The next message with a type; nil: it is not whole yet. Throws where there is no message.
        mutating func next() throws -> Message? {
            guard bytes.count >= 5 else { return nil }
            let length = bytes[1...4].reduce(0) { $0 << 8 | Int($1) }
            guard length >= 4, length < 1 << 28 else { throw Broken() }
            guard bytes.count >= length + 1 else { return nil }
            defer { bytes.removeFirst(length + 1) }
            return Array(bytes[...length])
        }

        /// The next packet without a type, such as a startup packet.
        mutating func nextUntyped() throws -> Message? {
            guard bytes.count >= 4 else { return nil }
            let length = bytes[0...3].reduce(0) { $0 << 8 | Int($1) }
            guard length >= 8, length <= 10_004 else { throw Broken() }
            guard bytes.count >= length else { return nil }
            defer { bytes.removeFirst(length) }
            return Array(bytes[..<length])
        }

        struct Broken: Error {}
    }

    /// A message for people.
    func readable(_ message: Message) -> String {
        guard message.count >= 5 else { return "\(message)" }
        let text = message[5...].prefix(80).map { 32..<127 ~= $0 ? String(Character(Unicode.Scalar($0))) : "." }.joined()
        let head = "\(Character(Unicode.Scalar(message[0]))) \(text)"
        guard message.count > 85 else { return head }
        // The rest counts, too.
        let rest = message[85...].reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
        return "\(head)... \(message.count) bytes, \(String(rest, radix: 16))"
    }

    /// What of an answer can be compared: whole messages, but of errors only the SQLSTATE.
    func comparable(_ frame: Message) -> String {
        if frame[0] == Backend.errorResponse { return "E \(errorFields(frame)?.code ?? "?")" }
        return readable(frame)
    }

    func errorFields(_ frame: Message) -> ErrorFields? { ErrorFields.read(frame.span, body: 5..<frame.count) }

    /// The name and the value of a ParameterStatus.
    func parameterStatus(_ frame: Message) -> (name: String, value: String)? {
        let parts = frame[5...].split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        return (String(decoding: parts[0], as: UTF8.self), String(decoding: parts[1], as: UTF8.self))
    }

#endif
