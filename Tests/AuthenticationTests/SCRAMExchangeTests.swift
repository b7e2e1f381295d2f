import Testing

@testable import Authentication

/// RFC 7677, section 3: user `user`, password `pencil`.
enum RFC7677 {
    static let clientNonce = "rOprNGfwEbeRWgbNEkqO"
    static let serverNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    static let clientFirst = "n,,n=user,r=\(clientNonce)"
    static let serverFirst = "r=\(clientNonce)\(serverNonce),s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    static let clientFinal = "c=biws,r=\(clientNonce)\(serverNonce),p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    static let serverFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    static let secret = SCRAMSecret.derive(password: "pencil", salt: Base64.decode(bytes("W22ZaJ0SNY7soEsUEjb6gQ=="))!, iterations: 4096)

    static func server(isMock: Bool = false) -> SCRAMServerExchange {
        SCRAMServerExchange(secret: secret, isMock: isMock, nonce: serverNonce)
    }

    /// A server that has answered the first message.
    static func serverAwaitingFinal(isMock: Bool = false, clientFirst: String = clientFirst) throws -> SCRAMServerExchange {
        var exchange = server(isMock: isMock)
        _ = try exchange.clientFirst(bytes(clientFirst))
        return exchange
    }
}

@Suite struct SCRAMServerExchangeTests {
    @Test func vector() throws {
        var exchange = RFC7677.server()
        #expect(text(try exchange.clientFirst(bytes(RFC7677.clientFirst))) == RFC7677.serverFirst)
        let success = try exchange.clientFinal(bytes(RFC7677.clientFinal))
        #expect(text(success.serverFinal) == RFC7677.serverFinal)
        #expect(success.serverKey == RFC7677.secret.serverKey)
        #expect(success.keys == SaltedPassword.derive(password: bytes("pencil"), salt: RFC7677.secret.salt, iterations: 4096).keys)
    }

    @Test(arguments: [
        ("", SCRAMError.malformedMessage), ("n", .malformedMessage), ("n,", .missingAttribute("n")), ("n,,", .missingAttribute("n")),
        (",", .malformedMessage), (",,,,", .malformedMessage), ("x,,n=,r=abc", .malformedMessage), ("nn,,n=,r=abc", .malformedMessage),
        ("p,,n=,r=abc", .malformedMessage), ("p=tls-unique,,n=,r=abc", .channelBindingRequested),
        ("p=tls-server-end-point,,n=,r=abc", .channelBindingRequested),
        ("n,a=admin,n=,r=abc", .authorizationIdentity), ("n,a=,n=,r=abc", .authorizationIdentity), ("n,admin,n=,r=abc", .malformedMessage),
        ("n,,m=ext,n=,r=abc", .unsupportedExtension), ("n,,n=,m=ext,r=abc", .unsupportedExtension),
        ("n,,n=,r=abc,m=ext", .unsupportedExtension),
        ("n,,n=user", .missingAttribute("r")), ("n,,n=user,", .missingAttribute("r")), ("n,,r=abc,n=user", .missingAttribute("n")),
        ("n,,r=abc", .missingAttribute("n")), ("n,,n=,r=", .invalidNonce), ("n,,n=,r=,x=y", .invalidNonce), ("n,,n=,r=é", .invalidNonce),
        ("n,,n=,r=a b", .invalidNonce), ("n,,n=,r=a\u{7f}", .invalidNonce), ("n,,n=,r=a\n", .invalidNonce),
        ("n,,n=,r=abc\0", .malformedMessage), ("n,,n=,r=abc,", .malformedMessage), ("n,,n=,r=abc,xy", .malformedMessage),
        ("n,,n=,r=abc,1=y", .malformedMessage), ("n,,n=,r=abc,=y", .malformedMessage),
    ])
    func hostileFirstMessage(message: String, error: SCRAMError) {
        var exchange = RFC7677.server()
        #expect(throws: error) { try exchange.clientFirst(bytes(message)) }
        #expect(throws: SCRAMError.unexpectedMessage) { try exchange.clientFinal(bytes(RFC7677.clientFinal)) }
        #expect(!error.reason.isEmpty)
    }

    @Test(arguments: ["n,,n=,r=abc", "y,,n=,r=abc", "n,,n=anybody,r=abc", "n,,n=a=2Cb,r=abc,x=y,Z=", "n,,n=é,r=abc"])
    func acceptedFirstMessage(message: String) throws {
        var exchange = RFC7677.server()
        #expect(try exchange.clientFirst(bytes(message)).starts(with: bytes("r=abc\(RFC7677.serverNonce),s=")))
    }

