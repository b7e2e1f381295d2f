import CLibpq
import Glibc
import Synchronization

/// A cancel request on its way.
public final class CancelRequest: Sendable {
    private let finished = Atomic<Int64>(0)

    init() {}

    /// When the other side had dealt with it and closed, by the clock of `Loop.now`; nil until then.
    public var end: Int64? {
        let time = finished.load(ordering: .acquiring)
        return time == 0 ? nil : time
    }

    func finish() { finished.store(Loop.now, ordering: .releasing) }
}

/// What the thread of a cancel request takes along.
final class CancelErrand {
    private let handle: OpaquePointer
    private let request: CancelRequest

    init(_ handle: OpaquePointer, _ request: CancelRequest) { (self.handle, self.request) = (handle, request) }

    func run() {
        var text = [CChar](repeating: 0, count: 256)
        PQcancel(handle, &text, 256)
        giveUp()
    }

    func giveUp() {
        PQfreeCancel(handle)
        request.finish()
    }
}
