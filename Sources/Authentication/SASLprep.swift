/// SASLprep (RFC 4013), the preparation of a password for SCRAM, as PostgreSQL applies it.
///
/// PostgreSQL's reading differs from the RFC in three ways, and both ends must agree: an ASCII password is taken as it is, control
/// characters included; the prohibited, unassigned and bidirectional checks look at the text before normalization; and a password
/// that cannot be prepared (not UTF-8, prohibited, empty after mapping) is used byte for byte instead of being refused.
///
/// The first password beyond ASCII makes the process read its tables, which takes about 10 ms.
public enum SASLprep {
    /// The prepared password, or the same bytes where preparation does not apply or fails.
    public static func prepare(_ password: [UInt8]) -> [UInt8] {
        guard password.contains(where: { $0 >= 0x80 }), let text = String(validating: password, as: UTF8.self) else { return password }
        let mapped = text.unicodeScalars.compactMap(map)
        guard !mapped.isEmpty, !mapped.contains(where: isForbidden), hasLegalDirection(mapped) else { return password }
        var prepared = String.UnicodeScalarView()
        prepared.append(contentsOf: NormalizationFormKC.shared.normalize(mapped))
        return Array(String(prepared).utf8)
    }

    /// RFC 4013, section 2.1. U+200B stands in both tables; PostgreSQL sees the space first.
    private static func map(_ scalar: Unicode.Scalar) -> Unicode.Scalar? {
        if StringprepTables.nonASCIISpace.contains(scalar) { return " " }
        return StringprepTables.mappedToNothing.contains(scalar) ? nil : scalar
    }

    /// RFC 4013, sections 2.3 and 2.5.
    private static func isForbidden(_ scalar: Unicode.Scalar) -> Bool {
        StringprepTables.prohibited.contains(scalar) || StringprepTables.unassigned.contains(scalar)
    }

    /// RFC 3454, section 6: right-to-left text starts and ends with such a character and holds none of the other direction.
    private static func hasLegalDirection(_ text: [Unicode.Scalar]) -> Bool {
        guard text.contains(where: StringprepTables.rightToLeft.contains) else { return true }
        guard let first = text.first, let last = text.last else { return true }
        return StringprepTables.rightToLeft.contains(first) && StringprepTables.rightToLeft.contains(last)
            && !text.contains(where: StringprepTables.leftToRight.contains)
    }
}