    @Test func hugeMessages() throws {
        var first = RFC7677.server()
        #expect(throws: SCRAMError.messageTooLong) { try first.clientFirst(bytes("n,,n=,r=" + String(repeating: "x", count: 1 << 20))) }
        var commas = RFC7677.server()
        #expect(throws: SCRAMError.messageTooLong) { try commas.clientFirst([UInt8](repeating: 0x2c, count: 1 << 20)) }
        var final = try RFC7677.serverAwaitingFinal()
        #expect(throws: SCRAMError.messageTooLong) {
            try final.clientFinal(bytes(RFC7677.clientFinal + String(repeating: "=", count: 1 << 20)))
        }
        var longest = RFC7677.server()
        #expect(throws: Never.self) { try longest.clientFirst(bytes("n,,n=,r=" + String(repeating: "x", count: 1024 - 8))) }
    }

    static let nonce = RFC7677.clientNonce + RFC7677.serverNonce
    static let proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

    @Test(arguments: [
        ("", SCRAMError.malformedMessage), ("c=biws", .missingAttribute("r")), ("c=biws,p=\(proof)", .missingAttribute("r")),
        ("r=\(nonce),p=\(proof)", .missingAttribute("c")), ("r=\(nonce),c=biws,p=\(proof)", .missingAttribute("c")),
        ("c=biws,r=\(nonce)", .missingAttribute("p")), ("c=biws,r=\(nonce),", .missingAttribute("p")),
        ("c=biws,r=\(nonce),p=", .invalidEncoding("p")), ("c=biws,r=\(nonce),p=\(proof),", .missingAttribute("p")),
        ("c=biws,r=\(nonce),p=\(proof),x=y", .missingAttribute("p")), ("c=biws,r=\(nonce),m=x,p=\(proof)", .unsupportedExtension),
        ("m=x,c=biws,r=\(nonce),p=\(proof)", .unsupportedExtension), ("c=biws,m=x,r=\(nonce),p=\(proof)", .unsupportedExtension),
        ("c=biws,r=\(nonce),xy,p=\(proof)", .malformedMessage), ("c=biws,r=,p=\(proof)", .invalidNonce),
        ("c=biws,r,p=\(proof)", .missingAttribute("r")),
        ("c=biws,r=é,p=\(proof)", .invalidNonce), ("c=biws,r=\(RFC7677.clientNonce),p=\(proof)", .nonceMismatch),
        ("c=biws,r=\(nonce)x,p=\(proof)", .nonceMismatch), ("c=biws,r=X\(nonce.dropFirst()),p=\(proof)", .nonceMismatch),
        ("c=,r=\(nonce),p=\(proof)", .channelBindingMismatch), ("c=eSws,r=\(nonce),p=\(proof)", .channelBindingMismatch),
        ("c=biw,r=\(nonce),p=\(proof)", .invalidEncoding("c")), ("c=b!ws,r=\(nonce),p=\(proof)", .invalidEncoding("c")),
        ("c=biwsAAAA,r=\(nonce),p=\(proof)", .channelBindingMismatch), ("c=biws,r=\(nonce),p=AAAA", .invalidEncoding("p")),
        ("c=biws,r=\(nonce),p=\(proof)AAAA", .invalidEncoding("p")), ("c=biws,r=\(nonce),p=!\(proof.dropFirst())", .invalidEncoding("p")),
        ("c=biws,r=\(nonce),p=e\(proof.dropFirst())", .wrongProof), ("c=biws,r=\(nonce),x=y,p=\(proof)", .wrongProof),
        ("c=biws,r=\(nonce),p=\(proof)\0", .malformedMessage),
    ])
    func hostileFinalMessage(message: String, error: SCRAMError) throws {
        var exchange = try RFC7677.serverAwaitingFinal()
        #expect(throws: error) { try exchange.clientFinal(bytes(message)) }
        #expect(throws: SCRAMError.unexpectedMessage) { try exchange.clientFinal(bytes(RFC7677.clientFinal)) }
    }

    @Test func messagesOutOfOrder() throws {
        var early = RFC7677.server()
        #expect(throws: SCRAMError.unexpectedMessage) { try early.clientFinal(bytes(RFC7677.clientFinal)) }
        #expect(throws: SCRAMError.unexpectedMessage) { try early.clientFirst(bytes(RFC7677.clientFirst)) }
        var twice = try RFC7677.serverAwaitingFinal()
        #expect(throws: SCRAMError.unexpectedMessage) { try twice.clientFirst(bytes(RFC7677.clientFirst)) }
        #expect(throws: SCRAMError.unexpectedMessage) { try twice.clientFinal(bytes(RFC7677.clientFinal)) }
        var replay = try RFC7677.serverAwaitingFinal()
        _ = try replay.clientFinal(bytes(RFC7677.clientFinal))
        #expect(throws: SCRAMError.unexpectedMessage) { try replay.clientFinal(bytes(RFC7677.clientFinal)) }
    }

    @Test func aMockFailsEvenWithTheRightProof() throws {
        var exchange = RFC7677.server(isMock: true)
        #expect(text(try exchange.clientFirst(bytes(RFC7677.clientFirst))) == RFC7677.serverFirst)
        #expect(throws: SCRAMError.nothingToProve) { try exchange.clientFinal(bytes(RFC7677.clientFinal)) }
    }

    /// The proof covers every byte of both messages, so no other message may ever be accepted.
    @Test func mutatedMessagesAreNeverAccepted() throws {
        var generator = SeededGenerator(state: 7677)
        for _ in 0..<10_000 {
            var exchange = RFC7677.server()
            let first = generator.mutate(bytes(RFC7677.clientFirst))
            if (try? exchange.clientFirst(first)) != nil { #expect((try? exchange.clientFinal(bytes(RFC7677.clientFinal))) == nil) }
            var awaiting = try RFC7677.serverAwaitingFinal()
            let final = generator.mutate(bytes(RFC7677.clientFinal))
            #expect((try? awaiting.clientFinal(final)) == nil, "\(final)")
        }
    }
}

