import PostgresWire
import Testing

@testable import Authentication

@Suite struct ClientLoginTests {
    enum Outcome: Equatable, CustomTestStringConvertible {
        case ok
        case fails(String)

        var testDescription: String { self == .ok ? "ok" : "fails" }
    }

    static let randomness = LoginRandomness(md5Salt: [1, 2, 3, 4], scramNonce: "server+nonce", processKey: [9, 9, 9])
    static let scram = SCRAMSecret.derive(password: "secret", salt: [7, 7], iterations: 10)
    static let password = "password authentication failed"
    static let sasl = "SASL authentication failed"
    static let trust = "\"trust\" authentication failed"

    /// The stored forms of the password `secret` of user `joe`; nil is a user who does not exist.
    static let secrets: [(name: String, secret: StoredSecret?)] = [
        ("unknown user", nil), ("none", StoredSecret.none), ("plain", .plain("secret")),
        ("md5", .md5(MD5Password.secret(user: "joe", password: "secret"))), ("scram", .scram(scram)),
    ]

    /// The matrix: what becomes of a client that knows the password, by method and stored form.
    static let matrix: [(method: LoginMethod, outcomes: [Outcome])] = [
        (.any, [.ok, .ok, .ok, .ok, .ok]),
        (.trust, [.fails(trust), .ok, .ok, .ok, .ok]),
        (.plain, [.fails(password), .fails(password), .ok, .ok, .ok]),
        (.md5, [.fails(password), .fails(password), .ok, .ok, .ok]),
        (.scramSHA256, [.fails(sasl), .fails(sasl), .ok, .fails(sasl), .ok]),
    ]

    static func login(_ method: LoginMethod, _ secret: StoredSecret?, derived: SCRAMSecret? = nil) -> ClientLogin {
        ClientLogin(method: method, user: "joe", secret: secret, derivedSecret: derived, randomness: randomness, iterations: 10)
    }

