/// A pool over all workers, as one worker's part of it sees it (`PoolStateMachine`). What other workers do changes it at any moment, so each
/// decision reads it anew.
public protocol WholePool {
    /// Servers of another generation are not to be used again (RECONNECT, a changed configuration).
    var presentGeneration: UInt32 { get }
    /// Servers that are logged in.
    var connected: Int { get }
    /// Those of them that will serve again.
    var usable: Int { get }
    /// The last try to get a server failed.
    var failure: PoolFailure? { get }
    /// Other pools share its size.
    var isDivided: Bool { get }
    /// Workers of the process.
    var workers: Int { get }
    /// Idle servers that a worker shows.
    func idleServers(of worker: Int) -> Int
    /// Since when the client waits that has waited longest at a worker; `Int64.max`: nobody does.
    func oldestWaiter(of worker: Int) -> Int64
    /// Takes the right to close a server for its age: one in `spacing` microseconds, so that a pool is not renewed all at once.
    func mayCloseForAge(now: Int64, spacing: Int64) -> Bool
}
