import Bytes

/// Reads the values of settings. The rules are those of PgBouncer, which are C's.
enum ValueSyntax {
    /// Every number is stored in a C `int` by PgBouncer, so larger ones were never meaningful.
    static let integerMaximum = Int(Int32.max)

    /// Decimal, `0x` hexadecimal or octal with a leading 0, with an optional sign.
    static func integer(_ text: String, in range: ClosedRange<Int>) throws(InvalidValue) -> Int {
        let expected = "expected an integer from \(range.lowerBound) to \(range.upperBound)"
        switch cInteger(text) {
        case .value(let value) where range.contains(value): return value
        case .value, .overflow: throw InvalidValue("\"\(text)\" is out of range: \(expected)")
        case .notANumber: throw InvalidValue("\"\(text)\" is not a number: \(expected)")
        }
    }

    static func boolean(_ text: String) throws(InvalidValue) -> Bool {
        switch cInteger(text) {
        case .value(0): return false
        case .value(1): return true
        default: throw InvalidValue("\"\(text)\" is not a switch: expected 0 or 1")
        }
    }

    /// Seconds with an optional fraction, as microseconds.
    static func time(_ text: String) throws(InvalidValue) -> Microseconds {
        // A hundred million seconds are three years; ten times that keeps every sum of two times far from overflow.
        guard let first = text.utf8.first, first != UInt8(ascii: "+"), let seconds = Double(text), seconds.isFinite else {
            throw InvalidValue("\"\(text)\" is not a time: expected seconds, such as 15 or 0.5, without a unit")
        }
        guard seconds >= 0, seconds <= maximumSeconds else {
            throw InvalidValue("\"\(text)\" is out of range: expected seconds from 0 to \(Int(maximumSeconds))")
        }
        return Microseconds((seconds * 1_000_000).rounded())
    }

    /// PgBouncer reads the times of single databases and users with no fraction.
    static func wholeSeconds(_ text: String) throws(InvalidValue) -> Microseconds {
        switch cInteger(text) {
        case .value(let value) where value >= 0 && Double(value) <= maximumSeconds:
            return Microseconds(value) * 1_000_000
        case .value, .overflow:
            throw InvalidValue("\"\(text)\" is out of range: expected whole seconds from 0 to \(Int(maximumSeconds))")
        case .notANumber:
            throw InvalidValue("\"\(text)\" is not a time: expected whole seconds, without a fraction or a unit")
        }
    }

    /// One of an enumeration's words, in any case.
    static func choice<Choice>(_ text: String, of type: Choice.Type) throws(InvalidValue) -> Choice
    where Choice: RawRepresentable & CaseIterable, Choice.RawValue == String {
        let lower = text.lowercased()
        for choice in Choice.allCases where choice.rawValue == lower { return choice }
        throw InvalidValue("\"\(text)\" is not known: expected \(oneOf(Choice.allCases.map(\.rawValue)))")
    }

    /// Comma separated words; `blanksToo` also splits at blanks, as PgBouncer does where no entry can hold one.
    static func list(_ text: String, blanksToo: Bool) -> [String] {
        var entries: [String] = []
        for part in text.utf8.split(separator: UInt8(ascii: ",")) {
            if blanksToo {
                entries += part.split(whereSeparator: isBlank).map { String($0) ?? "" }
            } else {
                let entry = trimmed(part)
                if !entry.isEmpty { entries.append(entry) }
            }
        }
        return entries
    }

    static func oneOf(_ words: [String]) -> String {
        guard let last = words.last, words.count > 1 else { return words.first ?? "" }
        return words.dropLast().joined(separator: ", ") + " or " + last
    }

    static let maximumSeconds = 1_000_000_000.0

    private enum CInteger {
        case value(Int)
        case overflow
        case notANumber
    }

    private static func cInteger(_ text: String) -> CInteger {
        var digits = text.utf8[...]
        let isNegative = digits.first == UInt8(ascii: "-")
        if isNegative || digits.first == UInt8(ascii: "+") { digits = digits.dropFirst() }
        var radix = 10
        if digits.first == UInt8(ascii: "0"), digits.count > 1 {
            digits = digits.dropFirst()
            radix = 8
            if digits.first == UInt8(ascii: "x") || digits.first == UInt8(ascii: "X") {
                digits = digits.dropFirst()
                radix = 16
            }
        }
        guard !digits.isEmpty else { return .notANumber }
        var value = 0
        var overflowed = false
        for byte in digits {
            guard let digit = Hexadecimal.value(of: byte).map(Int.init), digit < radix else { return .notANumber }
            let (product, tooLarge) = value.multipliedReportingOverflow(by: radix)
            let (sum, stillTooLarge) = product.addingReportingOverflow(digit)
            overflowed = overflowed || tooLarge || stillTooLarge
            value = sum
        }
        if overflowed { return .overflow }
        return .value(isNegative ? -value : value)
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || (9...13).contains(byte)
    }

    private static func trimmed(_ part: Substring.UTF8View) -> String {
        guard let first = part.firstIndex(where: { !isBlank($0) }), let last = part.lastIndex(where: { !isBlank($0) }) else { return "" }
        return String(part[first...last]) ?? ""
    }
}
