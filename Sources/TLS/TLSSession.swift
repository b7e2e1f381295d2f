import COpenSSL

/// What became of bytes from the peer.
public enum TLSReceived: Sendable, Equatable {
    /// So many bytes were decrypted into the worker's buffers; 0 while a handshake or a record is unfinished.
    case plaintext(Int)
    /// So many bytes, and then the peer said that no more will come.
    case closed(Int)
    /// The connection can't go on. An alert may be in the buffers; what was decrypted before counts for nothing.
    case failed(TLSError)
}

/// One TLS connection: bytes in, bytes out, no socket.
///
/// After each ``receive(_:)``, ``start()``, ``send(_:)`` and ``shutdown()`` the owner sends what lies in the worker's buffers
/// (``TLSBuffers/ciphertext``).
/// Belongs to one worker at a time; a server that is lent takes it along, see ``move(to:)``.
public final class TLSSession: @unchecked Sendable {
    // SAFETY (@unchecked Sendable): it is handed over with its connection, by a call between actors, and the giver forgets it.
    let pointer: OpaquePointer
    /// What it was made with.
    public let context: TLSContext
    private var buffers: TLSBuffers
    /// The handshake is done, and the peer is who it should be.
    public private(set) var isEstablished = false
    private var hasFailed = false
    /// Towards servers: the host that was meant, and the port there.
    private let host: String?
    private let port: UInt16

    /// For a client that begins, or is about to begin, a handshake.
    public init(accepting context: TLSContext, buffers: TLSBuffers) throws(TLSError) {
        guard let session = SSL_new(context.pointer) else { throw TLSError.taken() }
        pointer = session
        self.context = context
        self.buffers = buffers
        host = nil
        port = 0
        SSL_set_accept_state(session)
        useBuffers()
    }

