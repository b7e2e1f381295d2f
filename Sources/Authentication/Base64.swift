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

    /// The six bits of a digit; what is none sets bits that no group has.
    @inline(__always)
    private static func value(_ digit: UInt8) -> UInt32 {
        switch digit {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(digit &- UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(digit &- UInt8(ascii: "a")) &+ 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(digit &- UInt8(ascii: "0")) &+ 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: notADigit
        }
    }

    /// Beyond 24 bits wherever in a group it stands: shifted by 18, 12 or 6 as well as not at all.
    private static let notADigit: UInt32 = 1 << 24 | 1 << 18 | 1 << 12 | 1 << 6

    /// The encoding as ASCII bytes, without line breaks.
    public static func encode(_ bytes: [UInt8]) -> [UInt8] {
        var text: [UInt8] = []
        append(bytes.span, to: &text)
        return text
    }

    /// Appends the encoding of a span.
    static func append(_ bytes: Span<UInt8>, to text: inout [UInt8]) {
        text.append(addingCapacity: (bytes.count + 2) / 3 * 4) { text in
            var index = 0
            while bytes.count - index >= 3 {
                let group = UInt32(bytes[index]) << 16 | UInt32(bytes[index + 1]) << 8 | UInt32(bytes[index + 2])
                text.append(digit(group >> 18))
                text.append(digit(group >> 12))
                text.append(digit(group >> 6))
                text.append(digit(group))
                index += 3
            }
            guard index < bytes.count else { return }
            let hasTwo = bytes.count - index == 2
            let group = UInt32(bytes[index]) << 16 | (hasTwo ? UInt32(bytes[index + 1]) << 8 : 0)
            text.append(digit(group >> 18))
            text.append(digit(group >> 12))
            text.append(hasTwo ? digit(group >> 6) : padding)
            text.append(padding)
        }
    }

    /// The encoding as text.
    public static func encodedString(_ bytes: [UInt8]) -> String {
        String(decoding: encode(bytes), as: UTF8.self)
    }

    /// The bytes, or nil unless the text is the one canonical encoding of them: whole groups, padding at the end only,
    /// no other character (white space included), unused bits zero.
    public static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        decode(Array(text).span)
    }

    /// Decodes a span, as strictly.
    static func decode(_ text: Span<UInt8>) -> [UInt8]? {
        guard text.count.isMultiple(of: 4) else { return nil }
        var isCanonical = true
        var bytes: [UInt8] = []
        bytes.append(addingCapacity: text.count / 4 * 3) { bytes in
            var index = 0
            while index < text.count {
                // Only the last group may be padded.
                let isLast = index + 4 == text.count
                let padded = !isLast || text[index + 3] != padding ? 0 : text[index + 2] != padding ? 1 : 2
                let group =
                    value(text[index]) << 18 | value(text[index + 1]) << 12 | (padded == 2 ? 0 : value(text[index + 2])) << 6
                    | (padded > 0 ? 0 : value(text[index + 3]))
                guard group <= 0xff_ffff, padded == 0 || group & (padded == 2 ? 0xffff : 0xff) == 0 else {
                    isCanonical = false
                    return
                }
                bytes.append(UInt8(truncatingIfNeeded: group >> 16))
                if padded < 2 { bytes.append(UInt8(truncatingIfNeeded: group >> 8)) }
                if padded < 1 { bytes.append(UInt8(truncatingIfNeeded: group)) }
                index += 4
            }
        }
        return isCanonical ? bytes : nil
    }
}
