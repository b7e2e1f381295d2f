import Synchronization

/// Several workers are told the same: this counts those that have done it, and calls back with the last one, on its thread.
final class Acknowledgement: Sendable {
    private let left: Atomic<Int>
    private let whenDone: @Sendable () -> Void

    /// - Parameters:
    ///   - workers: how many are told.
    ///   - whenDone: must not block.
    init(of workers: Int, whenDone: @escaping @Sendable () -> Void) {
        left = Atomic(workers)
        self.whenDone = whenDone
    }

    /// One more has done it.
    func arrive() {
        if left.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { whenDone() }
    }
}
