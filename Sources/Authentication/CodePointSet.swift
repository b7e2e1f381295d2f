/// A set of Unicode code points, written as hexadecimal code points and inclusive ranges (`A0 2000-200B`) in rising order.
struct CodePointSet: Sendable {
    private var ranges: [ClosedRange<UInt32>] = []

    init(_ text: String) {
        for field in text.split(whereSeparator: \.isWhitespace) {
            let bounds = field.split(separator: "-").compactMap { UInt32($0, radix: 16) }
            guard let first = bounds.first, let last = bounds.last, first <= last else {
                preconditionFailure("not a range of code points: \(field)")
            }
            ranges.append(first...last)
        }
    }

    func contains(_ scalar: Unicode.Scalar) -> Bool {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].contains(scalar.value) { return true }
            if ranges[middle].lowerBound > scalar.value { high = middle } else { low = middle + 1 }
        }
        return false
    }
}
