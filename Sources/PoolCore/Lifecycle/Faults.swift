import Locking

/// What must never happen, and has: faults of the pooler itself. A debug build ends there, and so do the simulation and the unit tests; a release
/// build goes on as well as it can, and the log tells.
public enum Faults {
    /// So many are kept until they are logged: one fault may come with each query.
    public static let most = 100

    private static let noted = Locked<[String]>([])

    public static func note(_ text: String) {
        assertionFailure(text)
        noted.withLock { if $0.count < most { $0.append(text) } }
    }

    /// Those that nobody has logged yet.
    public static func take() -> [String] {
        noted.withLock { faults in
            defer { faults = [] }
            return faults
        }
    }
}
