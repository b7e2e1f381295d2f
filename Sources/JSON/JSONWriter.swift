import Bytes

/// Writes JSON (RFC 8259) piece by piece; commas come by themselves.
///
/// A text holds no control character as it is, neither those of ASCII, which JSON forbids, nor U+007F to U+009F, which terminals obey.
public struct JSONWriter: Sendable {
    /// What has been written.
    public private(set) var bytes: [UInt8] = []
    private var needsComma = false
    /// Values of the array that is being written begin on lines of their own.
    private var hasLines = false

    /// Nothing is written yet.
    public init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    /// What has been written, as a text.
    public var text: String { String(decoding: bytes, as: UTF8.self) }

    /// An object, of which `body` writes the members.
    public mutating func object(_ body: (inout JSONWriter) -> Void) { nested("{", "}", hasLines: false, body) }
    /// An array, of which `body` writes the values.
    public mutating func array(_ body: (inout JSONWriter) -> Void) { nested("[", "]", hasLines: false, body) }
    /// An array, of which `body` writes the values, each on a line of its own.
    public mutating func lines(_ body: (inout JSONWriter) -> Void) { nested("[", "]", hasLines: true, body) }

    private mutating func nested(
        _ open: Unicode.Scalar, _ close: Unicode.Scalar, hasLines: Bool, _ body: (inout JSONWriter) -> Void
    ) {
        separate()
        let outer = self.hasLines
        self.hasLines = hasLines
        bytes.append(UInt8(ascii: open))
        needsComma = false
        body(&self)
        bytes.append(UInt8(ascii: close))
        needsComma = true
        self.hasLines = outer
    }

    /// The name of a member; its value comes next.
    public mutating func key(_ name: String) {
        separate()
        quote(name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    /// A number.
    public mutating func value(_ number: Int) { raw(String(number)) }
    /// A number; null where JSON has none like it.
    public mutating func value(_ number: Double) { raw(number.isFinite ? "\(number)" : "null") }
    /// A text; null for nil.
    public mutating func value(_ text: String?) {
        guard let text else { return raw("null") }
        separate()
        quote(text)
    }
    /// A value that is JSON already.
    public mutating func value(json: String) { raw(json) }

    /// A member with a number.
    public mutating func member(_ name: String, _ number: Int) {
        key(name)
        value(number)
    }
    /// A member with a number; null where JSON has none like it.
    public mutating func member(_ name: String, _ number: Double) {
        key(name)
        value(number)
    }
    /// A member that is true or false.
    public mutating func member(_ name: String, _ flag: Bool) {
        key(name)
        raw(flag ? "true" : "false")
    }
    /// A member with a text; null for nil.
    public mutating func member(_ name: String, _ text: String?) {
        key(name)
        value(text)
    }

    private mutating func raw(_ text: String) {
        separate()
        bytes += text.utf8
    }

    private mutating func separate() {
        if needsComma { bytes += (hasLines ? ",\n" : ",").utf8 }
        needsComma = true
    }

    private mutating func quote(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        // C2 begins U+0080 to U+00BF, of which the first half are control characters.
        var follows = false
        for byte in text.utf8 {
            switch byte {
            case 0x80..<0xA0 where follows:
                bytes.removeLast()
                escape(byte)
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0x0A: bytes += [UInt8(ascii: "\\"), UInt8(ascii: "n")]
            case 0x0D: bytes += [UInt8(ascii: "\\"), UInt8(ascii: "r")]
            case 0x09: bytes += [UInt8(ascii: "\\"), UInt8(ascii: "t")]
            case 0..<0x20, 0x7F: escape(byte)
            default: bytes.append(byte)
            }
            follows = byte == 0xC2
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func escape(_ codePoint: UInt8) {
        bytes += "\\u00".utf8
        let (high, low) = Hexadecimal.digits(of: codePoint)
        bytes += [high, low]
    }
}
