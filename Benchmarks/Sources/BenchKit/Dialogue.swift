import LibpqLoop

/// A connection for a few questions one after the other, before or between runs. Waits on the loop, so that Ctrl-C works.
public final class Dialogue: ConnectionOwner {
    private let loop: Loop
    private var connection: Connection!
    private var isReady = false
    private var failure: Failure?
    private var found: [[String?]] = []

    public init(on loop: Loop) {
        self.loop = loop
        connection = Connection(on: loop, owner: self)
    }

    /// Connects anew. Throws a `Failure`, or `BenchFailure.interrupted`.
    public func open(_ keywords: [(name: String, value: String)], seconds: Double, interrupted: @escaping () -> Bool) throws {
        try wait(seconds, interrupted) { connection.open(keywords) }
    }

    /// The rows of a simple query. Throws a `Failure`, or `BenchFailure.interrupted`.
    @discardableResult
    public func rows(_ text: String, seconds: Double, interrupted: @escaping () -> Bool) throws -> [[String?]] {
        guard connection.isConnected else { throw Failure(sqlState: Failure.connectionLost, message: "not connected") }
        found = []
        try wait(seconds, interrupted) { connection.query(text) }
        return found
    }

    public func close() { connection.close() }

    private func wait(_ seconds: Double, _ interrupted: @escaping () -> Bool, _ start: () -> Void) throws {
        isReady = false
        failure = nil
        let end = Loop.now + Int64(seconds * 1e9)
        start()
        var stopped = false
        let watch = Watch(loop) {
            if interrupted() || Loop.now > end {
                stopped = true
                self.loop.stop()
            }
        }
        if !isReady, failure == nil { loop.run() }
        watch.timer?.cancel()
        watch.timer = nil
        if stopped {
            connection.vanish(reset: false)
            if interrupted() { throw BenchFailure.interrupted }
            throw Failure(sqlState: Failure.timedOut, message: "no answer in \(fixed(seconds, 0)) s")
        }
        if let failure { throw failure }
    }

    /// Looks ten times a second.
    private final class Watch {
        var timer: Timer?

        init(_ loop: Loop, _ look: @escaping () -> Void) {
            timer = Timer(on: loop) { [unowned self] in
                look()
                timer?.start(after: 100_000_000)
            }
            timer?.start(after: 100_000_000)
        }
    }

    // MARK: ConnectionOwner

    public func connected() {
        isReady = true
        loop.stop()
    }

    public func broken(_ failure: Failure) {
        self.failure = failure
        loop.stop()
    }

    public func answered(_ answer: Answer) {
        guard answer.kind == .rows else { return }
        for row in 0..<answer.rowCount { found.append((0..<answer.columnCount).map { answer.text(row: row, column: $0) }) }
    }

    public func refused(_ failure: Failure) { self.failure = failure }

    public func finished() {
        isReady = true
        loop.stop()
    }

    public func copied(_ row: UnsafeRawBufferPointer) {}
    public func nextCopyPiece() -> [UInt8]? { nil }
}
