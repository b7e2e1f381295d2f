/// How a server's connection ended by itself.
public enum ConnectionLoss: Sendable, Equatable {
    /// It closed its side.
    case endOfStream
    /// The socket failed before it was connected.
    case neverConnected
    /// The socket failed; the system's words.
    case failed(String)
    case tlsFailed(String)
}

extension ServerCloseReason {
    /// The connection of a server in use is lost.
    public init(_ loss: ConnectionLoss) {
        switch loss {
        case .endOfStream, .neverConnected: self = .crashed
        case .failed(let words): self = .connectionLost(words)
        case .tlsFailed(let words): self = .tlsFailed(words)
        }
    }
}

extension OpeningFailure {
    /// The connection is lost before the login was done.
    public init(_ loss: ConnectionLoss) {
        switch loss {
        case .endOfStream: self = .crashed
        case .neverConnected: self = .connectFailed(nil)
        case .failed(let words): self = .connectionLost(words)
        case .tlsFailed(let words): self = .tlsFailed(words)
        }
    }
}