@Suite struct SCRAMClientExchangeTests {
    /// The RFC's client sends its user name, PostgreSQL's clients an empty one, so the final messages differ from the RFC's
    /// while nonces, salt and everything else are its own.
    static let serverFirst = RFC7677.serverFirst

    static func client(_ credential: SCRAMCredential = .password(bytes("pencil"))) -> SCRAMClientExchange {
        var exchange = SCRAMClientExchange(credential: credential, nonce: RFC7677.clientNonce)
        _ = exchange.clientFirst()
        return exchange
    }

    /// The server's last message to ``client(_:)``.
    static func serverFinal() throws -> [UInt8] {
        var server = try RFC7677.serverAwaitingFinal(clientFirst: "n,,n=,r=\(RFC7677.clientNonce)")
        var client = client()
        return try server.clientFinal(try client.serverFirst(bytes(serverFirst))).serverFinal
    }

    /// RFC 7677's example with PostgreSQL's empty user name, computed apart from this code.
    @Test func vector() throws {
        var exchange = SCRAMClientExchange(credential: .password(bytes("pencil")), nonce: RFC7677.clientNonce)
        #expect(text(exchange.clientFirst()) == "n,,n=,r=\(RFC7677.clientNonce)")
        #expect(
            text(try exchange.serverFirst(bytes(Self.serverFirst)))
                == "c=biws,r=\(RFC7677.clientNonce)\(RFC7677.serverNonce),p=qvT2SWdEH5Q06albL+hjSYuUhCG7VndFyzIb7CK4n9k=")
        #expect(throws: Never.self) { try exchange.serverFinal(bytes("v=3HO6Qt1M4MKJrmlKaoOqLAI0/0TV0HZe7J9H3MBtSOg=")) }
    }

    @Test(arguments: [
        ("", SCRAMError.malformedMessage), ("r=\(RFC7677.clientNonce)x", .missingAttribute("s")),
        ("s=AAAA,i=4096", .missingAttribute("r")), ("s=AAAA,r=\(RFC7677.clientNonce)x,i=4096", .missingAttribute("r")),
        ("r=\(RFC7677.clientNonce)x,i=4096,s=AAAA", .missingAttribute("s")), ("r=\(RFC7677.clientNonce)x,s=AAAA", .missingAttribute("i")),
        ("r=,s=AAAA,i=4096", .invalidNonce), ("r=\(RFC7677.clientNonce)é,s=AAAA,i=4096", .invalidNonce),
        ("r=\(RFC7677.clientNonce),s=AAAA,i=4096", .nonceMismatch), ("r=x\(RFC7677.clientNonce),s=AAAA,i=4096", .nonceMismatch),
        ("m=x,r=\(RFC7677.clientNonce)x,s=AAAA,i=4096", .unsupportedExtension),
        ("r=\(RFC7677.clientNonce)x,s=,i=4096", .invalidEncoding("s")), ("r=\(RFC7677.clientNonce)x,s=A,i=4096", .invalidEncoding("s")),
        ("r=\(RFC7677.clientNonce)x,s=AAAA,i=0", .iterationsOutOfRange), ("r=\(RFC7677.clientNonce)x,s=AAAA,i=-1", .iterationsOutOfRange),
        ("r=\(RFC7677.clientNonce)x,s=AAAA,i=1000001", .iterationsOutOfRange),
        ("r=\(RFC7677.clientNonce)x,s=AAAA,i=", .iterationsOutOfRange),
        ("r=\(RFC7677.clientNonce)x,s=AAAA,i=2147483647", .iterationsOutOfRange),
        ("r=\(RFC7677.clientNonce)x,s=AAAA,i=4e3", .iterationsOutOfRange),
        ("r=\(RFC7677.clientNonce)x,s=AAAA,i=99999999999999999999999", .iterationsOutOfRange),
        ("r=\(RFC7677.clientNonce)x,s=AAAA,i=4096,x=y", .malformedMessage), ("r=\(RFC7677.clientNonce)x,s=AAAA,i=4096,", .malformedMessage),
        ("r=\(RFC7677.clientNonce)x,s=AAAA,i=4096\0", .malformedMessage),
        ("r=\(RFC7677.clientNonce)\(String(repeating: "x", count: 1005)),s=AAAA,i=4096", .invalidNonce),
        ("r=\(RFC7677.clientNonce)x,s=\(String(repeating: "AAAA", count: 342)),i=4096", .invalidEncoding("s")),
        ("r=\(RFC7677.clientNonce)\(String(repeating: "x", count: 100_000)),s=AAAA,i=4096", .messageTooLong),
    ])
    func hostileServerFirst(message: String, error: SCRAMError) {
        var exchange = Self.client()
        #expect(throws: error) { try exchange.serverFirst(bytes(message)) }
        #expect(throws: SCRAMError.unexpectedMessage) { try exchange.serverFinal(bytes(RFC7677.serverFinal)) }
    }

    @Test func theLargestCountsAreStillAnswered() throws {
        let nonce = RFC7677.clientNonce + String(repeating: "x", count: 1024 - RFC7677.clientNonce.utf8.count)
        var exchange = Self.client(
            .keys(SCRAMKeys(clientKey: [UInt8](repeating: 1, count: 32), serverKey: [UInt8](repeating: 2, count: 32))))
        #expect(throws: Never.self) { try exchange.serverFirst(bytes("r=\(nonce),s=\(String(repeating: "AAAA", count: 341)),i=1000000")) }
    }

    @Test(arguments: [
        ("", SCRAMError.malformedMessage), ("v", .missingAttribute("v")), ("v=", .invalidServerSignature),
        ("v=AAAA", .invalidServerSignature),
        ("v=A", .invalidEncoding("v")), (RFC7677.serverFinal, .invalidServerSignature), (RFC7677.serverFinal + ",x=y", .malformedMessage),
        ("x=y", .missingAttribute("v")), ("m=y", .unsupportedExtension), ("e=other-error", .serverError("other-error")),
        ("e=a\u{1b}[2J\né", .serverError("a?[2J???")),
        ("e=" + String(repeating: "x", count: 999), .serverError(String(repeating: "x", count: 128))),
    ])
    func hostileServerFinal(message: String, error: SCRAMError) throws {
        var exchange = Self.client()
        _ = try exchange.serverFirst(bytes(Self.serverFirst))
        #expect(throws: error) { try exchange.serverFinal(bytes(message)) }
        let right = try Self.serverFinal()
        #expect(throws: SCRAMError.unexpectedMessage) { try exchange.serverFinal(right) }
    }

    @Test func messagesOutOfOrder() throws {
        var unstarted = SCRAMClientExchange(credential: .password(bytes("pencil")), nonce: RFC7677.clientNonce)
        #expect(throws: SCRAMError.unexpectedMessage) { try unstarted.serverFirst(bytes(Self.serverFirst)) }
        var early = Self.client()
        #expect(throws: SCRAMError.unexpectedMessage) { try early.serverFinal(bytes(RFC7677.serverFinal)) }
        var twice = Self.client()
        _ = try twice.serverFirst(bytes(Self.serverFirst))
        #expect(throws: SCRAMError.unexpectedMessage) { try twice.serverFirst(bytes(Self.serverFirst)) }
    }

    @Test func mutatedMessagesAreNeverAccepted() throws {
        var generator = SeededGenerator(state: 5802)
        let right = try Self.serverFinal()
        let keys = SaltedPassword.derive(password: bytes("pencil"), salt: RFC7677.secret.salt, iterations: 4096).keys
        for _ in 0..<10_000 {
            var first = Self.client(.keys(keys))
            if (try? first.serverFirst(generator.mutate(bytes(Self.serverFirst)))) != nil {
                #expect((try? first.serverFinal(right)) == nil)
            }
            var final = Self.client(.keys(keys))
            _ = try final.serverFirst(bytes(Self.serverFirst))
            let message = generator.mutate(right)
            #expect((try? final.serverFinal(message)) == nil, "\(message)")
        }
    }
}

