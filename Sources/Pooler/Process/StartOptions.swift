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
    /// What is asked of the server before the first client comes; nil: nothing.
    public var probe: StartProbe?
    /// The Unix socket is a convenience that nobody asked for: where it can't be had, a warning is enough.
    public var unixSocketIsOptional = false
    /// Nobody chose the port of `metrics_listen`: where it is taken, another one does as well.
    public var metricsPortIsFree = false

    /// A start in the foreground, as the user who asks for it.
    public init() {}
}
