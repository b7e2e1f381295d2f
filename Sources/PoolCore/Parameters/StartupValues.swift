import Bytes

/// What sets the servers of a pool apart from the others of its database and user: startup values of its clients that a server can't be
/// moved to and from by SET without anybody noticing.
///
/// Most pools have none: the values that clients usually bring are the same after a SET as after a login.
public struct StartupValues: Hashable, Sendable {
    /// Each server has these in its own startup packet: a login takes what SET refuses (`log_connections`, a tablespace that does not
    /// exist, bytes that are no text), and does what SET does not (libraries are loaded). In their order: of several that it refuses PostgreSQL
    /// names the first.
    public let given: [Parameter]
    /// The names of custom parameters (`app.tenant`) that the clients bring, as they spell them. Once set, such a name stays in the session
    /// for good, so that only those who bring it may see it; the values are set for each client. Sorted.
    public let customNames: [String]

    /// Nothing special.
    public static let none = StartupValues(given: [], customNames: [])

    public var isEmpty: Bool { given.isEmpty && customNames.isEmpty }

    private init(given: [Parameter], customNames: [String]) {
        self.given = given
        self.customNames = customNames
    }

    /// What is special about these parameters of a startup packet.
    ///
    /// - Parameter needsLogin: SET is known to refuse the value.
    public init(of parameters: [Parameter], needsLogin: (Parameter) -> Bool) {
        var given: [Parameter] = []
        var customNames: [String: String] = [:]
        for parameter in parameters {
            let key = parameter.key
            given.removeAll { $0.key.hasSameBytes(as: key) }
            if Self.loaded.contains(key) || needsLogin(parameter) {
                customNames[key] = nil
                given.append(parameter)
            } else if parameter.isCustom {
                customNames[key] = parameter.name
            }
        }
        self.given = given
        self.customNames = customNames.sorted { $0.key < $1.key }.map(\.value)
    }

    /// Read by PostgreSQL when a session begins, and only then.
    private static let loaded: Set<String> = ["local_preload_libraries", "session_preload_libraries"]

    /// Whether the servers have a value for this parameter, whose name is in lower case, from their logins.
    public func gives(_ key: String) -> Bool { given.contains { $0.key.hasSameBytes(as: key) } }

    /// A parameter with its name as the clients of this pool spell it.
    public func spelling(_ parameter: Parameter) -> Parameter {
        guard parameter.isCustom, let name = customNames.first(where: { $0.lowercased().hasSameBytes(as: parameter.key) }) else {
            return parameter
        }
        return Parameter(name: name, value: parameter.value)
    }

    /// By bytes, as PostgreSQL compares values.
    public static func == (left: StartupValues, right: StartupValues) -> Bool {
        left.given == right.given && left.customNames.elementsEqual(right.customNames) { $0.hasSameBytes(as: $1) }
    }
}

extension Parameter {
    /// The name in lower case: PostgreSQL does not tell the cases apart.
    public var key: String { name.lowercased() }

    /// It belongs to an extension or an application, and may have any value.
    public var isCustom: Bool { name.utf8.contains(UInt8(ascii: ".")) }
}
