import Glibc

extension Double {
    /// Of base e.
    var logarithm: Double { Glibc.log(self) }
    var decimalLogarithm: Double { Glibc.log10(self) }
}

/// The middle of some values; the mean of the two middle ones where their number is even. NaN of none.
public func median(_ values: [Double]) -> Double {
    guard !values.isEmpty else { return .nan }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/// `value` with `places` digits behind the point.
public func fixed(_ value: Double, _ places: Int) -> String {
    guard value.isFinite else { return "-" }
    let scale = pow(10, Double(places))
    let scaled = (abs(value) * scale).rounded()
    guard scaled < 9e18 else { return "\(value)" }
    let units = UInt64(scaled)
    let sign = value < 0 && units > 0 ? "-" : ""
    guard places > 0 else { return sign + String(units) }
    let fraction = String(units % UInt64(scale))
    return sign + String(units / UInt64(scale)) + "." + String(repeating: "0", count: places - fraction.count) + fraction
}

/// A whole number with commas: 12,345.
public func grouped(_ value: Int) -> String {
    var text = ""
    for (index, digit) in String(value.magnitude).reversed().enumerated() {
        if index > 0, index % 3 == 0 { text.append(",") }
        text.append(digit)
    }
    return (value < 0 ? "-" : "") + String(text.reversed())
}
