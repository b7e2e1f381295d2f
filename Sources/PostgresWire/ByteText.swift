import Bytes

/// Names, values and messages are bytes to PostgreSQL, in whatever encoding a client or a server chose, or in none. Here they are strings
/// all the same: a byte that is not part of UTF-8 is kept as a code point at the end of the private planes, and is that byte again when
/// the text is written into a message. Nothing is lost in between, and texts are equal when their bytes are.
@usableFromInline
enum ByteText {
    /// U+10FF80 to U+10FFFF stand for the bytes 80 to FF.
    private static let base: UInt32 = 0x10_FF00

    /// All of these code points begin with this byte in UTF-8, and hardly any other does.
    @usableFromInline static let lead: UInt8 = 0xF4

    /// The byte that a code point stands for.
    static func byte(_ scalar: Unicode.Scalar) -> UInt8? {
        scalar.value >= base + 0x80 ? UInt8(truncatingIfNeeded: scalar.value - base) : nil
    }

    /// The text of bytes some of which may not be UTF-8. What happens to look like one of the code points is kept byte by byte, too.
    static func decode(_ bytes: [UInt8]) -> String {
        var text = String.UnicodeScalarView()
        var parser = Unicode.UTF8.ForwardParser()
        var source = bytes.makeIterator()
        var at = 0
        func keep(_ count: Int) {
            for byte in bytes[at..<min(at + count, bytes.count)] {
                // A byte below 80 is always UTF-8.
                text.append(Unicode.Scalar(base + UInt32(byte)) ?? "\u{FFFD}")
            }
            at += count
        }
        while true {
            switch parser.parseScalar(from: &source) {
            case .valid(let encoded):
                let scalar = Unicode.UTF8.decode(encoded)
                if byte(scalar) != nil {
                    keep(encoded.count)
                } else {
                    text.append(scalar)
                    at += encoded.count
                }
            case .error(let length): keep(length)
            case .emptyInput: return String(text)
            }
        }
    }

    /// Puts the bytes themselves in the place of what stands for them, from an index on to the end.
    @usableFromInline
    static func restore(_ bytes: inout [UInt8], from start: Int) {
        var out = start
        var at = start
        while at < bytes.count {
            // F4 8F BE 80 to F4 8F BF BF.
            if bytes[at] == lead, at + 3 < bytes.count, bytes[at + 1] == 0x8F, bytes[at + 2] >= 0xBE {
                bytes[out] = (bytes[at + 2] == 0xBE ? 0x80 : 0xC0) | (bytes[at + 3] & 0x3F)
                at += 4
            } else {
                bytes[out] = bytes[at]
                at += 1
            }
            out += 1
        }
        bytes.removeSubrange(out...)
    }
}

extension String {
    /// The text in `range`, which gives the same bytes when it is written into a message; empty when the range is not inside `bytes`.
    public init(decoding bytes: Span<UInt8>, in range: Range<Int>) {
        guard bytes.holds(range) else {
            self = ""
            return
        }
        let part = bytes.extracting(range)
        if let text = try? UTF8Span(validating: part), !part.indices.contains(where: { part[$0] == ByteText.lead }) {
            self = String(copying: text)
        } else {
            self = ByteText.decode([UInt8](copying: bytes, in: range))
        }
    }

    /// The bytes that it stands for in a message.
    public var messageBytes: [UInt8] {
        var bytes = Array(utf8)
        ByteText.restore(&bytes, from: 0)
        return bytes
    }

    /// For readers: bytes that are no text as `\xe4`.
    public var printable: String {
        guard utf8.contains(ByteText.lead) else { return self }
        var result = ""
        for scalar in unicodeScalars {
            if let byte = ByteText.byte(scalar) {
                result += "\\x" + Hexadecimal.text([byte])
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