    static func initialResponse(_ data: [UInt8], mechanism: String = "SCRAM-SHA-256", length: UInt32? = nil) -> [UInt8] {
        let length = length ?? UInt32(data.count)
        return bytes(mechanism) + [0] + (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * $0)) } + data
    }

    /// Plays an honest client to the end.
    static func play(_ login: inout ClientLogin, password: String) throws -> (step: ClientLogin.Step, asked: [AuthenticationRequest]) {
        var client = SCRAMClientExchange(credential: .password(bytes(password)), nonce: "client+nonce")
        var asked: [AuthenticationRequest] = []
        var step = login.start()
        while case .send(let request) = step {
            asked.append(request)
            switch request {
            case .cleartextPassword: step = login.received(bytes(password) + [0])
            case .md5Password(let salt):
                let secret = MD5Password.secret(user: "joe", password: password)
                step = login.received(bytes(MD5Password.response(secret: secret, salt: salt)) + [0])
            case .sasl(let mechanisms):
                #expect(mechanisms == ["SCRAM-SHA-256"])
                step = login.received(initialResponse(client.clientFirst()))
            case .saslContinue(let data): step = login.received(try client.serverFirst(data))
            case .ok, .saslFinal: Issue.record("not a question: \(request)")
            }
        }
        if case .accepted(let final?, _) = step { try client.serverFinal(final) }
        return (step, asked)
    }

    @Test func everyCellOfTheMatrix() throws {
        for (method, outcomes) in Self.matrix {
            for ((name, secret), outcome) in zip(Self.secrets, outcomes) {
                var login = Self.login(method, secret)
                let (step, _) = try Self.play(&login, password: "secret")
                switch step {
                case .accepted: #expect(outcome == .ok, "\(method) \(name)")
                case .rejected(let rejection): #expect(outcome == .fails(rejection.clientText), "\(method) \(name)")
                case .send, .derive, .check: Issue.record("no verdict")
                }
            }
        }
    }

    @Test func aWrongPasswordFailsInEveryCellThatAsks() throws {
        for method in [LoginMethod.plain, .md5, .scramSHA256] {
            for (name, secret) in Self.secrets {
                var login = Self.login(method, secret)
                guard case .rejected = try Self.play(&login, password: "Secret").step else {
                    Issue.record("\(method) \(name) accepted a wrong password")
                    continue
                }
            }
        }
    }

    @Test func whatIsAskedFirst() {
        let salt = Self.randomness.md5Salt
        for (name, secret) in Self.secrets {
            var plain = Self.login(.plain, secret)
            #expect(plain.start() == .send(.cleartextPassword))
            var scram = Self.login(.scramSHA256, secret)
            #expect(scram.start() == .send(.sasl(mechanisms: ["SCRAM-SHA-256"])))
            var md5 = Self.login(.md5, secret)
            #expect(md5.start() == .send(name == "scram" ? .sasl(mechanisms: ["SCRAM-SHA-256"]) : .md5Password(salt: salt)))
        }
    }

    /// Who has nothing SCRAM can use is asked as many questions as everybody else, with a salt that stays the same.
    @Test func mockExchangesLookReal() throws {
        var challenges: [AuthenticationRequest] = []
        for secret in [nil, StoredSecret.none, .md5(MD5Password.secret(user: "joe", password: "secret")), .plain("secret"), nil] {
            var login = Self.login(.scramSHA256, secret)
            let asked = try Self.play(&login, password: "secret").asked
            #expect(asked.count == 2)
            challenges.append(asked[1])
        }
        #expect(challenges.allSatisfy { $0 == challenges[0] })
    }

    @Test func keysAreKeptOfStoredSecretsOnly() throws {
        let keys = Self.scram.verify(password: bytes("secret"))
        for (method, secret, expected) in [
            (LoginMethod.scramSHA256, StoredSecret.scram(Self.scram), keys), (.md5, .scram(Self.scram), keys),
            (.plain, .scram(Self.scram), keys),
            (.scramSHA256, .plain("secret"), nil), (.md5, .plain("secret"), nil), (.plain, .plain("secret"), nil),
            (.trust, .scram(Self.scram), nil),
        ] {
            var login = Self.login(method, secret)
            guard case .accepted(_, let got) = try Self.play(&login, password: "secret").step else {
                Issue.record("\(method) rejected")
                continue
            }
            #expect(got == expected, "\(method) \(secret)")
        }
    }

    @Test func theDerivedSecretServesTheNextLogin() throws {
        var first = Self.login(.scramSHA256, .plain("secret"))
        #expect(first.derivedSecret == nil)
        _ = try Self.play(&first, password: "secret")
        let derived = try #require(first.derivedSecret)
        // A secret of another password shows that the one handed in is used.
        var second = Self.login(.scramSHA256, .plain("something else"), derived: derived)
        guard case .accepted = try Self.play(&second, password: "secret").step else {
            Issue.record("derived secret not used")
            return
        }
        #expect(second.derivedSecret == derived)
    }

    private func expectRejection(_ step: ClientLogin.Step, _ text: String, _ comment: Comment? = nil) {
        guard case .rejected(let rejection) = step else {
            Issue.record("not rejected: \(step)")
            return
        }
        #expect(rejection.clientText == text, comment)
        #expect(!rejection.logReason.isEmpty)
    }

    @Test(arguments: [LoginMethod.plain, .md5]) func malformedPasswordMessages(method: LoginMethod) {
        for (body, text) in [
            ([], Self.password), ([0], "empty password returned by client"), (bytes("secret"), Self.password),
            (bytes("secret\0\0"), Self.password),
            (bytes("sec\0ret\0"), Self.password), (bytes("secret\0x"), Self.password), ([0xff, 0], Self.password),
            ([UInt8](repeating: 0x78, count: 65_536) + [0], "password too long"),
            ([UInt8](repeating: 0x78, count: 65_535) + [0], Self.password),
        ] {
            var login = Self.login(method, .plain("secret"))
            _ = login.start()
            expectRejection(login.received(body), text, "\(body.count) bytes")
        }
    }

    @Test func anEmptyStoredPasswordFitsNothing() throws {
        for method in [LoginMethod.plain, .md5, .scramSHA256] {
            var login = Self.login(method, .plain(""))
            guard case .rejected = try Self.play(&login, password: "").step else {
                Issue.record("\(method) accepted an empty password")
                continue
            }
        }
    }

    @Test func aLongPasswordIsCompared() throws {
        let long = String(repeating: "p", count: 65_535)
        for method in [LoginMethod.plain, .md5, .scramSHA256] {
            var login = Self.login(method, .plain(long))
            guard case .accepted = try Self.play(&login, password: long).step else {
                Issue.record("\(method) rejected a long password")
                continue
            }
        }
    }

    @Test func malformedInitialResponses() {
        let first = bytes("n,,n=,r=abc")
        let mechanism = "client selected an invalid SASL authentication mechanism"
        for (body, text) in [
            ([], Self.sasl), (bytes("SCRAM-SHA-256"), Self.sasl), ([0], mechanism), (bytes("secret\0"), mechanism),
            (bytes("SCRAM-SHA-256\0"), Self.sasl),
            (bytes("SCRAM-SHA-256\0\0\0\0"), Self.sasl), (Self.initialResponse([]), Self.sasl),
            (Self.initialResponse(first, mechanism: "SCRAM-SHA-256-PLUS"), mechanism),
            (Self.initialResponse(first, mechanism: "scram-sha-256"), mechanism),
            (Self.initialResponse(first, mechanism: ""), mechanism), (Self.initialResponse(first, length: .max), Self.sasl),
            (Self.initialResponse(first, length: 0x8000_0000), Self.sasl), (Self.initialResponse(first, length: 0), Self.sasl),
            (Self.initialResponse(first, length: UInt32(first.count - 1)), Self.sasl),
            (Self.initialResponse(first, length: UInt32(first.count + 1)), Self.sasl),
            (Self.initialResponse(bytes("p=tls-unique,,n=,r=abc")), Self.sasl),
            (Self.initialResponse(bytes("n,a=admin,n=,r=abc")), Self.sasl),
        ] {
            var login = Self.login(.scramSHA256, .scram(Self.scram))
            _ = login.start()
            expectRejection(login.received(body), text, "\(body)")
            expectRejection(login.received(Self.initialResponse(first)), Self.sasl)
        }
    }

    @Test func messagesOutOfOrder() throws {
        var unstarted = Self.login(.plain, .plain("secret"))
        expectRejection(unstarted.received(bytes("secret\0")), Self.password)
        expectRejection(unstarted.start(), Self.password)
        var twice = Self.login(.md5, .plain("secret"))
        _ = twice.start()
        expectRejection(twice.start(), Self.password)
        var unasked = Self.login(.trust, .plain("secret"))
        _ = unasked.start()
        expectRejection(unasked.received(bytes("secret\0")), Self.trust)
        var retry = Self.login(.plain, .plain("secret"))
        _ = retry.start()
        expectRejection(retry.received(bytes("wrong\0")), Self.password)
        expectRejection(retry.received(bytes("secret\0")), Self.password)
        var replay = Self.login(.plain, .plain("secret"))
        _ = try Self.play(&replay, password: "secret")
        expectRejection(replay.received(bytes("secret\0")), Self.password)
    }

    /// Starting the exchange again in the middle of it once let a client log in as somebody else.
    @Test func aSecondInitialResponseIsRejected() throws {
        var client = SCRAMClientExchange(credential: .password(bytes("secret")), nonce: "client+nonce")
        let first = Self.initialResponse(client.clientFirst())
        var login = Self.login(.scramSHA256, .scram(Self.scram))
        _ = login.start()
        guard case .send(.saslContinue(let challenge)) = login.received(first) else {
            Issue.record("no challenge")
            return
        }
        expectRejection(login.received(first), Self.sasl)
        expectRejection(login.received(try client.serverFirst(challenge)), Self.sasl)
    }

    /// A proof made for one user's exchange is worth nothing in another's, even with the same password and nonces.
    @Test func aProofBelongsToOneUser() throws {
        var client = SCRAMClientExchange(credential: .password(bytes("secret")), nonce: "client+nonce")
        let first = Self.initialResponse(client.clientFirst())
        func login(_ user: String) -> ClientLogin {
            ClientLogin(method: .scramSHA256, user: user, secret: .plain("secret"), randomness: Self.randomness, iterations: 10)
        }
        var joe = login("joe")
        var admin = login("admin")
        _ = joe.start()
        _ = admin.start()
        _ = admin.received(first)
        guard case .send(.saslContinue(let challenge)) = joe.received(first) else {
            Issue.record("no challenge")
            return
        }
        expectRejection(admin.received(try client.serverFirst(challenge)), Self.sasl)
    }

    @Test func mutatedMessagesAreNeverAccepted() throws {
        var generator = SeededGenerator(state: 2026)
        let digest = MD5Password.response(secret: MD5Password.secret(user: "joe", password: "secret"), salt: Self.randomness.md5Salt)
        var client = SCRAMClientExchange(credential: .password(bytes("secret")), nonce: "client+nonce")
        let first = Self.initialResponse(client.clientFirst())
        var started = Self.login(.scramSHA256, .scram(Self.scram))
        _ = started.start()
        var awaitingFinal = started
        guard case .send(.saslContinue(let challenge)) = awaitingFinal.received(first) else {
            Issue.record("no challenge")
            return
        }
        let final = try client.serverFirst(challenge)
        for _ in 0..<10_000 {
            for (method, body) in [(LoginMethod.plain, bytes("secret\0")), (.md5, bytes(digest + "\0"))] {
                var login = Self.login(method, .plain("secret"))
                _ = login.start()
                let mutant = generator.mutate(body)
                guard case .rejected = login.received(mutant) else {
                    Issue.record("\(method) accepted \(mutant)")
                    continue
                }
            }
            var early = started
            let mutant = generator.mutate(first)
            if case .send = early.received(mutant), case .accepted = early.received(final) {
                Issue.record("accepted after \(mutant)")
            }
            var late = awaitingFinal
            let lateMutant = generator.mutate(final)
            guard case .rejected = late.received(lateMutant) else {
                Issue.record("accepted \(lateMutant)")
                continue
            }
        }
    }
}

