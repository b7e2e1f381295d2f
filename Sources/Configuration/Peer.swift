/// An entry of `[peers]`: another process that cancel requests can be passed on to.
public struct Peer: Sendable, Equatable {
    /// Host or socket directory of the peer.
    public var host: String?
    /// Its `listen_port`.
    public var port = 6432
    /// Connections to it; nil means `default_pool_size`.
    public var poolSize: Int?

    /// A peer without a host, which no file may leave it at.
    public init() {}
}

extension SettingsTable {
    /// What an entry of `[peers]` may hold.
    public static let peerKeys: [ConnectStringKey<Peer>] = [
        .string("host", \.host, "must be given", "Host, or directory of the Unix socket."),
        .port("port", \.port, "6432", "Its `listen_port`."),
        .size("pool_size", \.poolSize, "`default_pool_size`", "Connections to the peer."),
    ]
}
