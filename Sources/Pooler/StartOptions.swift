/// What the command line says beside the configuration.
public struct StartOptions: Sendable, Equatable {
    /// System user to become; beats the setting `user`.
    public var user: String?
    /// Added to the setting `verbose`.
    public var verbosity = 0
    /// Go on in the background.
    public var daemonises = false
    /// No messages on standard error.
    public var isQuiet = false

    /// A start in the foreground, as the user who asks for it.
    public init() {}
}
