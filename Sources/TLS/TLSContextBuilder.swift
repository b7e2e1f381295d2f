import COpenSSL

/// The steps from a configuration to an `SSL_CTX`, each with the setting that is to blame when it fails.
struct TLSContextBuilder {
    let context: OpaquePointer
    let configuration: TLSConfiguration

    private func name(_ rest: String) -> String { "\(configuration.side.rawValue)_tls\(rest)" }

    private func fault(
        _ setting: String, _ file: TLSConfiguration.File? = nil, _ reason: String, isAboutPair: Bool = false
    ) -> TLSConfigurationError {
        TLSConfigurationError(setting: name(setting), file: file?.path, reason: reason, isAboutPair: isAboutPair)
    }

    // MARK: What is spoken

    func setProtocols() throws(TLSConfigurationError) {
        guard let versions = TLSProtocols(parsing: configuration.protocols) else {
            throw fault(
                "_protocols", nil,
                "\"\(configuration.protocols)\" is no list of versions: expected some of tlsv1.0, tlsv1.1, tlsv1.2, tlsv1.3, or secure, or all"
            )
        }
        let all: [(TLSProtocols, Int32, UInt64)] = [
            (.v10, TLS1_VERSION, sluice_SSL_OP_NO_TLSv1), (.v11, TLS1_1_VERSION, sluice_SSL_OP_NO_TLSv1_1),
            (.v12, TLS1_2_VERSION, sluice_SSL_OP_NO_TLSv1_2), (.v13, TLS1_3_VERSION, sluice_SSL_OP_NO_TLSv1_3),
        ]
        let chosen = all.filter { versions.contains($0.0) }
        SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(chosen.first?.1 ?? 0), nil)
        SSL_CTX_ctrl(context, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(chosen.last?.1 ?? 0), nil)
        for (version, _, option) in all where !versions.contains(version) { SSL_CTX_set_options(context, option) }
    }

    func setCiphers() throws(TLSConfigurationError) {
        let word = configuration.ciphers.lowercased()
        var list =
            switch word {
            case "default", "secure", "fast", "normal", "": "DEFAULT"
            case "all": "ALL:!aNULL:!eNULL"
            default: configuration.ciphers
            }
        // Up to TLS 1.2 curves can be done without; TLS 1.3 always has a group.
        if configuration.side == .client, configuration.curve.lowercased() == "none" { list += ":!kECDHE" }
        guard SSL_CTX_set_cipher_list(context, list) == 1 else {
            throw fault("_ciphers", nil, "no cipher of \"\(configuration.ciphers)\" is known: \(TLSError.taken().reason)")
        }
        guard let suites = configuration.suites, !suites.isEmpty else { return }
        guard SSL_CTX_set_ciphersuites(context, suites) == 1 else {
            throw fault("13_ciphers", nil, "failed to set the TLSv1.3 cipher suites \"\(suites)\": \(TLSError.taken().reason)")
        }
    }

    func setKeyExchange() throws(TLSConfigurationError) {
        guard configuration.side == .client else { return }
        let curve = configuration.curve
        if !["auto", "none", ""].contains(curve.lowercased()) {
            let isKnown = curve.withCString {
                SSL_CTX_ctrl(context, SSL_CTRL_SET_GROUPS_LIST, 0, UnsafeMutableRawPointer(mutating: $0)) == 1
            }
            guard isKnown else {
                throw fault("_ecdhcurve", nil, "\"\(curve)\" is no curve that OpenSSL knows: \(TLSError.taken().reason)")
            }
        }
        switch configuration.diffieHellman.lowercased() {
        case "none": SSL_CTX_ctrl(context, SSL_CTRL_SET_DH_AUTO, 0, nil)
        case "auto", "": SSL_CTX_ctrl(context, SSL_CTRL_SET_DH_AUTO, 1, nil)
        // OpenSSL takes 1024 bits then, or as many as its security level asks for.
        case "legacy": SSL_CTX_ctrl(context, SSL_CTRL_SET_DH_AUTO, 2, nil)
        default: throw fault("_dheparams", nil, "\"\(configuration.diffieHellman)\": expected none, auto or legacy")
        }
    }

    // MARK: Who is who

    /// Own certificate and key. Returns the certificate; nil without one.
    func setCertificate() throws(TLSConfigurationError) -> Certificate? {
        guard let file = configuration.certificate, let keyFile = configuration.key else {
            if configuration.side == .client {
                throw TLSConfigurationError(
                    setting: "client_tls_sslmode",
                    reason: "To allow TLS connections from clients, client_tls_key_file and client_tls_cert_file must be set.",
                    isAboutPair: true)
            }
            if configuration.certificate != nil {
                throw fault("_key_file", nil, "missing: server_tls_cert_file needs it", isAboutPair: true)
            }
            if configuration.key != nil { throw fault("_cert_file", nil, "missing: server_tls_key_file needs it", isAboutPair: true) }
            return nil
        }
        let chain = try file.certificates(of: name("_cert_file"))
        let own = chain[0]
        guard SSL_CTX_use_certificate(context, own.pointer) == 1 else {
            throw fault("_cert_file", file, TLSError.taken().reason)
        }
        for link in chain.dropFirst() {
            // 1: the context takes a reference of its own.
            guard SSL_CTX_ctrl(context, SSL_CTRL_CHAIN_CERT, 1, UnsafeMutableRawPointer(link.pointer)) == 1 else {
                throw fault("_cert_file", file, TLSError.taken().reason)
            }
        }
        let key = try keyFile.privateKey(of: name("_key_file"))
        defer { EVP_PKEY_free(key) }
        guard X509_check_private_key(own.pointer, key) == 1 else {
            ERR_clear_error()
            throw fault("_key_file", keyFile, "the key does not belong to the certificate in \(file.path)", isAboutPair: true)
        }
        guard SSL_CTX_use_PrivateKey(context, key) == 1 else { throw fault("_key_file", keyFile, TLSError.taken().reason) }
        return own
    }

    /// Whom to believe. Returns the authorities of the file.
    func setAuthorities() throws(TLSConfigurationError) -> [Certificate] {
        guard let file = configuration.authorities else {
            guard configuration.verification != .none else { return [] }
            if configuration.side == .client {
                throw fault("_ca_file", nil, "missing: a client_tls_sslmode that verifies clients needs it")
            }
            guard SSL_CTX_set_default_verify_paths(context) == 1 else { throw fault("_ca_file", nil, TLSError.taken().reason) }
            return []
        }
        let authorities = try file.certificates(of: name("_ca_file"))
        let store = SSL_CTX_get_cert_store(context)
        for authority in authorities {
            guard X509_STORE_add_cert(store, authority.pointer) == 1 else { throw fault("_ca_file", file, TLSError.taken().reason) }
            if configuration.side == .client { SSL_CTX_add_client_CA(context, authority.pointer) }
        }
        return authorities
    }

    /// What has expired, or is not valid yet. A bundle of authorities is good as long as one of them is.
    func untimeliness(_ own: Certificate?, _ authorities: [Certificate]) -> TLSConfigurationError? {
        if let reason = own?.untimeliness { return fault("_cert_file", configuration.certificate, reason) }
        if configuration.verification != .none, let reason = authorities.first?.untimeliness,
            authorities.allSatisfy({ $0.untimeliness != nil })
        {
            return fault("_ca_file", configuration.authorities, reason)
        }
        return nil
    }

    // MARK: How it behaves

    private static let alpnList: [UInt8] = [10] + "postgresql".utf8

    func setBehaviour() {
        SSL_CTX_set_options(
            context, sluice_SSL_OP_NO_COMPRESSION | sluice_SSL_OP_NO_RENEGOTIATION | sluice_SSL_OP_CIPHER_SERVER_PREFERENCE)
        // An idle connection gives its buffers back.
        SSL_CTX_ctrl(context, SSL_CTRL_MODE, Int(SSL_MODE_RELEASE_BUFFERS) | Int(SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER), nil)
        let isVerified = configuration.verification != .none
        switch configuration.side {
        case .client:
            let demand = configuration.verification == .authorityIfShown ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT
            SSL_CTX_set_verify(context, isVerified ? SSL_VERIFY_PEER | demand : SSL_VERIFY_NONE, nil)
            // Sessions are resumed by tickets, which every worker can read; nothing is kept here.
            SSL_CTX_ctrl(context, SSL_CTRL_SET_SESS_CACHE_MODE, Int(SSL_SESS_CACHE_OFF), nil)
            SSL_CTX_set_session_id_context(context, "sluice", 6)
            SSL_CTX_set_num_tickets(context, 1)
            SSL_CTX_set_alpn_select_cb(context, Self.selectALPN, nil)
        case .server:
            SSL_CTX_set_verify(context, isVerified ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nil)
            SSL_CTX_set_alpn_protos(context, Self.alpnList, UInt32(Self.alpnList.count))
        }
        ERR_clear_error()
    }

    /// Takes `postgresql` from the client's list. Who offers only other protocols is no client of PostgreSQL.
    private static let selectALPN: SSL_CTX_alpn_select_cb_func = { _, chosen, chosenCount, offered, offeredCount, _ in
        guard let offered, let chosen, let chosenCount else { return SSL_TLSEXT_ERR_ALERT_FATAL }
        let list = UnsafeBufferPointer(start: offered, count: Int(offeredCount))
        var at = 0
        while at < list.count {
            let end = at + 1 + Int(list[at])
            guard end <= list.count else { break }
            if list[at..<end].elementsEqual(alpnList) {
                chosen.pointee = offered + at + 1
                chosenCount.pointee = list[at]
                return SSL_TLSEXT_ERR_OK
            }
            at = end
        }
        return SSL_TLSEXT_ERR_ALERT_FATAL
    }
}
