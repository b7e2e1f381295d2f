import Statistics

/// Why a client is closed: what the log says, by what it is counted, and what the client is told.
public enum ClientCloseReason: Sendable {
    /// The client said good-bye.
    case terminated
    /// The client closed its side, or is gone.
    case endOfStream
    /// The socket failed; the system's words.
    case connectionLost(String)
    /// The pooler refuses the client, or ends what it does; it is told so.
    case error(PoolerError)
    /// Its server is closed in the middle of a message, or has said why itself: there is nothing to add.
    case serverClosed(ServerCloseReason)
    /// It asked for a cancel, of which nothing comes.
    case cancelRefused(CancelRefusal)
    /// It asked for a cancel, which is over.
    case cancelOver(CancelOutcome)
    case tlsSetupFailed(String)
    case tlsHandshakeFailed(String)
    case tlsFailed(String)
    case directTLSWithoutALPN
    /// The probe at the start has met this process.
    case probeReturned

    /// The words of the log.
    public var text: String {
        switch self {
        case .terminated: "client close request"
        case .endOfStream: "client unexpected eof"
        case .connectionLost(let words): "client \(words.lowercased())"
        case .error(let error): error.message
        case .serverClosed(let reason): reason.text
        case .cancelRefused(let refusal): "cancel request: \(refusal.text)"
        case .cancelOver(let outcome): outcome.text
        case .tlsSetupFailed(let words): "TLS setup failed: \(words)"
        case .tlsHandshakeFailed(let words): "TLS handshake failed: \(words)"
        case .tlsFailed(let words): "TLS error: \(words)"
        case .directTLSWithoutALPN: "direct TLS without ALPN: expected the client to offer the protocol \"postgresql\""
        case .probeReturned: "the probe at the start has come back"
        }
    }

    /// By what it is counted.
    public var cause: ClientCloseCause {
        switch self {
        case .terminated: .closeRequest
        case .endOfStream: .endOfStream
        case .connectionLost: .connectionLost
        case .error(let error): error.cause
        case .serverClosed(let reason): reason.clientError.cause
        case .cancelRefused(.wrongLength): .cancelMalformed
        case .cancelRefused(.unknownKey): .cancelUnknownKey
        case .cancelRefused(.tooManyHops): .cancelTooManyHops
        case .cancelRefused(.unknownPeer): .cancelUnknownPeer
        case .cancelOver(.done): .cancelDone
        case .cancelOver(.connectFailed): .cancelConnectFailed
        case .cancelOver(.notSent): .cancelNotSent
        case .cancelOver(.timedOut): .cancelTimedOut
        case .cancelOver(.peerRemoved): .cancelPeerRemoved
        case .tlsSetupFailed: .tlsSetupFailed
        case .tlsHandshakeFailed: .tlsHandshakeFailed
        case .tlsFailed: .tlsError
        case .directTLSWithoutALPN: .directTLSWithoutALPN
        case .probeReturned: .probeReturned
        }
    }

    /// What the client is told; nil where there is nothing to tell, or nobody to hear it.
    public var error: PoolerError? {
        if case .error(let error) = self { error } else { nil }
    }

    /// The client went away without a word.
    public var isDisappearance: Bool {
        switch self {
        case .endOfStream, .connectionLost: true
        case .terminated, .error, .serverClosed, .cancelRefused, .cancelOver, .tlsSetupFailed, .tlsHandshakeFailed, .tlsFailed,
            .directTLSWithoutALPN, .probeReturned:
            false
        }
    }
}
