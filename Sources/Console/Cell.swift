import PostgresWire

/// One value of a row.
public enum Cell: Sendable, Equatable {
    case null
    case text(String)
    case integer(Int64)

    /// A text, or NULL.
    public static func optional(_ text: String?) -> Cell { text.map(Cell.text) ?? .null }
    /// A number, or NULL.
    public static func optional(_ number: Int?) -> Cell { number.map { .integer(Int64($0)) } ?? .null }
    /// A number.
    public static func number(_ number: Int) -> Cell { .integer(Int64(number)) }
    /// A truth as 0 or 1.
    public static func flag(_ flag: Bool) -> Cell { .integer(flag ? 1 : 0) }

    /// The value as text; nil for NULL.
    public var text: String? {
        switch self {
        case .null: nil
        case .text(let text): text
        case .integer(let number): String(number)
        }
    }
}

/// The types of columns, as PgBouncer's console has them.
public enum ColumnType: String, Sendable, CaseIterable {
    case text, integer
    case bigInteger = "bigint"
    case numeric

    func column(_ name: String) -> MessageWriter.Column {
        switch self {
        case .text: .text(name)
        case .integer: .integer(name)
        case .bigInteger: .bigInteger(name)
        case .numeric: .numeric(name)
        }
    }

    /// A value in the format that the client asked for; nil for NULL.
    func bytes(of cell: Cell, isBinary: Bool) -> [UInt8]? {
        guard let text = cell.text else { return nil }
        guard isBinary, self != .text, let number = Int64(text) else { return Array(text.utf8) }
        switch self {
        case .text: return Array(text.utf8)
        case .integer: return Self.bigEndian(UInt32(bitPattern: Int32(clamping: number)), 4)
        case .bigInteger: return Self.bigEndian(UInt64(bitPattern: number), 8)
        case .numeric: return Self.numeric(number)
        }
    }

    private static func bigEndian(_ value: some FixedWidthInteger & UnsignedInteger, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> ((count - 1 - $0) * 8)) }
    }

    /// PostgreSQL's binary form of a whole number: digits to the base 10,000, most significant first.
    private static func numeric(_ number: Int64) -> [UInt8] {
        var digits: [UInt16] = []
        var rest = number.magnitude
        while rest > 0 {
            digits.insert(UInt16(rest % 10_000), at: 0)
            rest /= 10_000
        }
        let weight = UInt16(max(0, digits.count - 1))
        while digits.last == 0 { digits.removeLast() }
        let header: [UInt16] = [UInt16(digits.count), weight, number < 0 ? 0x4000 : 0, 0]
        return (header + digits).flatMap { bigEndian($0, 2) }
    }
}

/// A column of a command's answer.
public struct Column: Sendable, Equatable {
    /// The name, as exporters look for it.
    public let name: String
    /// The type, as drivers see it.
    public let type: ColumnType

    /// Columns out of a line such as `name:t port:i`: t text, i integer, q bigint, n numeric.
    static func list(_ line: String) -> [Column] {
        line.split(separator: " ").map { word in
            let parts = word.split(separator: ":")
            let type: ColumnType =
                switch parts.last {
                case "i": .integer
                case "q": .bigInteger
                case "n": .numeric
                default: .text
                }
            return Column(name: String(parts[0]), type: type)
        }
    }
}
