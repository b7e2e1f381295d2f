/// Bytes as hexadecimal digits in lower case, two for each.
public enum Hexadecimal {
    /// The ASCII digits of one byte.
    public static func digits(of byte: UInt8) -> (high: UInt8, low: UInt8) { (digit(byte >> 4), digit(byte & 15)) }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }

    /// The ASCII digits of all bytes.
    public static func encode(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(2 * bytes.underestimatedCount)
        for byte in bytes {
            let (high, low) = digits(of: byte)
            result.append(high)
            result.append(low)
        }
        return result
    }

    /// The digits of all bytes as a text.
    public static func text(_ bytes: some Sequence<UInt8>) -> String { String(decoding: encode(bytes), as: UTF8.self) }

    /// The value of an ASCII digit, in lower or upper case.
    public static func value(of digit: UInt8) -> UInt8? {
        switch digit {
        case 0x30...0x39: digit - 0x30
        case 0x41...0x46, 0x61...0x66: (digit | 0x20) - 0x57
        default: nil
        }
    }
}