@Suite struct SCRAMBothSidesTests {
    private func run(_ credential: SCRAMCredential, secret: SCRAMSecret, cache: inout SaltedPasswordCache) throws -> SCRAMKeys {
        var client = SCRAMClientExchange(credential: credential, nonce: SCRAMMechanism.randomNonce())
        var server = SCRAMServerExchange(secret: secret, isMock: false, nonce: SCRAMMechanism.randomNonce())
        let answer = try client.serverFirst(try server.clientFirst(client.clientFirst()), cache: &cache)
        let success = try server.clientFinal(answer)
        try client.serverFinal(success.serverFinal)
        return success.keys
    }

    /// A client's login to the pooler leaves the keys with which the pooler logs in to the server.
    @Test func passThrough() throws {
        var cache = SaltedPasswordCache()
        let secret = SCRAMSecret.derive(password: "naïve\u{A0}pass", salt: [1, 2, 3], iterations: 100)
        let keys = try run(.password(bytes("nai\u{308}ve pass")), secret: secret, cache: &cache)
        #expect(try run(.keys(keys), secret: secret, cache: &cache) == keys)
        let other = SCRAMSecret.derive(password: "naïve pass", salt: [1, 2, 4], iterations: 100)
        #expect(throws: SCRAMError.wrongProof) { try run(.keys(keys), secret: other, cache: &cache) }
    }

