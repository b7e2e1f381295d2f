/// How many values a Bind brings, and how many formats for them.
///
/// PostgreSQL documentation, section "Message Formats", Bind.
public struct BindCounts: Equatable, Sendable {
    public let formats: Int
    public let values: Int

    public init(formats: Int, values: Int) {
        self.formats = formats
        self.values = values
    }

    /// Reads what follows the names, from `rest` on. Nil: not all of it is here.
    public static func read(_ bytes: Span<UInt8>, from rest: Int, to end: Int) -> BindCounts? {
        guard let formats = readUInt16(bytes, at: rest), let values = readUInt16(bytes, at: rest + 2 + 2 * Int(formats)),
            rest + 4 + 2 * Int(formats) <= end
        else { return nil }
        return BindCounts(formats: Int(formats), values: Int(values))
    }
}
