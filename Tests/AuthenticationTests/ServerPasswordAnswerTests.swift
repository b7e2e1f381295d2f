import PostgresWire
import Testing

@testable import Authentication

@Suite struct ServerPasswordAnswerTests {
    static let salt: [UInt8] = [1, 2, 3, 4]
    static let digest = MD5Password.secret(user: "joe", password: "secret")
    static let scram = SCRAMSecret.derive(password: "secret", salt: [7], iterations: 10)
    static let keys = SCRAMKeys(clientKey: [UInt8](repeating: 1, count: 32), serverKey: scram.serverKey)
    static let sasl = AuthenticationRequest.sasl(mechanisms: ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"])
    static let wrongType = ServerPasswordAnswer.failed("wrong password type")

    private func answer(_ request: AuthenticationRequest, _ secret: StoredSecret, keys: SCRAMKeys? = nil) -> ServerPasswordAnswer {
        ServerPasswordAnswer.answer(to: request, secret: secret, user: "joe", passThrough: keys)
    }

    @Test func plain() {
        let secret = StoredSecret.plain("secret")
        #expect(answer(.ok, secret) == .none)
        #expect(answer(.cleartextPassword, secret) == .password("secret"))
        #expect(answer(.md5Password(salt: Self.salt), secret) == .password(MD5Password.response(secret: Self.digest, salt: Self.salt)))
        #expect(answer(Self.sasl, secret) == .scram(.password(bytes("secret")), .unbound))
    }

    @Test func md5() {
        let secret = StoredSecret.md5(Self.digest)
        #expect(answer(.ok, secret) == .none)
        #expect(answer(.cleartextPassword, secret) == .password(Self.digest))
        #expect(answer(.md5Password(salt: Self.salt), secret) == .password(MD5Password.response(secret: Self.digest, salt: Self.salt)))
        #expect(answer(Self.sasl, secret) == Self.wrongType)
        #expect(answer(Self.sasl, secret, keys: Self.keys) == Self.wrongType)
    }

    @Test func scram() {
        let secret = StoredSecret.scram(Self.scram)
        #expect(answer(.ok, secret) == .none)
        #expect(answer(.cleartextPassword, secret) == .password(Self.scram.text))
        #expect(answer(.md5Password(salt: Self.salt), secret) == Self.wrongType)
        #expect(answer(Self.sasl, secret) == Self.wrongType)
        #expect(answer(Self.sasl, secret, keys: Self.keys) == .scram(.keys(Self.keys), .unbound))
    }

    @Test func none() {
        #expect(answer(.ok, .none) == .none)
        #expect(answer(.cleartextPassword, .none) == .password(""))
        let empty = MD5Password.response(secret: MD5Password.secret(user: "joe", password: ""), salt: Self.salt)
        #expect(answer(.md5Password(salt: Self.salt), .none) == .password(empty))
        #expect(answer(Self.sasl, .none) == .scram(.password([]), .unbound))
    }

    @Test func channelBinding() {
        func answer(_ mechanisms: [String], _ endPoint: [UInt8]?) -> ServerPasswordAnswer {
            ServerPasswordAnswer.answer(to: .sasl(mechanisms: mechanisms), secret: .plain("secret"), user: "joe", endPoint: endPoint)
        }
        let (plain, plus) = ("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS")
        let password = SCRAMCredential.password(bytes("secret"))
        #expect(answer([plus, plain], [1, 2]) == .scram(password, .bound([1, 2])))
        #expect(answer([plus], [1, 2]) == .scram(password, .bound([1, 2])))
        // The server is told that it could have been bound.
        #expect(answer([plain], [1, 2]) == .scram(password, .notOffered))
        #expect(answer([plain, plus], nil) == .scram(password, .unbound))
        #expect(answer([plus], nil) == .failed(ServerPasswordAnswer.noSupportedMechanism))
        let keys = ServerPasswordAnswer.answer(
            to: Self.sasl, secret: .scram(Self.scram), user: "joe", passThrough: Self.keys, endPoint: [3])
        #expect(keys == .scram(.keys(Self.keys), .bound([3])))
    }

    @Test func requestsThatCannotBeAnswered() {
        let unsupported = ServerPasswordAnswer.failed(
            "none of the server's SASL authentication mechanisms are supported")
        for mechanisms in [[], ["SCRAM-SHA-256-PLUS"], ["OAUTHBEARER"], ["scram-sha-256"]] {
            #expect(answer(.sasl(mechanisms: mechanisms), .plain("secret")) == unsupported)
        }
        #expect(answer(.saslContinue([]), .plain("secret")) == .failed("unexpected SASL message"))
        #expect(answer(.saslFinal([]), .plain("secret")) == .failed("unexpected SASL message"))
    }
}