extension ClientLogin {
    /// As `receivedPassword`, with what hashing it asks for.
    mutating func received(_ body: [UInt8]) -> Step {
        let step = receivedPassword(body)
        guard case .derive(let derivation) = step else { return step }
        return derived(derivation.run())
    }
}

/// Logins in which somebody else has the word.
@Suite struct SuspendedLoginTests {
    static func text(_ step: ClientLogin.Step) -> String? {
        guard case .rejected(let rejection) = step else { return nil }
        return rejection.clientText
    }

    @Test(arguments: [(LoginMethod.pam, "PAM authentication failed"), (.ldap, "LDAP authentication failed")])
    func othersJudgeThePassword(method: LoginMethod, failure: String) {
        var login = ClientLoginTests.login(method, nil)
        #expect(login.start() == .send(.cleartextPassword))
        #expect(login.receivedPassword(bytes("pw\0")) == .check(password: bytes("pw")))
        var other = login
        #expect(login.checked(nil) == .accepted(saslFinal: nil, keys: nil))
        #expect(Self.text(other.checked("no")) == failure)
        #expect(Self.text(other.checked(nil)) == failure)

        var impatient = ClientLoginTests.login(method, nil)
        _ = impatient.start()
        _ = impatient.receivedPassword(bytes("pw\0"))
        #expect(Self.text(impatient.receivedPassword(bytes("pw\0"))) == failure)
        #expect(Self.text(impatient.checked(nil)) == failure)
    }

