import COpenSSL
import TLSCredentials
import Testing

@testable import TLS

@Suite struct TLSSessionTests {
    static let own = Credentials()

    static func contexts(
        server: (inout TLSConfiguration) -> Void = { _ in }, client: (inout TLSConfiguration) -> Void = { _ in }
    ) throws -> (TLSContext, TLSContext) {
        var accepting = TLSConfiguration.accepting(own)
        server(&accepting)
        var connecting = TLSConfiguration.connecting()
        client(&connecting)
        return (try TLSContext(accepting), try TLSContext(connecting))
    }

    static func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }

    @Test(arguments: [1, 2, 5, 7, 100, 16_000, 1 << 17], ["tlsv1.2", "tlsv1.3"])
    func bytesArriveInWhateverPieces(pieces: Int, version: String) throws {
        let (server, client) = try Self.contexts(server: { $0.protocols = version })
        let talk = try Conversation(server, client)
        talk.pieces = pieces
        talk.run()
        #expect(talk.server.isEstablished && talk.client.isEstablished)
        #expect(talk.server.summary.hasPrefix(version == "tlsv1.2" ? "TLSv1.2/ECDHE" : "TLSv1.3/TLS_AES_256_GCM_SHA384"))
        #expect(talk.server.hasAgreedOnProtocol && talk.client.hasAgreedOnProtocol)
        let size = pieces < 10 ? 20_000 : 400_000
        #expect(talk.sendFromClient(Self.pattern(size)))
        #expect(talk.sendFromServer(Self.pattern(size + 1)))
        talk.run()
        #expect(talk.atServer == Self.pattern(size))
        #expect(talk.atClient == Self.pattern(size + 1))
    }

    @Test func manyRecordsComeOutOfOneReceive() throws {
        let (server, client) = try Self.contexts()
        let talk = try Conversation(server, client)
        talk.run()
        for number in 0..<1000 { talk.sendFromClient(Array("message \(number) ".utf8)) }
        talk.run()
        #expect(String(decoding: talk.atServer, as: UTF8.self) == (0..<1000).map { "message \($0) " }.joined())
    }

    @Test(arguments: ["tlsv1.2", "tlsv1.3"]) func sessionsAreResumed(version: String) throws {
        let (server, client) = try Self.contexts(server: { $0.protocols = version })
        for round in 0..<3 {
            let talk = try Conversation(server, client)
            talk.run()
            talk.sendFromServer([7])
            talk.run()
            #expect(talk.client.isResumed == (round > 0) && talk.server.isResumed == (round > 0))
            #expect(talk.client.endPoint == talk.server.endPoint && talk.client.endPoint != nil)
            talk.client.remember()
        }
        // Another host, another context: nothing to resume.
        #expect(try !established(server, client, host: "other").client.isResumed)
        #expect(try !established(server, try TLSContext(.connecting()), host: "localhost").client.isResumed)
        #expect(try !established(try TLSContext(.accepting(Self.own)), client, host: "localhost").client.isResumed)
    }

    private func established(_ server: TLSContext, _ client: TLSContext, host: String) throws -> Conversation {
        let talk = try Conversation(server, client, host: host)
        talk.run()
        #expect(talk.client.isEstablished && talk.server.isEstablished)
        return talk
    }

    @Test func aGoodByeIsHeard() throws {
        let (server, client) = try Self.contexts()
        let talk = try Conversation(server, client)
        talk.run()
        talk.sendFromClient([1, 2, 3])
        talk.client.shutdown()
        talk.collect()
        talk.run()
        #expect(talk.atServer == [1, 2, 3] && talk.serverWasClosed)
    }

    @Test func nothingIsSentBeforeTheHandshakeIsDone() throws {
        let (server, client) = try Self.contexts()
        let talk = try Conversation(server, client)
        #expect(!talk.sendFromServer([1]) && !talk.sendFromClient([1]))
        #expect(talk.toClient.isEmpty)
        talk.server.shutdown()
        talk.collect()
        #expect(talk.toClient.isEmpty)
    }

    @Test func aSessionMovesToOtherBuffers() throws {
        let (server, client) = try Self.contexts()
        let talk = try Conversation(server, client)
        talk.run()
        // Half a record has arrived when it moves.
        talk.sendFromServer(Self.pattern(1000))
        let first = Array(talk.toClient.prefix(500))
        guard case .plaintext(let early) = talk.client.receive(first) else {
            Issue.record("failed")
            return
        }
        let others = TLSBuffers(receiveCapacity: 1 << 17)
        let before = talk.clientBuffers.copiedPlaintext(early)
        talk.client.move(to: others)
        guard case .plaintext(let late) = talk.client.receive(Array(talk.toClient[500...])) else {
            Issue.record("failed")
            return
        }
        #expect(before + others.copiedPlaintext(late) == Self.pattern(1000))
        #expect(talk.client.send([9]))
        #expect(talk.clientBuffers.isEmpty && !others.isEmpty)
    }

    // MARK: Hostile bytes

    @Test(arguments: [
        Array("GET / HTTP/1.0\r\n\r\n".utf8), Array(repeating: UInt8(0), count: 100), [0x16, 3, 1, 0, 0], [0x16, 3, 1, 0xff, 0xff, 1],
        [0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0], [0x15, 3, 1, 0, 2, 2, 40], [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f], [0x80, 0x2e, 1, 3, 1],
    ])
    func garbageInPlaceOfAHandshake(bytes: [UInt8]) throws {
        let (server, _) = try Self.contexts()
        let session = try TLSSession(accepting: server, buffers: TLSBuffers(receiveCapacity: 1 << 17))
        var failed = false
        for _ in 0..<100 {
            if case .failed(let error) = session.receive(bytes) {
                failed = true
                #expect(!error.reason.isEmpty)
            }
        }
        #expect(failed && !session.isEstablished)
        #expect(!session.send([1]))
    }

    @Test func aChangedByteIsFound() throws {
        let (server, client) = try Self.contexts()
        let talk = try Conversation(server, client)
        talk.run()
        talk.sendFromClient(Self.pattern(100))
        talk.toServer[60] ^= 1
        talk.run()
        #expect(talk.serverError?.reason == "decryption failed or bad record mac" && talk.atServer.isEmpty)
        #expect(talk.clientError != nil)
        #expect(!talk.sendFromServer([1]))
    }

    @Test func nobodyCanBeMadeToRenegotiate() throws {
        let (server, client) = try Self.contexts(server: { $0.protocols = "tlsv1.2" })
        let talk = try Conversation(server, client)
        talk.run()
        #expect(SSL_renegotiate(talk.client.pointer) == 0)
    }

    @Test func otherProtocolsAreRefused() throws {
        let (server, client) = try Self.contexts()
        let talk = try Conversation(server, client)
        // A browser that was talked into connecting.
        let browser = SSL_CTX_new(TLS_client_method())!
        defer { SSL_CTX_free(browser) }
        SSL_CTX_set_alpn_protos(browser, [2, 0x68, 0x32], 3)
        let session = SSL_new(browser)!
        defer { SSL_free(session) }
        let (input, output) = (BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()))
        SSL_set_bio(session, input, output)
        SSL_set_connect_state(session)
        SSL_do_handshake(session)
        var hello = [UInt8](repeating: 0, count: 4096)
        let count = BIO_read(output, &hello, 4096)
        guard case .failed(let error) = talk.server.receive(Array(hello[..<Int(count)])) else {
            Issue.record("accepted")
            return
        }
        #expect(error.reason == "no application protocol")
    }

    @Test func noVersionInCommon() throws {
        let (server, client) = try Self.contexts(server: { $0.protocols = "tlsv1.3" }, client: { $0.protocols = "tlsv1.2" })
        let talk = try Conversation(server, client)
        talk.run()
        #expect(talk.serverError?.reason == "unsupported protocol" && talk.clientError?.reason == "tlsv1 alert protocol version")
    }
}
