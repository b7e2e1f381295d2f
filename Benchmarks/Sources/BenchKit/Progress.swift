import LibpqLoop

/// Live figures: one line that is written over on a terminal, a line every few seconds elsewhere.
struct Progress {
    let isOn: Bool
    private let isTerminal = Machine.isTerminal
    private var last: Int64 = 0
    private var started = false

    init(isOn: Bool) { self.isOn = isOn }

    mutating func begin(_ title: String) {
        guard isOn else { return }
        Machine.say("\(title)\n")
        last = Loop.now
    }

    func isDue(_ now: Int64) -> Bool { isOn && now - last >= (isTerminal ? 500_000_000 : 5_000_000_000) }

    mutating func show(
        phase: String, elapsed: Double, length: Double, left: Double, connected: Int, backlog: Int, interval: IntervalCount, now: Int64
    ) {
        guard isOn else { return }
        let span = max(0.001, Double(now - last) / 1e9)
        last = now
        var line = "  \(phase) \(fixed(elapsed, 0))/\(fixed(length, 0)) s  \(Self.duration(left)) left  \(grouped(connected)) clients"
        line += "  \(grouped(Int(Double(interval.succeeded) / span))) a second"
        if let times = Percentiles(interval.latency) {
            line += "  p50 \(fixed(times.p50 / 1000, 2)) ms  p95 \(fixed(times.p95 / 1000, 2)) ms"
        }
        if backlog > 0 { line += "  \(grouped(backlog)) waiting" }
        if interval.failed > 0 { line += "  \(grouped(interval.failed)) errors" }
        // A line that the terminal breaks in two could not be written over.
        Machine.say(isTerminal ? "\r\u{1b}[K\(line.prefix(Machine.terminalWidth - 1))" : "\(line)\n")
        started = true
    }

    /// Minutes and seconds: `0:07`, `1:02:05`.
    static func duration(_ seconds: Double) -> String {
        let all = Int(max(0, seconds).rounded(.up))
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let rest = "\(all / 60 % 60):\(two(all % 60))"
        return all < 3600 ? rest : "\(all / 3600):\(two(all / 60 % 60)):\(two(all % 60))"
    }

    mutating func end() {
        if isOn, isTerminal, started { Machine.say("\r\u{1b}[K") }
    }
}
