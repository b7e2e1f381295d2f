extension SettingsTable {
    /// TLS.
    static let tls: [SettingSpecification] = [
        .choice(
            "client_tls_sslmode", \.clientTlsSslmode, "disable",
            "How far TLS is wanted with clients: disable; allow and prefer take it when asked; require refuses logins without it; verify-ca and "
                + "verify-full also ask for a certificate of client_tls_ca_file."),
        .string("client_tls_ca_file", \.clientTlsCaFile, "", "Certificates of authorities that may vouch for clients."),
        .string(
            "client_tls_cert_file", \.clientTlsCertFile, "",
            "Own certificate towards clients, with those between it and its authority after it."),
        .string("client_tls_key_file", \.clientTlsKeyFile, "", "Private key of that certificate."),
        .string(
            "client_tls_protocols", \.clientTlsProtocols, "secure",
            "Versions of TLS: tlsv1.0 to tlsv1.3 with commas, `secure` for 1.2 and 1.3, or `all`."),
        .string(
            "client_tls_ciphers", \.clientTlsCiphers, "default",
            "Cipher suites up to TLS 1.2: default, secure, fast and normal are OpenSSL's own choice, all is "
                + "everything, or an OpenSSL list."),
        .string(
            "client_tls13_ciphers", \.clientTls13Ciphers,
            "Cipher suites of TLS 1.3; unset leaves them to OpenSSL."),
        .string(
            "client_tls_dheparams", \.clientTlsDheparams, "auto",
            "Diffie-Hellman parameters: none, auto (2048 bits) or legacy (1024 bits)."),
        .string("client_tls_ecdhcurve", \.clientTlsEcdhcurve, "auto", "Elliptic curve: none, auto or a curve's name."),
        .choice(
            "server_tls_sslmode", \.serverTlsSslmode, "prefer",
            "How far TLS is wanted with servers: disable; allow and prefer take it where offered; require; verify-ca also checks the authority, "
                + "verify-full the host name too."),
        .string(
            "server_tls_ca_file", \.serverTlsCaFile, "",
            "Certificates of authorities that may vouch for servers; empty means those that the system knows."),
        .string("server_tls_cert_file", \.serverTlsCertFile, "", "Own certificate towards servers."),
        .string("server_tls_key_file", \.serverTlsKeyFile, "", "Private key of that certificate."),
        .string(
            "server_tls_protocols", \.serverTlsProtocols, "secure",
            "Versions of TLS: tlsv1.0 to tlsv1.3 with commas, `secure` for 1.2 and 1.3, or `all`."),
        .string(
            "server_tls_ciphers", \.serverTlsCiphers, "default",
            "Cipher suites up to TLS 1.2: default, secure, fast and normal are OpenSSL's own choice, all is "
                + "everything, or an OpenSSL list."),
        .string(
            "server_tls13_ciphers", \.serverTls13Ciphers,
            "Cipher suites of TLS 1.3; unset leaves them to OpenSSL."),
    ]
}
