/// What a client said of codings in `Accept-Encoding` (RFC 9110, section 12.5.3).
struct AcceptedCodings {
    /// gzip is among them, and not with a weight of 0.
    let includesGzip: Bool

    /// Reads the header; no header means that nobody asked for a coding.
    init(_ header: String) {
        var gzip: Bool?
        var any = false
        for element in header.split(separator: ",") {
            let parts = element.split(separator: ";", omittingEmptySubsequences: false).map { Self.trimmed($0).lowercased() }
            let isWanted = !parts.dropFirst().contains(where: Self.isZeroWeight)
            switch parts.first {
            case "gzip", "x-gzip": gzip = isWanted
            case "*": any = isWanted
            default: break
            }
        }
        includesGzip = gzip ?? any
    }

    /// `q=0`, `q=0.`, `q=0.000`.
    private static func isZeroWeight(_ parameter: String) -> Bool {
        let sides = parameter.split(separator: "=", maxSplits: 1).map { trimmed($0) }
        guard sides.count == 2, sides[0] == "q" else { return false }
        return sides[1].first == "0" && sides[1].allSatisfy { $0 == "0" || $0 == "." }
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return String(text)
    }
}
