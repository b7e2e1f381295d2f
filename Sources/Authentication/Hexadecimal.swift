/// Lower-case hexadecimal, the form in which PostgreSQL writes MD5 digests.
enum Hexadecimal {
    private static let digits = [UInt8]("0123456789abcdef".utf8)

    /// Two ASCII digits for each byte.
    static func encode(_ bytes: [UInt8]) -> [UInt8] {
        bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    }

    /// Whether the byte is one of `0`-`9` and `a`-`f`.
    static func isDigit(_ byte: UInt8) -> Bool {
        digits.contains(byte)
    }
}
