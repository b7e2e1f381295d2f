import Locking
import PoolCore
import Synchronization

/// The pools of one database and user, all workers: they differ in what their servers bring from their logins (`StartupValues`), and share
/// `pool_size`.
final class PoolFamily: Sendable {
    /// Values that a login may take, and SET does not.
    private let needingLogin = Locked<Set<Parameter>>([])
    /// Names, in lower case, that PostgreSQL does not know: leftovers of a connection string, not to be tried again.
    private let unknownNames = Locked<Set<String>>([])
    private let pools = Atomic<Int>(0)

    /// More are forgotten, and found out again.
    private static let mostNeedingLogin = 256
    private static let mostUnknown = 1_000
    /// No name of PostgreSQL's is as long.
    private static let longestName = 256

    /// There is more than one pool: the servers of one are no use to the clients of another.
    var isDivided: Bool { pools.load(ordering: .relaxed) > 1 }

    func countPool(_ change: Int) { pools.add(change, ordering: .relaxed) }

    /// A server has refused to be set to this value, which is not longer than a startup packet.
    func noteRefused(_ parameter: Parameter) {
        needingLogin.withLock { known in
            if known.count >= Self.mostNeedingLogin { known = [] }
            known.insert(Parameter(name: parameter.key, value: parameter.value))
        }
    }

    /// PostgreSQL does not know a parameter of this name.
    func noteUnknown(_ name: String) {
        guard name.utf8.count <= Self.longestName else { return }
        unknownNames.withLock { names in
            if names.count >= Self.mostUnknown { names = [] }
            names.insert(name.lowercased())
        }
    }

    func isUnknown(_ name: String) -> Bool { unknownNames.withLock { !$0.isEmpty && $0.contains(name.lowercased()) } }

    /// What is special about these parameters of a startup packet. `isExclusive`: a client has its server until it leaves, so that its values
    /// are worth a login; all but those that differ from client to client.
    func startup(of parameters: [Parameter], isExclusive: Bool) -> StartupValues {
        if parameters.isEmpty { return .none }
        let known = needingLogin.withLock { $0 }
        return StartupValues(of: parameters.filter { !isUnknown($0.name) }) { parameter in
            (isExclusive && !parameter.isCustom && !Self.ofOneClient.contains(parameter.key))
                || (!known.isEmpty && known.contains(Parameter(name: parameter.key, value: parameter.value)))
        }
    }

    /// Names of clients, and what the pooler looks after itself.
    private static let ofOneClient: Set<String> = ["application_name", "idle_session_timeout"]
}
