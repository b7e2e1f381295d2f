/// Reads ParameterDescription, the first half of what a server says of a statement.
///
/// PostgreSQL documentation, section "Message Formats", ParameterDescription.
public enum ParameterDescription {
    /// The types of the parameters. Nil: they are not all here, or more than `limit`.
    public static func types(_ bytes: Span<UInt8>, body: Range<Int>, atMost limit: Int) -> [UInt32]? {
        guard bytes.holds(body), let count = readUInt16(bytes, at: body.lowerBound), Int(count) <= limit else { return nil }
        var types: [UInt32] = []
        for index in 0..<Int(count) {
            guard let type = readUInt32(bytes, at: body.lowerBound + 2 + 4 * index) else { return nil }
            types.append(type)
        }
        return types
    }
}
