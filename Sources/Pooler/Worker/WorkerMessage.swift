import Authentication
import Configuration
import Console
import EventLoop
import PoolCore

/// What a worker is told: by the main thread, by other workers, and by threads that did something for it.
///
/// Messages of one sender arrive in the order in which they were posted, and so do messages of two senders of whom one acted on what the
/// other had posted before. What is asked and answered (SHOW, WHY, metrics) is no message but a method of `Worker`.
enum WorkerMessage: ~Copyable, Sendable {
    // By the main thread.

    /// All workers of the process, this one included, by index. Comes first.
    case meet([Worker])
    case listen(OwnedDescriptor, at: SocketAddress)
    /// Opens the servers that are to be there before anybody comes.
    case warmUp
    case probe(StartProbe)
    case apply(ConfigurationUpdate)
    case applyAdminState(AdminState, Acknowledgement)
    case replaceServers(database: String?, Acknowledgement)
    case killConnections(database: String?, Acknowledgement)
    case beginShutdown(ShutdownMode)
    case endTLS(Acknowledgement)

    // By other workers.

    /// A client that has just been accepted.
    case adoptClient(OwnedDescriptor, isUnix: Bool)
    case adoptServer(LentServer)
    /// Another worker has a client for an idle server of that pool.
    case lend(CapacityLedger.PoolKey, to: Int)
    case nothingToLend(CapacityLedger.PoolKey, mayAskAgain: Bool)
    /// A server was closed: there is room for another one.
    case capacityChanged
    case makeRoom(CapacityLedger.PoolKey, CapacityLedger.ServerLimits, CapacityLedger.ServerVerdict)
    case claimRoom(CapacityLedger.PoolKey, since: Int64)
    case greetingArrived(CapacityLedger.PoolKey)
    case loginFailed(CapacityLedger.PoolKey)
    /// What the client with this key has asked for is to be canceled.
    case cancel(key: UInt64, slot: UInt32, CancelRequester)
    /// A client socket that asked for a cancel has nothing more to wait for.
    case cancelIsOver(slot: UInt32, id: UInt64, outcome: CancelOutcome)
    case lookUp(PendingLookup, database: String, authUser: String)
    case lookedUp(slot: UInt32, id: UInt64, LookupAnswer)

    // By threads that did something for this worker.

    case derived(KeyDerivation, SaltedPassword)
    case gotPassword(UInt64, PasswordOutcome)
    case peerNamed(String?, slot: UInt32, id: UInt64, map: String?)
    case checked(slot: UInt32, id: UInt64, password: [UInt8], failure: String?)
    case consoleDone(slot: UInt32, id: UInt64, ConsoleOutcome)
    /// Why the clients of a pool wait.
    case explained(CapacityLedger.PoolKey, WaitFacts)

    /// News that a worker hears once, however often they are told before it looks.
    static func isCapacityNews(_ message: borrowing WorkerMessage) -> Bool {
        switch message {
        case .capacityChanged: true
        default: false
        }
    }
}

/// A configuration on its way to the workers: larger than all other messages, so it is not in the queue itself.
final class ConfigurationUpdate: Sendable {
    let configuration: Configuration
    let acknowledgement: Acknowledgement

    init(_ configuration: Configuration, _ acknowledgement: Acknowledgement) {
        (self.configuration, self.acknowledgement) = (configuration, acknowledgement)
    }
}
