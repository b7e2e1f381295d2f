/// Writes times as PgBouncer's console does.
public enum TimeText {
    /// Seconds as C's `%g` prints them: six significant digits, no trailing zeros, an exponent where the number is large or tiny.
    public static func seconds(_ microseconds: Microseconds) -> String {
        guard microseconds > 0 else { return "0" }
        var digits = microseconds
        var exponent = -6
        var count = String(digits).utf8.count
        if count > 6 {
            var divisor: Microseconds = 1
            for _ in 6..<count { divisor *= 10 }
            let (quotient, remainder) = digits.quotientAndRemainder(dividingBy: divisor)
            // Round half to even, as the C library does.
            let roundsUp = remainder > divisor / 2 || (remainder == divisor / 2 && quotient % 2 == 1)
            digits = quotient + (roundsUp ? 1 : 0)
            exponent += count - 6
        }
        while digits % 10 == 0 {
            digits /= 10
            exponent += 1
        }
        let text = String(digits)
        count = text.utf8.count
        let leading = count - 1 + exponent
        if leading < -4 || leading >= 6 {
            let fraction = count > 1 ? "." + text.dropFirst() : ""
            let size = String(abs(leading))
            return text.prefix(1) + fraction + (leading < 0 ? "e-" : "e+") + (size.utf8.count < 2 ? "0" : "") + size
        }
        if exponent >= 0 { return text + String(repeating: "0", count: exponent) }
        if leading < 0 { return "0." + String(repeating: "0", count: -leading - 1) + text }
        return text.prefix(leading + 1) + "." + text.dropFirst(leading + 1)
    }
}
