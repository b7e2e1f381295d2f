/// Base64 (RFC 4648, section 4) with padding, as SCRAM uses it.
public enum Base64 {
    private static let padding = UInt8(ascii: "=")

    /// The digit for six bits. Ranges instead of a table: a login encodes a few dozen bytes, and a table would be cold.
    @inline(__always)
    private static func digit(_ value: UInt32) -> UInt8 {
        let value = UInt8(truncatingIfNeeded: value & 63)
        switch value {
        case 0..<26: return UInt8(ascii: "A") &+ value
        case 26..<52: return UInt8(ascii: "a") &+ value &- 26
        case 52..<62: return UInt8(ascii: "0") &+ value &- 52
        default: return value == 62 ? UInt8(ascii: "+") : UInt8(ascii: "/")
        }
    }

    @inline(__always)
    private static func value(_ digit: UInt8) -> UInt32? {
        switch digit {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(digit &- UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(digit &- UInt8(ascii: "a")) &+ 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(digit &- UInt8(ascii: "0")) &+ 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }

    /// The encoding as ASCII bytes, without line breaks.
    public static func encode(_ bytes: [UInt8]) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        var index = 0
        while index < bytes.count {
            let count = min(3, bytes.count - index)
            var group = UInt32(bytes[index]) << 16
            if count > 1 { group |= UInt32(bytes[index + 1]) << 8 }
            if count > 2 { group |= UInt32(bytes[index + 2]) }
            for position in 0..<4 {
                text.append(position <= count ? digit(group >> (18 - 6 * UInt32(position))) : padding)
            }
            index += 3
        }
        return text
    }

    /// The encoding as text.
    public static func encodedString(_ bytes: [UInt8]) -> String {
        String(decoding: encode(bytes), as: UTF8.self)
    }

    /// The bytes, or nil unless the text is the one canonical encoding of them: whole groups, padding at the end only,
    /// no other character (white space included), unused bits zero.
    public static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        guard text.count.isMultiple(of: 4) else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3)
        var padded = 0
        var bits: UInt32 = 0
        var bitCount: UInt32 = 0
        for digit in text {
            if digit == padding {
                padded += 1
                continue
            }
            guard padded == 0, let value = value(digit) else { return nil }
            bits = bits << 6 | UInt32(value)
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> bitCount))
                bits &= (1 << bitCount) - 1
            }
        }
        return bits == 0 && padded <= 2 ? bytes : nil
    }
}