    @Test func anEmptyPasswordIsNotEvenChecked() {
        var login = ClientLoginTests.login(.ldap, nil)
        _ = login.start()
        #expect(Self.text(login.receivedPassword([0])) == "empty password returned by client")
    }

    @Test func passwordsOf65535BytesFit() {
        let longest = [UInt8](repeating: 0x61, count: 65_535)
        var login = ClientLoginTests.login(.pam, nil)
        _ = login.start()
        #expect(login.receivedPassword(longest + [0]) == .check(password: longest))
        var longer = ClientLoginTests.login(.pam, nil)
        _ = longer.start()
        #expect(Self.text(longer.receivedPassword(longest + [0x61, 0])) == "password too long")
    }

    @Test func aPasswordAgainstASCRAMSecretIsHashedElsewhere() {
        for (password, isRight) in [("secret", true), ("wrong", false)] {
            var login = ClientLoginTests.login(.plain, .scram(ClientLoginTests.scram))
            _ = login.start()
            let expected = KeyDerivation(password: bytes(password), salt: [7, 7], iterations: 10)
            #expect(login.receivedPassword(bytes(password) + [0]) == .derive(expected))
            let verdict = login.derived(expected.run())
            #expect((Self.text(verdict) == nil) == isRight)
            #expect(Self.text(login.derived(expected.run())) != nil)
        }
    }

    @Test func aDerivedSecretIsReportedOnce() {
        var login = ClientLoginTests.login(.scramSHA256, .plain("secret"))
        _ = login.start()
        let first = ClientLoginTests.initialResponse(bytes("n,,n=,r=client"))
        guard case .derive(let derivation) = login.receivedPassword(first) else {
            Issue.record("nothing to derive")
            return
        }
        #expect(!login.hasDerived)
        // Nobody who speaks out of turn goes on.
        var impatient = login
        #expect(Self.text(impatient.receivedPassword(first)) == ClientLoginTests.sasl)
        #expect(Self.text(impatient.derived(derivation.run())) == ClientLoginTests.sasl)
        guard case .send(.saslContinue) = login.derived(derivation.run()) else {
            Issue.record("no challenge")
            return
        }
        #expect(login.hasDerived && login.derivedSecret == derivation.run().secret)
    }
}