    /// For a server. ``start()`` makes the first message.
    ///
    /// - Parameters:
    ///   - host: the name or address that was meant; nil for a Unix socket.
    ///   - port: where, so that sessions of different servers on a host are kept apart.
    public init(connecting context: TLSContext, host: String?, port: UInt16, buffers: TLSBuffers) throws(TLSError) {
        guard let session = SSL_new(context.pointer) else { throw TLSError.taken() }
        pointer = session
        self.context = context
        self.buffers = buffers
        self.host = host
        self.port = port
        SSL_set_connect_state(session)
        useBuffers()
        guard let host else { return }
        if !Self.isNumeric(host) {
            // Server Name Indication in every mode: what stands in front of several servers chooses by it.
            _ = host.withCString {
                SSL_ctrl(session, SSL_CTRL_SET_TLSEXT_HOSTNAME, Int(TLSEXT_NAMETYPE_host_name), UnsafeMutableRawPointer(mutating: $0))
            }
            if context.verification == .authorityAndName {
                let parameters = SSL_get0_param(session)
                X509_VERIFY_PARAM_set_hostflags(parameters, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
                guard X509_VERIFY_PARAM_set1_host(parameters, host, host.utf8.count) == 1 else { throw TLSError.taken() }
            }
        }
        if let earlier = context.session(for: "\(host):\(port)") { SSL_set_session(session, earlier.pointer) }
    }

    deinit {
        // A connection that ends without a good-bye, as most do, has done nothing wrong: its session may be resumed.
        if !hasFailed { SSL_set_shutdown(pointer, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN) }
        SSL_free(pointer)
    }

    private func useBuffers() {
        BIO_up_ref(buffers.bio)
        SSL_set_bio(pointer, buffers.bio, buffers.bio)
    }

    /// Another worker takes over.
    public func move(to buffers: TLSBuffers) {
        self.buffers = buffers
        useBuffers()
    }

    // MARK: Bytes

    /// Makes the first message of a handshake with a server.
    public func start() -> TLSReceived {
        receive([UInt8]().span)
    }

    /// Takes what a `recv` brought: goes on with the handshake, decrypts all whole records.
    public func receive(_ bytes: Span<UInt8>) -> TLSReceived {
        guard !hasFailed else { return .failed(TLSError(reason: "the TLS connection has failed before")) }
        let state = buffers.state
        return bytes.withUnsafeBufferPointer { bytes in
            state.pointee.input = bytes.baseAddress
            state.pointee.inputCount = bytes.count
            defer {
                state.pointee.input = nil
                state.pointee.inputCount = 0
            }
            if !isEstablished {
                ERR_clear_error()
                let result = SSL_do_handshake(pointer)
                if result != 1 {
                    if SSL_get_error(pointer, result) == SSL_ERROR_WANT_READ { return .plaintext(0) }
                    return fail()
                }
                if let error = impostor() {
                    hasFailed = true
                    return .failed(error)
                }
                isEstablished = true
            }
            return decrypt(state)
        }
    }

    @inline(__always)
    private func decrypt(_ state: UnsafeMutablePointer<TLSBuffers.State>) -> TLSReceived {
        var count = 0
        // One call reads at most one record; without input there is nothing to call for.
        while state.pointee.inputCount > 0 {
            let room = buffers.plainCapacity - count
            guard room > 0 else { return fail("more was decrypted than received") }
            let result = SSL_read(pointer, buffers.plain + count, Int32(clamping: room))
            if result > 0 {
                count += Int(result)
                continue
            }
            switch SSL_get_error(pointer, result) {
            case SSL_ERROR_WANT_READ: return .plaintext(count)
            case SSL_ERROR_ZERO_RETURN: return .closed(count)
            default: return fail()
            }
        }
        return .plaintext(count)
    }

    /// Encrypts. False: the connection has failed, or is not established.
    public func send(_ bytes: Span<UInt8>) -> Bool {
        guard isEstablished, !hasFailed else { return false }
        return bytes.withUnsafeBufferPointer { bytes in
            guard let address = bytes.baseAddress, bytes.count > 0 else { return true }
            var written = 0
            let result = SSL_write_ex(pointer, address, bytes.count, &written)
            guard result == 1, written == bytes.count else {
                _ = fail()
                return false
            }
            return true
        }
    }

    /// Says that no more will come.
    public func shutdown() {
        guard isEstablished, !hasFailed else { return }
        if SSL_shutdown(pointer) < 0 { ERR_clear_error() }
    }

    private func fail(_ text: String = "unknown error") -> TLSReceived {
        hasFailed = true
        var error = TLSError.taken(otherwise: text)
        let verdict = SSL_get_verify_result(pointer)
        if error.reason == "certificate verify failed", verdict != Int(X509_V_OK), let detail = X509_verify_cert_error_string(verdict) {
            error = TLSError(reason: "\(error.reason): \(String(cString: detail))")
        }
        return .failed(error)
    }

    // MARK: The peer

    /// What OpenSSL has not looked at in the handshake.
    private func impostor() -> TLSError? {
        guard context.verification != .none else { return nil }
        let certificate = SSL_get1_peer_certificate(pointer).map(Certificate.init(taking:))
        if SSL_session_reused(pointer) == 1, let certificate, let reason = certificate.untimeliness {
            return TLSError(reason: "certificate verify failed: \(reason) since the session began")
        }
        guard context.side == .server, context.verification == .authorityAndName else { return nil }
        guard let host else { return TLSError(reason: "certificate verify failed: there is no host name to compare with") }
        guard Self.isNumeric(host) else { return nil }
        // Most certificates name an address, if at all, as if it were a name; libpq takes both.
        guard let certificate,
            X509_check_ip_asc(certificate.pointer, host, 0) == 1 || X509_check_host(certificate.pointer, host, host.utf8.count, 0, nil) == 1
        else { return TLSError(reason: "certificate verify failed: IP address mismatch") }
        return nil
    }

    private static func isNumeric(_ host: String) -> Bool {
        guard let address = a2i_IPADDRESS(host) else {
            ERR_clear_error()
            return false
        }
        ASN1_OCTET_STRING_free(address)
        return true
    }

    /// Whom the peer's certificate is made out to; nil if it showed none, or if none was asked for and verified.
    public var peerCertificate: PeerCertificate? {
        guard isEstablished, context.verification != .none, SSL_get_verify_result(pointer) == Int(X509_V_OK) else { return nil }
        return SSL_get1_peer_certificate(pointer).map { Certificate(taking: $0).names }
    }

    /// The data of `tls-server-end-point` (RFC 5929) for SCRAM: a hash of the accepting side's certificate. nil where it has none.
    public var endPoint: [UInt8]? {
        guard isEstablished else { return nil }
        if context.side == .client { return context.endPoint }
        return SSL_get1_peer_certificate(pointer).flatMap { Certificate(taking: $0).endPoint }
    }

    /// Whether both sides have agreed on ALPN's `postgresql`.
    public var hasAgreedOnProtocol: Bool {
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(pointer, &name, &count)
        return UnsafeBufferPointer(start: name, count: Int(count)).elementsEqual("postgresql".utf8)
    }

    /// Whether a handshake goes on, or a part of a record is here.
    public var isUnfinished: Bool { !isEstablished || SSL_has_pending(pointer) == 1 }

    /// Whether an earlier session was taken up again.
    public var isResumed: Bool { SSL_session_reused(pointer) == 1 }

    /// Version, cipher and, up to TLS 1.2, key exchange, as the log and the console show them: `TLSv1.3/TLS_AES_256_GCM_SHA384`.
    public var summary: String {
        let version = SSL_get_version(pointer).map { String(cString: $0) } ?? "?"
        let cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(pointer)).map { String(cString: $0) } ?? "?"
        guard SSL_version(pointer) < TLS1_3_VERSION else { return "\(version)/\(cipher)" }
        if cipher.hasPrefix("DHE") { return "\(version)/\(cipher)/DH" }
        let group = Int32(truncatingIfNeeded: SSL_ctrl(pointer, SSL_CTRL_GET_NEGOTIATED_GROUP, 0, nil))
        guard cipher.hasPrefix("ECDHE"), group > 0, let name = OBJ_nid2sn(group) else { return "\(version)/\(cipher)" }
        return "\(version)/\(cipher)/ECDH=\(String(cString: name))"
    }

    /// Towards servers: keeps the session for the next connection to the same host, if the server has sent a ticket.
    public func remember() {
        guard let host, isEstablished, !hasFailed, let session = SSL_get1_session(pointer) else { return }
        let resumable = ResumableSession(taking: session)
        if SSL_SESSION_is_resumable(session) == 1 { context.remember(resumable, for: "\(host):\(port)") }
    }
}
