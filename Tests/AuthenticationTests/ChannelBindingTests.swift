import Testing

@testable import Authentication

/// SCRAM-SHA-256-PLUS: both of the pooler's sides against each other, and against those who cheat.
@Suite struct ChannelBindingTests {
    static let data = bytes("hash of the certificate")
    static let secret = SCRAMSecret.derive(password: "pencil", salt: [1, 2, 3], iterations: 10)

    static func server(_ channel: SCRAMChannel) -> SCRAMServerExchange {
        SCRAMServerExchange(secret: secret, isMock: false, nonce: "server", channel: channel)
    }

    static func client(_ channel: SCRAMServerChannel) -> SCRAMClientExchange {
        SCRAMClientExchange(credential: .password(bytes("pencil")), nonce: "client", channel: channel)
    }

    /// Lets the two talk to the end.
    static func play(_ client: SCRAMServerChannel, _ server: SCRAMChannel) throws(SCRAMError) {
        var near = Self.client(client)
        var far = Self.server(server)
        let final = try near.serverFirst(far.clientFirst(near.clientFirst()))
        try near.serverFinal(far.clientFinal(final).serverFinal)
    }

    @Test func bothSidesAgree() throws {
        try Self.play(.bound(Self.data), .bound(Self.data))
        try Self.play(.unbound, .unbound)
        // A client that can't, or does not want to.
        try Self.play(.unbound, .offered)
        // A server without TLS, seen by a client with it.
        try Self.play(.notOffered, .unbound)
        #expect(Self.client(.bound([])).mechanism == "SCRAM-SHA-256-PLUS")
        #expect(Self.client(.notOffered).mechanism == "SCRAM-SHA-256")
    }

    @Test func somebodyInBetween() {
        // Each has a TLS connection of its own with them.
        #expect(throws: SCRAMError.channelBindingMismatch) { try Self.play(.bound(bytes("their certificate")), .bound(Self.data)) }
        // They took the offer out of the list.
        #expect(throws: SCRAMError.channelBindingDowngrade) { try Self.play(.notOffered, .offered) }
    }

    @Test(arguments: [
        ("n,,n=,r=abc", SCRAMError.channelBindingMissing), ("y,,n=,r=abc", .channelBindingMissing),
        ("p=tls-unique,,n=,r=abc", .unsupportedChannelBinding), ("p=tls-exporter,,n=,r=abc", .unsupportedChannelBinding),
        ("p=,,n=,r=abc", .unsupportedChannelBinding), ("p=tls-server-end-pointx,,n=,r=abc", .unsupportedChannelBinding),
        ("p=TLS-SERVER-END-POINT,,n=,r=abc", .unsupportedChannelBinding), ("p,,n=,r=abc", .malformedMessage),
        ("p=tls-server-end-point", .malformedMessage), ("p=tls-server-end-point,a=root,n=,r=abc", .authorizationIdentity),
        ("p=tls-server-end-point,,r=abc", .missingAttribute("n")),
    ])
    func hostileFirstMessage(message: String, error: SCRAMError) {
        var server = Self.server(.bound(Self.data))
        #expect(throws: error) { try server.clientFirst(bytes(message)) }
        #expect(throws: SCRAMError.unexpectedMessage) { try server.clientFirst(bytes("p=tls-server-end-point,,n=,r=abc")) }
        #expect(!error.reason.isEmpty)
    }

    @Test func hostileFinalMessage() throws {
        let header = bytes("p=tls-server-end-point,,")
        let wrong: [[UInt8]] = [
            header, header + Self.data.dropLast(), header + Self.data + [0], bytes("n,,"), bytes("n,,") + Self.data, Self.data, [],
            bytes("p=tls-server-end-point,") + Self.data, header + [UInt8](repeating: 7, count: 600),
        ]
        for binding in wrong {
            var server = Self.server(.bound(Self.data))
            _ = try server.clientFirst(bytes("p=tls-server-end-point,,n=,r=abc"))
            let message = bytes("c=") + Base64.encode(binding) + bytes(",r=abcserver,p=") + Base64.encode([UInt8](repeating: 0, count: 32))
            #expect(throws: SCRAMError.channelBindingMismatch) { try server.clientFinal(message) }
        }
    }

    // MARK: The login around it

    static func login(endPoint: [UInt8]?) -> ClientLogin {
        ClientLogin(
            method: .scramSHA256, user: "joe", secret: .plain("pencil"), randomness: ClientLoginTests.randomness, iterations: 10,
            endPoint: endPoint)
    }

    @Test func aLoginWithBinding() throws {
        var login = Self.login(endPoint: Self.data)
        #expect(login.start() == .send(.sasl(mechanisms: ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"])))
        var client = Self.client(.bound(Self.data))
        guard case .send(.saslContinue(let challenge)) = login.received(Self.response(&client)),
            case .accepted(let final?, _) = login.received(try client.serverFirst(challenge))
        else {
            Issue.record("not let in")
            return
        }
        try client.serverFinal(final)
    }

    @Test func withoutTLSItIsNotOffered() {
        var login = Self.login(endPoint: nil)
        #expect(login.start() == .send(.sasl(mechanisms: ["SCRAM-SHA-256"])))
        let rejection = LoginRejection(method: .scramSHA256, reason: .unknownMechanism)
        var client = Self.client(.bound(Self.data))
        #expect(login.received(Self.response(&client)) == .rejected(rejection))
    }

    @Test func aDowngradeIsRefused() {
        var login = Self.login(endPoint: Self.data)
        var client = Self.client(.notOffered)
        _ = login.start()
        guard case .rejected(let rejection) = login.received(Self.response(&client)) else {
            Issue.record("let in")
            return
        }
        #expect(rejection.clientText == "SASL authentication failed")
        #expect(rejection.logReason == SCRAMError.channelBindingDowngrade.reason)
    }

    private static func response(_ client: inout SCRAMClientExchange) -> [UInt8] {
        ClientLoginTests.initialResponse(client.clientFirst(), mechanism: client.mechanism)
    }
}
