import Configuration

/// An object that does one thing for a worker and keeps the state that only this changes. It lives as long as its worker, and on its thread.
protocol WorkerPart: AnyObject {
    var worker: WorkerCore { get }
}

extension WorkerPart {
    var shared: SharedState { worker.shared }
    /// When the turn began (microseconds of the monotonic clock).
    var now: Int64 { worker.now }
    // Without a copy.
    var configuration: Configuration { _read { yield worker.configuration } }
    var settings: Settings { _read { yield worker.configuration.settings } }
}
