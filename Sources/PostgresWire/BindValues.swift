/// The second half of Bind: formats and values.
///
/// PostgreSQL documentation, section "Message Formats", Bind.
public struct BindValues: Equatable, Sendable {
    /// One value: its bytes, nil for NULL, and its format, 0 text or 1 binary.
    public struct Value: Equatable, Sendable {
        public let bytes: [UInt8]?
        public let format: UInt16
    }

    /// The values of the parameters, in order.
    public let values: [Value]
    /// The formats of the result: none for text, one for all columns, or one for each.
    public let resultFormats: [UInt16]

    /// Reads what follows the names of a whole Bind, from `rest` on; nil when counts, lengths and bytes disagree.
    public static func read(_ bytes: Span<UInt8>, from rest: Int, to end: Int) -> BindValues? {
        guard rest >= 0, end <= bytes.count else { return nil }
        var at = rest
        func take(_ count: Int) -> Int? {
            guard count >= 0, end - at >= count else { return nil }
            defer { at += count }
            return at
        }
        func halves() -> [UInt16]? {
            guard let place = take(2), let count = readUInt16(bytes, at: place) else { return nil }
            var result: [UInt16] = []
            for _ in 0..<count {
                guard let place = take(2), let value = readUInt16(bytes, at: place), value <= 1 else { return nil }
                result.append(value)
            }
            return result
        }
        guard let formats = halves(), let place = take(2), let count = readUInt16(bytes, at: place) else { return nil }
        guard formats.count <= 1 || formats.count == Int(count) else { return nil }
        var values: [Value] = []
        for index in 0..<Int(count) {
            guard let place = take(4), let word = readUInt32(bytes, at: place) else { return nil }
            let format = formats.isEmpty ? 0 : formats[min(index, formats.count - 1)]
            guard word != .max else {
                values.append(Value(bytes: nil, format: format))
                continue
            }
            guard word <= UInt32(Int32.max), let start = take(Int(word)) else { return nil }
            values.append(Value(bytes: [UInt8](copying: bytes, in: start..<start + Int(word)), format: format))
        }
        guard let resultFormats = halves(), at == end else { return nil }
        return BindValues(values: values, resultFormats: resultFormats)
    }
}
