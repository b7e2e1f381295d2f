import Testing

@testable import Authentication

@Suite struct StoredSecretTests {
    static let digest = "md5" + String(repeating: "0a", count: 16)
    static let salt = "W22ZaJ0SNY7soEsUEjb6gQ=="
    static let storedKey = "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
    static let serverKey = "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    static let scram = "SCRAM-SHA-256$4096:\(salt)$\(storedKey):\(serverKey)"

    @Test func forms() throws {
        #expect(StoredSecret(text: nil) == .none)
        #expect(StoredSecret(text: "") == .none)
        #expect(StoredSecret(text: "open sesame") == .plain("open sesame"))
        #expect(StoredSecret(text: Self.digest) == .md5(Self.digest))
        #expect(StoredSecret(text: Self.scram) == .scram(try #require(SCRAMSecret(text: Self.scram))))
    }

    @Test(arguments: [
        "md5", "md5" + String(repeating: "0A", count: 16), "MD5" + String(repeating: "0a", count: 16),
        "md5" + String(repeating: "0a", count: 15),
        digest + "0", "md5" + String(repeating: "0g", count: 16), " " + digest,
        "SCRAM-SHA-256", "SCRAM-SHA-256$", "scram-sha-256$4096:\(salt)$\(storedKey):\(serverKey)",
        "SCRAM-SHA-1$4096:\(salt)$\(storedKey):\(serverKey)", "SCRAM-SHA-256$4096$\(storedKey):\(serverKey)",
        "SCRAM-SHA-256$0:\(salt)$\(storedKey):\(serverKey)", "SCRAM-SHA-256$-1:\(salt)$\(storedKey):\(serverKey)",
        "SCRAM-SHA-256$99999999999999999999:\(salt)$\(storedKey):\(serverKey)",
        "SCRAM-SHA-256$4294967296:\(salt)$\(storedKey):\(serverKey)",
        "SCRAM-SHA-256$4096x:\(salt)$\(storedKey):\(serverKey)", "SCRAM-SHA-256$4096:$\(storedKey):\(serverKey)",
        "SCRAM-SHA-256$4096:!$\(storedKey):\(serverKey)", "SCRAM-SHA-256$4096:\(salt)$\(salt):\(serverKey)",
        "SCRAM-SHA-256$4096:\(salt)$\(storedKey):\(salt)", "SCRAM-SHA-256$4096:\(salt)$\(storedKey)",
        scram + "$", scram + ":", scram + " ",
    ])
    func almostASecretIsAPlainPassword(text: String) {
        #expect(StoredSecret(text: text) == .plain(text))
    }

    @Test func textComesBack() {
        for text in ["", "open sesame", Self.digest, Self.scram] { #expect(StoredSecret(text: text).text == text) }
    }

    @Test func descriptionsKeepTheSecret() {
        #expect("\(StoredSecret.plain("sesame"))" == "plain password")
        #expect(String(reflecting: StoredSecret(text: Self.digest)) == "MD5 password")
        #expect("\(StoredSecret(text: Self.scram))" == "SCRAM-SHA-256 secret, 4096 iterations")
    }

    /// The secret behind RFC 7677's example: a password verified in clear gives the keys a proof would have given.
    @Test func verifyInClear() throws {
        let secret = try #require(SCRAMSecret(text: Self.scram))
        #expect(secret == SCRAMSecret.derive(password: "pencil", salt: secret.salt, iterations: 4096))
        #expect(secret.verify(password: bytes("pencil"))?.serverKey == secret.serverKey)
        #expect(secret.verify(password: bytes("pencils")) == nil)
    }

    @Test func mockSecretsAreStablePerUserAndProcess() {
        let mock = SCRAMSecret.mock(user: "joe", key: [1, 2, 3])
        #expect(mock == SCRAMSecret.mock(user: "joe", key: [1, 2, 3]))
        #expect(mock.salt != SCRAMSecret.mock(user: "jane", key: [1, 2, 3]).salt)
        #expect(mock.salt != SCRAMSecret.mock(user: "joe", key: [1, 2, 4]).salt)
        #expect(mock.salt.count == SCRAMSecret.saltSize && mock.iterations == 4096)
    }
}
