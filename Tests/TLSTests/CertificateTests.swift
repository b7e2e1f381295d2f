import COpenSSL
import TLSCredentials
import Testing

@testable import TLS

@Suite struct CertificateTests {
    static let authority = Credentials.authority()
    static let stranger = Credentials.authority("stranger")

    static func server(_ name: String = "localhost", san: String? = nil, seconds: ClosedRange<Int> = -3600...3600) -> Credentials {
        Credentials(
            commonName: Array(name.utf8), extensions: san.map { [(NID_subject_alt_name, $0)] } ?? [], seconds: seconds, signedBy: authority)
    }

    /// How a connection to a server with that certificate ends; nil: it is fine.
    static func verdict(
        _ own: Credentials, _ verification: TLSVerification, host: String = "localhost", authority: Credentials = authority
    ) throws -> String? {
        let talk = try Conversation(
            try TLSContext(.accepting(own)), try TLSContext(.connecting(verification, authority: authority)), host: host)
        talk.run()
        #expect(talk.client.isEstablished == (talk.clientError == nil))
        return talk.clientError?.reason
    }

    @Test func serversAreVerifiedAsFarAsAsked() throws {
        #expect(try Self.verdict(Self.server(), .none, authority: Self.stranger) == nil)
        #expect(try Self.verdict(Self.server(), .authority) == nil)
        #expect(try Self.verdict(Self.server("other"), .authority) == nil)
        #expect(try Self.verdict(Self.server(), .authorityAndName) == nil)
        let failure = "certificate verify failed: "
        #expect(try Self.verdict(Self.server("other"), .authorityAndName) == failure + "hostname mismatch")
        #expect(
            try Self.verdict(Self.server(), .authority, authority: Self.stranger) == failure + "unable to get local issuer certificate")
        #expect(try Self.verdict(Self.server(seconds: -7200 ... -3600), .authority) == failure + "certificate has expired")
        #expect(try Self.verdict(Self.server(seconds: 3600...7200), .authority) == failure + "certificate is not yet valid")
    }

    @Test(arguments: [
        ("localhost", "x", "DNS:localhost", true), ("localhost", "localhost", "DNS:other", false),
        ("db.example.com", "x", "DNS:*.example.com", true), ("a.db.example.com", "x", "DNS:*.example.com", false),
        ("example.com", "x", "DNS:*.example.com", false), ("db.example.com", "x", "DNS:d*.example.com", false),
        ("DB.Example.COM", "x", "DNS:db.example.com", true), ("127.0.0.1", "x", "IP:127.0.0.1", true),
        ("127.0.0.1", "x", "IP:127.0.0.2", false), ("127.0.0.1", "x", "DNS:127.0.0.1", true), ("::1", "x", "IP:::1", true),
        ("127.0.0.1", "x", "DNS:localhost", false), ("localhost", "x", "DNS:localhost.evil.com", false),
    ])
    func hostNames(host: String, commonName: String, names: String, matches: Bool) throws {
        #expect(try (Self.verdict(Self.server(commonName, san: names), .authorityAndName, host: host) == nil) == matches)
    }

    @Test func anAddressAsTheCommonName() throws {
        #expect(try Self.verdict(Self.server("127.0.0.1"), .authorityAndName, host: "127.0.0.1") == nil)
        #expect(try Self.verdict(Self.server("127.0.0.2"), .authorityAndName, host: "127.0.0.1") != nil)
    }

    // MARK: Clients

    static func client(_ own: Credentials?) throws -> Conversation {
        let talk = try Conversation(
            try TLSContext(.accepting(server(), clients: authority)), try TLSContext(.connecting(own: own)))
        talk.run()
        return talk
    }

    @Test func clientsShowWhoTheyAre() throws {
        let own = Credentials(
            commonName: Array("joe".utf8), extensions: [(NID_subject_alt_name, "DNS:joe.example,email:x@y.z,DNS:other")],
            signedBy: Self.authority)
        let talk = try Self.client(own)
        #expect(talk.server.peerCertificate == PeerCertificate(commonName: "joe", dnsNames: ["joe.example", "other"]))
        #expect(talk.server.peerCertificate?.names == ["joe.example", "other", "joe"])
        #expect(talk.server.peerCertificate != nil && talk.client.peerCertificate == nil)
    }

    @Test func clientsWithoutAGoodCertificateAreRefused() throws {
        #expect(try Self.client(nil).serverError?.reason == "peer did not return a certificate")
        let forged = Credentials(commonName: Array("joe".utf8), signedBy: Self.stranger)
        #expect(try Self.client(forged).serverError?.reason == "certificate verify failed: unable to get local issuer certificate")
        let alone = Credentials(commonName: Array("joe".utf8))
        #expect(try Self.client(alone).serverError?.reason.hasPrefix("certificate verify failed") == true)
    }

    @Test func strangeNames() throws {
        func names(_ commonName: [UInt8]?, _ san: String? = nil) throws -> PeerCertificate? {
            let own = Credentials(
                commonName: commonName, extensions: san.map { [(NID_subject_alt_name, $0)] } ?? [], signedBy: Self.authority)
            return try Self.client(own).server.peerCertificate
        }
        // What comes before the NUL is somebody else's name.
        #expect(try names(Array("admin\0.evil.com".utf8)) == PeerCertificate(commonName: nil, dnsNames: []))
        // The same among the alternative names: DNS "admin\0.evil.com", and "fine".
        #expect(try names(nil, "DER:3017820f61646d696e002e6576696c2e636f6d820466696e65")?.names == ["fine"])
        #expect(try names(nil) == PeerCertificate(commonName: nil, dnsNames: []))
        #expect(try names(Array("J\u{f6}rg \u{1F418}".utf8))?.commonName == "J\u{f6}rg \u{1F418}")
        #expect(try names(Array(repeating: UInt8(ascii: "a"), count: 64))?.commonName?.utf8.count == 64)
        #expect(try names(Array("*".utf8))?.names == ["*"])
        #expect(try names(Array("x".utf8), "DNS:*.example.com")?.dnsNames == ["*.example.com"])
        let long = String(repeating: "a", count: 20_000)
        #expect(try names(Array("x".utf8), "DNS:\(long)")?.dnsNames == [long])
    }

    /// A resumed session brings the certificate along, and its end.
    @Test func aCertificateThatExpiresWhileItsSessionLives() async throws {
        let own = Credentials(commonName: Array("joe".utf8), seconds: -10...2, signedBy: Self.authority)
        let server = try TLSContext(.accepting(Self.server(), clients: Self.authority))
        let client = try TLSContext(.connecting(own: own))
        func talk() throws -> Conversation {
            let talk = try Conversation(server, client)
            talk.run()
            talk.sendFromServer([1])
            talk.run()
            talk.client.remember()
            return talk
        }
        #expect(try talk().serverError == nil)
        let certificate = Certificate(
            taking: PEM_read_bio_X509(BIO_new_mem_buf(own.certificate, Int32(own.certificate.count)), nil, nil, nil))
        while certificate.untimeliness == nil { try await Task.sleep(for: .milliseconds(50)) }
        let error = try talk().serverError?.reason
        #expect(error == "certificate verify failed: the certificate has expired since the session began")
    }

    // MARK: Channel binding

    @Test func endPoints() throws {
        let context = try TLSContext(.accepting(Credentials(algorithm: .rsa2048)))
        #expect(context.endPoint?.count == 32)
        // RFC 5929 names no hash for it.
        #expect(try TLSContext(.accepting(Credentials(algorithm: .ed25519))).endPoint == nil)
    }
}
