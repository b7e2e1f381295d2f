import Testing

@testable import Authentication

/// Who exists must not show in how long the first login takes: deriving the secret of a plain password costs milliseconds.
@Suite struct PretendedDerivationTests {
    static let md5 = StoredSecret.md5(MD5Password.secret(user: "joe", password: "secret"))

    static func login(
        _ secret: StoredSecret?, derived: SCRAMSecret? = nil, iterations: Int = 10, pretends: Bool = true
    ) -> ClientLogin {
        ClientLogin(
            method: .scramSHA256, user: "joe", secret: secret, derivedSecret: derived, randomness: ClientLoginTests.randomness,
            iterations: iterations, pretendsToDerive: pretends)
    }

    /// Plays a client with a wrong password to the end; the derivations that were run, and the challenge.
    static func play(_ login: inout ClientLogin) throws -> (derivations: [KeyDerivation], challenge: [UInt8]) {
        var client = SCRAMClientExchange(credential: .password(bytes("wrong")), nonce: "client+nonce")
        var derivations: [KeyDerivation] = []
        var challenge: [UInt8] = []
        var step = login.start()
        while true {
            switch step {
            case .send(.sasl): step = login.receivedPassword(ClientLoginTests.initialResponse(client.clientFirst()))
            case .send(.saslContinue(let data)):
                challenge = data
                step = login.receivedPassword(try client.serverFirst(data))
            case .derive(let derivation):
                derivations.append(derivation)
                step = login.derived(derivation.run())
            case .rejected: return (derivations, challenge)
            default:
                Issue.record("unexpected \(step)")
                return (derivations, challenge)
            }
        }
    }

    /// A user with a plain password took 3 ms longer at the first try than one who does not exist.
    @Test func everyFirstTryCostsTheSame() throws {
        for secret in [.plain("secret"), nil, StoredSecret.none, Self.md5] {
            var first = Self.login(secret)
            let (derivations, _) = try Self.play(&first)
            #expect(derivations.map(\.iterations) == [10])
            #expect(first.hasDerived)
            #expect(first.derivedSecret != nil)
            var second = Self.login(secret, derived: first.derivedSecret)
            #expect(try Self.play(&second).derivations == [])
        }
    }

    @Test func aPretendedSecretLetsNobodyIn() throws {
        let derivation = KeyDerivation(
            password: bytes("wrong"), salt: SCRAMSecret.fixedSalt(user: "joe", key: ClientLoginTests.randomness.processKey), iterations: 10)
        // Even a secret of the very password that is tried: there is no such user.
        for secret in [nil, StoredSecret.none, Self.md5] {
            var login = Self.login(secret, derived: derivation.run().secret)
            #expect(try Self.play(&login).derivations == [])
        }
    }

    /// Where users have SCRAM secrets, nobody's first login costs a derivation, so a stranger's must not.
    @Test func nothingIsPretendedWhereNobodyDerives() throws {
        var stranger = Self.login(nil, pretends: false)
        #expect(try Self.play(&stranger).derivations == [])
        var stored = Self.login(.scram(SCRAMSecret.derive(password: "secret", salt: bytes("saltsalt"), iterations: 10)))
        #expect(try Self.play(&stored).derivations == [])
        var plain = Self.login(.plain("secret"), pretends: false)
        #expect(try Self.play(&plain).derivations.count == 1)
    }

    /// Under load a pretended derivation is left out; one that is needed can't be.
    @Test func aPretendedDerivationMayBeLeftOut() throws {
        for (secret, isPretended) in [(StoredSecret?.none, true), (.plain("secret"), false)] {
            var client = SCRAMClientExchange(credential: .password(bytes("wrong")), nonce: "client+nonce")
            var login = Self.login(secret)
            #expect(!login.isDerivationPretended)
            _ = login.start()
            guard case .derive = login.receivedPassword(ClientLoginTests.initialResponse(client.clientFirst())) else {
                Issue.record("no derivation")
                continue
            }
            #expect(login.isDerivationPretended == isPretended)
            guard case .send(.saslContinue) = login.goOnWithoutDerivation() else {
                #expect(!isPretended)
                continue
            }
            #expect(isPretended)
        }
    }

    /// After a change of scram_iterations the old count told who had logged in before.
    @Test func aSecretOfAnotherIterationCountIsDerivedAnew() throws {
        for secret in [StoredSecret.plain("secret"), nil] {
            var first = Self.login(secret)
            _ = try Self.play(&first)
            var second = Self.login(secret, derived: first.derivedSecret, iterations: 20)
            let (derivations, challenge) = try Self.play(&second)
            #expect(derivations.map(\.iterations) == [20])
            #expect(challenge.suffix(5) == ArraySlice(bytes(",i=20")))
        }
    }
}
