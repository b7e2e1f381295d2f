/// Figures that fit a few columns.
enum Figures {
    /// Microseconds as `850us`, `1.2ms`, `35ms`, `1.2s`, `90s`, `15m`.
    static func time(_ microseconds: Double) -> String {
        switch microseconds {
        case ..<0.5: "0"
        case ..<1000: "\(Int(microseconds.rounded()))us"
        case ..<1_000_000: short(microseconds / 1000) + "ms"
        case ..<600_000_000: short(microseconds / 1_000_000) + "s"
        case ..<36_000_000_000: "\(Int(microseconds / 60_000_000))m"
        default: "\(Int((microseconds / 3_600_000_000).rounded(.down)))h"
        }
    }

    /// `7`, `999`, `1.2k`, `35k`, `1.2M`.
    static func count(_ number: Double) -> String {
        switch number {
        case ..<1000: String(Int(number.rounded()))
        case ..<1_000_000: short(number / 1000) + "k"
        case ..<1_000_000_000: short(number / 1_000_000) + "M"
        default: short(number / 1_000_000_000) + "G"
        }
    }

    /// Bytes with `B`, `kB`, `MB`.
    static func bytes(_ number: Double) -> String {
        let text = count(number)
        return text.last.map { $0.isLetter ? "\(text.dropLast()) \($0)B" : "\(text) B" } ?? ""
    }

    /// With one digit behind the point where that matters.
    static func decimal(_ number: Double) -> String {
        number >= 10 || number == 0 ? count(number) : short(number)
    }

    private static func short(_ number: Double) -> String {
        guard number < 9.95 else { return String(Int(number.rounded())) }
        let tenths = Int((number * 10).rounded())
        return tenths % 10 == 0 ? String(tenths / 10) : "\(tenths / 10).\(tenths % 10)"
    }
}
