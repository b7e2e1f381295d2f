/// Unicode normalization form KC (Unicode Standard Annex 15) for text made of characters that Unicode 3.2 knew.
///
/// The standard library keeps its normalizer to itself and knows no compatibility mappings, so the mappings come from
/// ``DecompositionData``; combining classes come from the standard library. Characters assigned after Unicode 3.2 pass
/// through without a decomposition: SASLprep refuses them anyway.
struct NormalizationFormKC: Sendable {
    static let shared = NormalizationFormKC()

    private var decompositions: [Unicode.Scalar: [Unicode.Scalar]] = [:]
    private var compositions: [Pair: Unicode.Scalar] = [:]

    private struct Pair: Hashable {
        let first: Unicode.Scalar
        let second: Unicode.Scalar
    }

    private init() {
        for record in DecompositionData.text.split(whereSeparator: \.isWhitespace) {
            read(record)
        }
    }

    private mutating func read(_ record: Substring) {
        guard let mark = record.firstIndex(where: { "=-~".contains($0) }), let source = UInt32(record[..<mark], radix: 16) else {
            preconditionFailure("not a decomposition: \(record)")
        }
        let parts = record[record.index(after: mark)...].split(separator: "*")
        let target = parts[0].split(separator: ",").compactMap { UInt32($0, radix: 16) }
        let count = parts.count > 1 ? UInt32(parts[1], radix: 16) ?? 0 : 1
        for offset in 0..<count {
            let scalars = target.compactMap { Unicode.Scalar($0 + offset) }
            guard let scalar = Unicode.Scalar(source + offset) else { preconditionFailure("not a scalar: \(record)") }
            decompositions[scalar] = scalars
            if record[mark] == "=" { compositions[Pair(first: scalars[0], second: scalars[1])] = scalar }
        }
    }

    /// The text in form KC. Takes time proportional to its length, apart from the sorting of adjacent combining marks.
    func normalize(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
        var decomposed: [Unicode.Scalar] = []
        decomposed.reserveCapacity(text.count)
        for scalar in text { decompose(scalar, into: &decomposed) }
        return compose(reorder(decomposed))
    }

    private func decompose(_ scalar: Unicode.Scalar, into output: inout [Unicode.Scalar]) {
        if let parts = Hangul.decompose(scalar) {
            output += parts
        } else if let parts = decompositions[scalar] {
            for part in parts { decompose(part, into: &output) }
        } else {
            output.append(scalar)
        }
    }

    /// Sorts each run of combining marks by class and keeps the order of equals (canonical ordering).
    private func reorder(_ scalars: [Unicode.Scalar]) -> [(scalar: Unicode.Scalar, combiningClass: UInt8)] {
        var marked = scalars.map { (scalar: $0, combiningClass: $0.properties.canonicalCombiningClass.rawValue) }
        var start = 0
        while start < marked.count {
            guard marked[start].combiningClass != 0 else {
                start += 1
                continue
            }
            let end = marked[start...].firstIndex { $0.combiningClass == 0 } ?? marked.count
            if end - start > 1 {
                let sorted = marked[start..<end].enumerated().sorted {
                    ($0.element.combiningClass, $0.offset) < ($1.element.combiningClass, $1.offset)
                }
                marked.replaceSubrange(start..<end, with: sorted.map(\.element))
            }
            start = end
        }
        return marked
    }

    /// Joins every character with the last starter before it, unless something of the same or a higher class stands between.
    private func compose(_ scalars: [(scalar: Unicode.Scalar, combiningClass: UInt8)]) -> [Unicode.Scalar] {
        var output: [Unicode.Scalar] = []
        output.reserveCapacity(scalars.count)
        var starter: Int?
        var classBefore: UInt8?
        for (scalar, combiningClass) in scalars {
            let reachable = classBefore.map { $0 < combiningClass } ?? true
            if let index = starter, reachable, let joined = join(output[index], scalar) {
                output[index] = joined
                continue
            }
            if combiningClass == 0 {
                starter = output.count
                classBefore = nil
            } else {
                classBefore = combiningClass
            }
            output.append(scalar)
        }
        return output
    }

    private func join(_ first: Unicode.Scalar, _ second: Unicode.Scalar) -> Unicode.Scalar? {
        Hangul.compose(first, second) ?? compositions[Pair(first: first, second: second)]
    }
}

/// Hangul syllables decompose and compose by arithmetic (The Unicode Standard, section 3.12).
private enum Hangul {
    private static let syllables: ClosedRange<UInt32> = 0xAC00...0xD7A3
    private static let leading: ClosedRange<UInt32> = 0x1100...0x1112
    private static let vowels: ClosedRange<UInt32> = 0x1161...0x1175
    private static let trailing: ClosedRange<UInt32> = 0x11A8...0x11C2
    /// One before the first trailing consonant: offset 0 says that there is none.
    private static let noTrailing: UInt32 = 0x11A7
    private static let trailingCount: UInt32 = 28
    private static let vowelCount: UInt32 = 21

    static func decompose(_ scalar: Unicode.Scalar) -> [Unicode.Scalar]? {
        guard syllables.contains(scalar.value) else { return nil }
        let index = scalar.value - syllables.lowerBound
        let offset = index % trailingCount
        let values = [
            leading.lowerBound + index / (vowelCount * trailingCount),
            vowels.lowerBound + index / trailingCount % vowelCount,
            noTrailing + offset,
        ]
        return values.prefix(offset == 0 ? 2 : 3).compactMap { Unicode.Scalar($0) }
    }

    static func compose(_ first: Unicode.Scalar, _ second: Unicode.Scalar) -> Unicode.Scalar? {
        if leading.contains(first.value), vowels.contains(second.value) {
            let syllable = (first.value - leading.lowerBound) * vowelCount + (second.value - vowels.lowerBound)
            return Unicode.Scalar(syllables.lowerBound + syllable * trailingCount)
        }
        if syllables.contains(first.value), (first.value - syllables.lowerBound) % trailingCount == 0, trailing.contains(second.value) {
            return Unicode.Scalar(first.value + (second.value - noTrailing))
        }
        return nil
    }
}
