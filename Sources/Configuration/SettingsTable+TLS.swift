extension SettingsTable {
    /// TLS.
    static let tls: [SettingSpecification] = [
        .choice("client_tls_sslmode", \.clientTlsSslmode, "disable", support: .notBuilt, "How far TLS is wanted with clients."),
        .string("client_tls_ca_file", \.clientTlsCaFile, "", support: .notBuilt, "Certificates of authorities that may vouch for clients."),
        .string("client_tls_cert_file", \.clientTlsCertFile, "", support: .notBuilt, "Own certificate towards clients."),
        .string("client_tls_key_file", \.clientTlsKeyFile, "", support: .notBuilt, "Private key of that certificate."),
        .string(
            "client_tls_protocols", \.clientTlsProtocols, "secure", support: .notBuilt,
            "Versions of TLS: tlsv1.0 to tlsv1.3 with commas, `secure` for 1.2 and 1.3, or `all`."),
        .string(
            "client_tls_ciphers", \.clientTlsCiphers, "default", support: .notBuilt,
            "Cipher suites up to TLS 1.2: default, secure, fast and normal are OpenSSL's own choice, all is "
                + "everything, or an OpenSSL list."),
        .string(
            "client_tls13_ciphers", \.clientTls13Ciphers, support: .notBuilt,
            "Cipher suites of TLS 1.3; unset leaves them to OpenSSL."),
        .string(
            "client_tls_dheparams", \.clientTlsDheparams, "auto", support: .notBuilt,
            "Diffie-Hellman parameters: none, auto (2048 bits) or legacy (1024 bits)."),
        .string("client_tls_ecdhcurve", \.clientTlsEcdhcurve, "auto", support: .notBuilt, "Elliptic curve: none, auto or a curve's name."),
        .choice(
            "server_tls_sslmode", \.serverTlsSslmode, "prefer", support: .notBuilt,
            "How far TLS is wanted with servers; what requires it refuses to start."),
        .string("server_tls_ca_file", \.serverTlsCaFile, "", support: .notBuilt, "Certificates of authorities that may vouch for servers."),
        .string("server_tls_cert_file", \.serverTlsCertFile, "", support: .notBuilt, "Own certificate towards servers."),
        .string("server_tls_key_file", \.serverTlsKeyFile, "", support: .notBuilt, "Private key of that certificate."),
        .string(
            "server_tls_protocols", \.serverTlsProtocols, "secure", support: .notBuilt,
            "Versions of TLS: tlsv1.0 to tlsv1.3 with commas, `secure` for 1.2 and 1.3, or `all`."),
        .string(
            "server_tls_ciphers", \.serverTlsCiphers, "default", support: .notBuilt,
            "Cipher suites up to TLS 1.2: default, secure, fast and normal are OpenSSL's own choice, all is "
                + "everything, or an OpenSSL list."),
        .string(
            "server_tls13_ciphers", \.serverTls13Ciphers, support: .notBuilt,
            "Cipher suites of TLS 1.3; unset leaves them to OpenSSL."),
    ]
}
