/// An IPv4 or IPv6 address, in network byte order.
public struct NetworkAddress: Sendable, Hashable {
    /// 4 or 16 bytes.
    public let bytes: [UInt8]

    /// Takes an address as the kernel has it; nil unless it has 4 or 16 bytes. An IPv4 address in IPv6 clothes (`::ffff:1.2.3.4`)
    /// counts as IPv4.
    public init?(bytes: [UInt8]) {
        switch bytes.count {
        case 4: self.bytes = bytes
        case 16: self.bytes = bytes.starts(with: Self.mappedPrefix) ? Array(bytes[12...]) : bytes
        default: return nil
        }
    }

    private static let mappedPrefix = [UInt8](repeating: 0, count: 10) + [0xff, 0xff]

    /// Reads dotted decimal, or hexadecimal groups with at most one `::` (RFC 4291, section 2.2), the last 32 bits of which may be
    /// dotted. Nil for everything else, host names included.
    public init?(text: String) {
        let parsed = text.utf8.contains(UInt8(ascii: ":")) ? Self.sixteen(text) : Self.four(text[...])
        guard let parsed else { return nil }
        // As it is written: a mask or a range of IPv6 stays one.
        bytes = parsed
    }

    private static func four(_ text: Substring) -> [UInt8]? {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bytes: [UInt8] = []
        for part in parts {
            // A leading zero would mean octal to some readers.
            guard (1...3).contains(part.count), part.count == 1 || part.first != UInt8(ascii: "0"), part.allSatisfy(isDigit),
                let value = UInt8(String(Substring(part)))
            else { return nil }
            bytes.append(value)
        }
        return bytes
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    private static func sixteen(_ text: String) -> [UInt8]? {
        guard text.utf8.count <= 45 else { return nil }
        guard let gap = doubleColon(text) else {
            guard let all = groups(text[...], mayEndDotted: true), all.count == 16 else { return nil }
            return all
        }
        guard let head = groups(text[..<gap.lowerBound], mayEndDotted: false),
            let tail = groups(text[gap.upperBound...], mayEndDotted: true), head.count + tail.count <= 14
        else {
            return nil
        }
        return head + [UInt8](repeating: 0, count: 16 - head.count - tail.count) + tail
    }

    private static func doubleColon(_ text: String) -> Range<String.Index>? {
        var index = text.startIndex
        while index < text.endIndex {
            let next = text.index(after: index)
            if text[index] == ":", next < text.endIndex, text[next] == ":" { return index..<text.index(after: next) }
            index = next
        }
        return nil
    }

    private static func groups(_ text: Substring, mayEndDotted: Bool) -> [UInt8]? {
        if text.isEmpty { return [] }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        var bytes: [UInt8] = []
        for (index, part) in parts.enumerated() {
            if part.utf8.contains(UInt8(ascii: ".")) {
                guard mayEndDotted, index == parts.count - 1, let last = four(part) else { return nil }
                bytes += last
                continue
            }
            guard (1...4).contains(part.utf8.count), !part.hasPrefix("+"), let value = UInt16(part, radix: 16) else { return nil }
            bytes += [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)]
            guard bytes.count <= 16 else { return nil }
        }
        return bytes
    }
}

/// A range of addresses of one family: those that agree with `address` in every bit of `mask`.
public struct NetworkRange: Sendable, Equatable {
    private let address: [UInt8]
    private let mask: [UInt8]

    init?(_ address: NetworkAddress, mask: NetworkAddress) {
        guard address.bytes.count == mask.bytes.count else { return nil }
        (self.address, self.mask) = (address.bytes, mask.bytes)
    }

    init?(_ address: NetworkAddress, prefix: Int) {
        guard (0...address.bytes.count * 8).contains(prefix) else { return nil }
        self.address = address.bytes
        mask = address.bytes.indices.map { index in
            let bits = min(8, max(0, prefix - index * 8))
            return UInt8(truncatingIfNeeded: 0xff00 >> bits)
        }
    }

    /// Whether the address is of the same family and inside.
    public func contains(_ other: NetworkAddress) -> Bool {
        guard other.bytes.count == address.count else { return false }
        return address.indices.allSatisfy { address[$0] & mask[$0] == other.bytes[$0] & mask[$0] }
    }
}
