/// The value of an entry in `[databases]`, `[users]` or `[peers]`: `key=value` pairs with spaces between them.
public enum ConnectString {
    /// One `key=value`.
    public struct Pair: Sendable, Equatable {
        /// The part before the sign.
        public let key: String
        /// The part after it, without quotes.
        public let value: String

        /// Makes a pair.
        public init(key: String, value: String) {
            self.key = key
            self.value = value
        }
    }

    /// Splits a connect string. Only spaces separate, so a tab becomes part of a value; a value may stand in single
    /// quotes, with a quote inside written twice; an empty value is an error, quoted or not.
    public static func pairs(in text: String) throws(InvalidValue) -> [Pair] {
        var scanner = Scanner(bytes: Array(text.utf8))
        var pairs: [Pair] = []
        while let pair = try scanner.next() { pairs.append(pair) }
        return pairs
    }

    private struct Scanner {
        let bytes: [UInt8]
        var position = 0

        mutating func next() throws(InvalidValue) -> Pair? {
            skipSpaces()
            guard position < bytes.count else { return nil }
            let start = position
            while let byte = peek, byte != UInt8(ascii: "="), byte != Self.space { position += 1 }
            let key = text(bytes[start..<position])
            skipSpaces()
            guard peek == UInt8(ascii: "=") else { throw Self.notAPair }
            guard !key.isEmpty else { throw Self.notAPair }
            position += 1
            skipSpaces()
            let value = try peek == Self.quote ? quotedValue(of: key) : plainValue()
            guard !value.isEmpty else { throw InvalidValue("\(key) has an empty value") }
            return Pair(key: key, value: value)
        }

        private mutating func plainValue() -> String {
            let start = position
            while let byte = peek, byte != Self.space { position += 1 }
            return text(bytes[start..<position])
        }

        private mutating func quotedValue(of key: String) throws(InvalidValue) -> String {
            var value: [UInt8] = []
            position += 1
            while let byte = peek {
                position += 1
                if byte == Self.quote {
                    if peek != Self.quote {
                        guard peek == nil || peek == Self.space else {
                            throw InvalidValue("expected a space after the quoted value of \(key)")
                        }
                        return text(value[...])
                    }
                    position += 1
                }
                value.append(byte)
            }
            throw InvalidValue("the quoted value of \(key) has no closing quote")
        }

        private var peek: UInt8? {
            position < bytes.count ? bytes[position] : nil
        }

        private mutating func skipSpaces() {
            while peek == Self.space { position += 1 }
        }

        /// Every cut is made at an ASCII byte of a valid string, so nothing is ever repaired here.
        private func text(_ slice: ArraySlice<UInt8>) -> String {
            String(decoding: slice, as: UTF8.self)
        }

        /// Repeats nothing of the line: what stands here may be the rest of a password.
        private static let notAPair = InvalidValue("expected KEY=VALUE with spaces between; a value with spaces needs single quotes")

        private static let space = UInt8(ascii: " ")
        private static let quote = UInt8(ascii: "'")
    }
}
