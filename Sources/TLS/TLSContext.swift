import COpenSSL
import Locking

/// What all TLS connections of one side have in common: certificate, authorities, versions, ciphers. Immutable once built, and shared by
/// all workers; a changed configuration makes a new one, and connections keep the one they began with.
public final class TLSContext: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): an SSL_CTX may be used by several threads once nobody changes it any more, and nobody does after `init`.
    let pointer: OpaquePointer
    public let side: TLSSide
    let verification: TLSVerification
    private let fingerprint: [UInt8]
    /// Own certificate in a client's channel binding; nil where there can be none.
    let endPoint: [UInt8]?
    /// Why the files are no good today; whether that is a reason not to use them is the caller's decision.
    public let untimeliness: TLSConfigurationError?
    /// Towards servers: what a later connection to the same host resumes.
    private let sessions = Locked<[String: ResumableSession]>([:])

    /// Builds a context. Nothing of the old one is touched, so a failure changes nothing.
    public init(_ configuration: TLSConfiguration) throws(TLSConfigurationError) {
        side = configuration.side
        verification = configuration.verification
        fingerprint = configuration.fingerprint
        guard let context = SSL_CTX_new(side == .client ? TLS_server_method() : TLS_client_method()) else {
            throw TLSConfigurationError(setting: "\(side.rawValue)_tls_sslmode", reason: TLSError.taken().reason)
        }
        pointer = context
        let builder = TLSContextBuilder(context: context, configuration: configuration)
        do throws(TLSConfigurationError) {
            try builder.setProtocols()
            try builder.setCiphers()
            try builder.setKeyExchange()
            let own = try builder.setCertificate()
            let authorities = try builder.setAuthorities()
            endPoint = side == .client ? own?.endPoint : nil
            untimeliness = builder.untimeliness(own, authorities)
        } catch {
            SSL_CTX_free(context)
            throw error
        }
        builder.setBehaviour()
    }

    deinit { SSL_CTX_free(pointer) }

    /// Whether a context of this configuration would be no different.
    public func isBuilt(from configuration: TLSConfiguration) -> Bool { fingerprint == configuration.fingerprint }

    // MARK: Resumption

    /// More hosts than this are not remembered.
    private static let sessionLimit = 256

    func session(for host: String) -> ResumableSession? { sessions.withLock { $0[host] } }

    func remember(_ session: ResumableSession, for host: String) {
        sessions.withLock { sessions in
            if sessions[host] != nil || sessions.count < Self.sessionLimit { sessions[host] = session }
        }
    }
}

/// A TLS session that a later connection may take up again.
final class ResumableSession: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): an SSL_SESSION counts its references with atomics and is not changed any more.
    let pointer: OpaquePointer

    /// Takes over a reference.
    init(taking pointer: OpaquePointer) { self.pointer = pointer }

    deinit { SSL_SESSION_free(pointer) }
}
