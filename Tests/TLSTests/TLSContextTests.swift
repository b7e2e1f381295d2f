import TLSCredentials
import Testing

@testable import TLS

@Suite struct TLSContextTests {
    static let own = Credentials()

    /// The error of building a context; nil if there is none.
    static func error(_ change: (inout TLSConfiguration) -> Void) -> String? {
        var configuration = TLSConfiguration.accepting(own)
        change(&configuration)
        do throws(TLSConfigurationError) {
            _ = try TLSContext(configuration)
            return nil
        } catch {
            return error.description
        }
    }

    static func file(_ text: String) -> TLSConfiguration.File { TLSConfiguration.File(path: "/etc/x.pem", content: Array(text.utf8)) }

    @Test func errorsNameSettingFileAndReason() {
        #expect(Self.error { _ in } == nil)
        let none = "there is no certificate in it: expected PEM form"
        #expect(Self.error { $0.certificate = Self.file("") } == "client_tls_cert_file: /etc/x.pem: \(none)")
        #expect(Self.error { $0.certificate = Self.file("nonsense") } == "client_tls_cert_file: /etc/x.pem: \(none)")
        #expect(
            Self.error { $0.key = Self.file("x") }?.hasPrefix("client_tls_key_file: /etc/x.pem: there is no private key in it") == true)
        #expect(
            Self.error { $0.key = TLSConfiguration.File(path: "k", content: Credentials().key) }
                == "client_tls_key_file: k: the key does not belong to the certificate in own.crt")
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        #expect(
            Self.error { $0.certificate = Self.file(broken) }?.hasPrefix("client_tls_cert_file: /etc/x.pem: certificate 1 can't be read")
                == true)
        #expect(Self.error { $0.authorities = Self.file("") } == "client_tls_ca_file: /etc/x.pem: \(none)")
        #expect(
            Self.error { $0.verification = .authority }
                == "client_tls_ca_file: missing: a client_tls_sslmode that verifies clients needs it")
        #expect(
            Self.error { $0.certificate = nil }
                == "client_tls_sslmode: To allow TLS connections from clients, client_tls_key_file and client_tls_cert_file must be set.")
        #expect(Self.error { $0.ciphers = "NOTHING" }?.hasPrefix("client_tls_ciphers: no cipher of \"NOTHING\" is known") == true)
        #expect(
            Self.error { $0.suites = "NOTHING" }?.hasPrefix("client_tls13_ciphers: failed to set the TLSv1.3 cipher suites \"NOTHING\"")
                == true)
        #expect(Self.error { $0.curve = "round" }?.hasPrefix("client_tls_ecdhcurve: \"round\" is no curve that OpenSSL knows") == true)
        #expect(Self.error { $0.diffieHellman = "x" } == "client_tls_dheparams: \"x\": expected none, auto or legacy")
        #expect(Self.error { $0.protocols = "ssl3" }?.hasPrefix("client_tls_protocols: \"ssl3\" is no list of versions") == true)
    }

    @Test func aKeyWithAPasswordIsNamedAsSuch() {
        let key = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n"
        #expect(
            Self.error { $0.key = Self.file(key) }
                == "client_tls_key_file: /etc/x.pem: the private key is encrypted: expected one without a password")
    }

    @Test func serversNeedNoCertificateButWholePairs() {
        var configuration = TLSConfiguration.connecting()
        #expect(throws: Never.self) { try TLSContext(configuration) }
        configuration.certificate = TLSConfiguration.File(path: "c", content: Self.own.certificate)
        let fault = TLSConfigurationError(
            setting: "server_tls_key_file", reason: "missing: server_tls_cert_file needs it", isAboutPair: true)
        #expect(throws: fault) { try TLSContext(configuration) }
    }

    @Test func untimeliness() throws {
        #expect(try TLSContext(.accepting(Self.own)).untimeliness == nil)
        let expired = try TLSContext(.accepting(Credentials(seconds: -20 ... -10)))
        #expect(expired.untimeliness?.description == "client_tls_cert_file: own.crt: the certificate has expired")
        let early = try TLSContext(.accepting(Credentials(seconds: 100...200)))
        #expect(early.untimeliness?.reason == "the certificate is not valid yet")
        // One good authority is enough.
        let old = Credentials(commonName: Array("old".utf8), seconds: -20 ... -10)
        var configuration = TLSConfiguration.connecting(.authority, authority: old)
        #expect(try TLSContext(configuration).untimeliness?.setting == "server_tls_ca_file")
        configuration.authorities = TLSConfiguration.File(path: "ca", content: old.certificate + Credentials.authority().certificate)
        #expect(try TLSContext(configuration).untimeliness == nil)
    }

    @Test func theSameConfigurationIsRecognised() throws {
        let context = try TLSContext(.accepting(Self.own))
        #expect(context.isBuilt(from: .accepting(Self.own)))
        #expect(!context.isBuilt(from: .accepting(Credentials())))
        #expect(!context.isBuilt(from: .accepting(Self.own, clients: Self.own)))
        let changes: [(inout TLSConfiguration) -> Void] = [
            { $0.protocols = "tlsv1.3" }, { $0.ciphers = "HIGH" }, { $0.suites = "" }, { $0.curve = "P-256" },
            { $0.diffieHellman = "none" },
            { $0.verification = .authority }, { $0.side = .server },
        ]
        for change in changes {
            var other = TLSConfiguration.accepting(Self.own)
            change(&other)
            #expect(!context.isBuilt(from: other))
        }
    }

    static let protocolLists: [(String, TLSProtocols)] = [
        ("secure", .secure), ("default", .secure), ("all", .all), ("tlsv1", .all), ("TLSv1.2", .v12), ("tlsv1.2,tlsv1.3", .secure),
        ("tlsv1.0:tlsv1.1", [.v10, .v11]), ("!tlsv1.3", [.v10, .v11, .v12]), ("all,!tlsv1.0", [.v11, .v12, .v13]),
        ("secure , tlsv1.1", [.v11, .v12, .v13]),
    ]

    @Test func protocols() {
        for (text, expected) in Self.protocolLists { #expect(TLSProtocols(parsing: text) == expected, "\(text)") }
    }

    @Test(arguments: ["", ",", "legacy", "tls", "secure,x", "!all", "tlsv1.2,!tlsv1.2"])
    func noProtocols(text: String) { #expect(TLSProtocols(parsing: text) == nil) }

    @Test func settingsTakeEffect() throws {
        func summary(_ server: (inout TLSConfiguration) -> Void) throws -> String {
            var accepting = TLSConfiguration.accepting(Credentials(algorithm: .rsa2048))
            server(&accepting)
            let talk = try Conversation(try TLSContext(accepting), try TLSContext(.connecting()))
            talk.run()
            return talk.server.isEstablished ? talk.server.summary : talk.serverError?.reason ?? "?"
        }
        #expect(try summary { $0.suites = "TLS_CHACHA20_POLY1305_SHA256" } == "TLSv1.3/TLS_CHACHA20_POLY1305_SHA256")
        #expect(
            try summary {
                $0.protocols = "tlsv1.2"
                $0.ciphers = "ECDHE-RSA-AES128-GCM-SHA256"
                $0.curve = "prime256v1"
            } == "TLSv1.2/ECDHE-RSA-AES128-GCM-SHA256/ECDH=prime256v1")
        let dhe = try summary {
            $0.protocols = "tlsv1.2"
            $0.curve = "none"
        }
        #expect(dhe.hasPrefix("TLSv1.2/DHE-RSA"))
        let plain = try summary {
            $0.protocols = "tlsv1.2"
            $0.curve = "none"
            $0.diffieHellman = "none"
        }
        #expect(plain.hasPrefix("TLSv1.2/AES"))
    }

    /// Hosts come from name servers and configurations, and each session is some kilobytes.
    @Test func sessionsOfSoManyHostsAreRemembered() throws {
        let client = try TLSContext(.connecting())
        let talk = try Conversation(TLSContext(.accepting(Self.own)), client)
        talk.run()
        talk.sendFromServer([7])
        talk.run()
        talk.client.remember()
        let session = try #require(client.session(for: "localhost:5432"))
        for number in 1...300 { client.remember(session, for: "host \(number)") }
        #expect((1...300).count { client.session(for: "host \($0)") != nil } == 255)
        client.remember(session, for: "localhost:5432")
        #expect(client.session(for: "localhost:5432") != nil)
    }
}