    @Test func saltedPassword() throws {
        var cache = SaltedPasswordCache()
        let salted = SaltedPassword.derive(password: bytes("pencil"), salt: [1], iterations: 10)
        #expect(try run(.saltedPassword(salted), secret: salted.secret, cache: &cache) == salted.keys)
        let moved = SCRAMSecret.derive(password: "pencil", salt: [2], iterations: 10)
        #expect(throws: SCRAMError.staleSaltedPassword) { try run(.saltedPassword(salted), secret: moved, cache: &cache) }
        #expect(cache.count == 0)
    }

    @Test func wrongPassword() throws {
        var cache = SaltedPasswordCache()
        let secret = SCRAMSecret.derive(password: "pencil", salt: [1], iterations: 10)
        #expect(throws: SCRAMError.wrongProof) { try run(.password(bytes("Pencil")), secret: secret, cache: &cache) }
    }

    @Test func theCacheRemembersAndForgets() throws {
        var cache = SaltedPasswordCache(capacity: 2)
        let secrets = (1...3).map { SCRAMSecret.derive(password: "pencil", salt: [$0], iterations: 10) }
        for secret in secrets { _ = try run(.password(bytes("pencil")), secret: secret, cache: &cache) }
        #expect(cache.count == 2)
        // A million rounds a hundred times over would take minutes.
        let slow = cache.saltedPassword(password: bytes("pencil"), salt: [9], iterations: 1_000_000)
        for _ in 0..<100 { #expect(cache.saltedPassword(password: bytes("pencil"), salt: [9], iterations: 1_000_000) == slow) }
        #expect(cache.saltedPassword(password: bytes("pencil"), salt: [9], iterations: 1) != slow)
        cache.removeAll()
        #expect(cache.count == 0)
    }
}
