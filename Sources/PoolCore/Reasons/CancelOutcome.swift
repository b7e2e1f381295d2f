/// Why the connection of a cancel request is closed: the client's, the one to the server, the one to a peer.
public enum CancelOutcome: Sendable, Equatable, CaseIterable {
    /// It was delivered, or there was nothing to cancel any more.
    case done
    case connectFailed
    case notSent
    /// `cancel_wait_timeout` is over.
    case timedOut
    /// The peer that it was for is not in [peers] any more.
    case peerRemoved

    /// The words of the log.
    public var text: String {
        switch self {
        case .done: "cancel request done"
        case .connectFailed: "connect failed"
        case .notSent: "cancel request can't be sent"
        case .timedOut: "cancel_wait_timeout"
        case .peerRemoved: "peer removed"
        }
    }
}

/// Why a cancel request goes nowhere.
public enum CancelRefusal: Sendable, Equatable {
    case wrongLength
    case unknownKey
    /// Peers that name each other have passed it around.
    case tooManyHops
    /// The key names a peer that is not in [peers].
    case unknownPeer(Int)

    /// The words of the log.
    public var text: String {
        switch self {
        case .wrongLength: "it has the wrong length"
        case .unknownKey: "unknown key"
        case .tooManyHops: "too many hops between peers"
        case .unknownPeer(let peer): "peer \(peer) is not in [peers]"
        }
    }
}
