import Console
import EventLoop
import Locking
import Synchronization

/// Where workers leave what only the main thread may do: it owns the configuration and what operators hold back, and handles signals and
/// console commands one after the other.
final class AdminRequestQueue: Sendable {
    enum Request: Sendable {
        case reload
        case set(key: String, value: String)
        case reset(key: String?)
        case pause(String?)
        case resume(String?)
        case disable(String)
        case enable(String)
        case reconnect(String?)
        case kill(String?)
        case killClient(UInt64)
        case waitClose(String?)
        case shutdown(ShutdownKind)
        /// All workers have done what they were told.
        case done(@Sendable () -> Void)
        /// All workers have taken over this change of `AdminState`; the first one has number 1.
        case told(Int)
        /// A server was closed: somebody may be waiting for that.
        case check
        /// What the probe at the start has found.
        case probed(StartProbe.Report)
        /// Ctrl-C of the console client with this id.
        case cancel
        /// The console client with this id is gone.
        case forget
    }

    struct Entry: Sendable {
        let request: Request
        /// The console client's id; 0 for none.
        let client: UInt64
        let answer: CheckedContinuation<ConsoleOutcome, Never>?
    }

    private let inbox = Locked<[Entry]>([])
    /// Somebody waits for servers to be closed.
    let isAwaited = Atomic<Bool>(false)

    /// Has the main thread carry a request out, and waits for the outcome.
    func ask(_ request: Request, for client: UInt64) async -> ConsoleOutcome {
        await withCheckedContinuation { put(Entry(request: request, client: client, answer: $0)) }
    }

    /// Tells the main thread something.
    func post(_ request: Request, for client: UInt64 = 0) {
        put(Entry(request: request, client: client, answer: nil))
    }

    private func put(_ entry: Entry) {
        let isFirst = inbox.withLock { entries in
            entries.append(entry)
            return entries.count == 1
        }
        if isFirst { Signals.raise(.attention) }
    }

    /// Everything that has come since.
    func take() -> [Entry] {
        inbox.withLock { entries in
            defer { entries = [] }
            return entries
        }
    }
}
