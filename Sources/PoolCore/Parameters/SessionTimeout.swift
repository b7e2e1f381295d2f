/// The value of a timeout in a startup packet, as PostgreSQL reads it.
///
/// PostgreSQL documentation, section "Parameter Names and Values": a number, with or without a unit; milliseconds without.
public enum SessionTimeout {
    private static let units: [(name: String, microseconds: Double)] = [
        ("us", 1), ("ms", 1000), ("min", 60_000_000), ("s", 1_000_000), ("h", 3_600_000_000), ("d", 86_400_000_000),
    ]

    /// Microseconds, rounded to whole milliseconds. Nil for what is better left to PostgreSQL: signs, exponents, other bases, what is none.
    public static func microseconds(_ text: String) -> Int64? {
        let blanks = Set(" \t\n\r\u{B}\u{C}".utf8)
        var bytes = Array(text.utf8)[...]
        while let first = bytes.first, blanks.contains(first) { bytes.removeFirst() }
        while let last = bytes.last, blanks.contains(last) { bytes.removeLast() }
        let number = bytes.prefix { (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") }
        // A leading zero may begin a number of another base.
        guard let first = number.first, first != UInt8(ascii: "0") || number.count == 1 || number.dropFirst().first == UInt8(ascii: "."),
            let value = Double(String(decoding: number, as: UTF8.self))
        else { return nil }
        let rest = bytes.dropFirst(number.count).drop { blanks.contains($0) }
        let unit = String(decoding: rest, as: UTF8.self)
        let scale = unit.isEmpty ? 1000 : units.first { $0.name == unit }?.microseconds
        guard let scale else { return nil }
        let milliseconds = (value * scale / 1000).rounded(.toNearestOrEven)
        return milliseconds <= Double(Int32.max) ? Int64(milliseconds) * 1000 : nil
    }
}
