import Testing

@testable import PostgresWire

@Suite struct StartupTests {
    private func parse(_ bytes: [UInt8], limit: Int = 10_000) -> StartupParse {
        StartupRequest.parse(bytes.span, limit: limit)
    }

    private func startup(_ bytes: [UInt8]) -> StartupPacket? {
        guard case .complete(.startup(let packet), bytes.count) = parse(bytes) else { return nil }
        return packet
    }

    private func reason(_ bytes: [UInt8], limit: Int = 10_000) -> String? {
        guard case .malformed(let reason) = parse(bytes, limit: limit) else { return nil }
        return reason
    }

    private func version3(_ body: String) -> [UInt8] {
        var writer = MessageWriter()
        writer.word(UInt32(8 + body.utf8.count))
        writer.word(0x0003_0000)
        return writer.bytes + Array(body.utf8)
    }

    /// PostgreSQL 18 tells whoever asks for a later version, or for an option, which version is spoken: the newest that both know.
    @Test(arguments: [(0, 0, false), (1, 1, false), (2, 2, false), (3, 2, true), (9999, 2, true)] as [(UInt16, UInt16, Bool)])
    func theVersionThatIsSpoken(minor: UInt16, spoken: UInt16, isTold: Bool) throws {
        for options in [[], [(name: "_pq_.a", value: "")]] {
            let packet = Corpus.message { $0.startup(minor: minor, parameters: [("user", "u")] + options) }
            guard case .complete(.startup(let startup), _) = parse(packet) else {
                Issue.record("no startup packet")
                return
            }
            #expect(startup.spokenMinor == spoken)
            #expect(startup.needsNegotiation == (isTold || !options.isEmpty))
        }
    }

    @Test func parametersKeepTheirOrder() throws {
        let bytes = Corpus.message {
            $0.startup(
                minor: 2,
                parameters: [
                    ("user", "a"), ("_pq_.one", "1"), ("TimeZone", ""), ("options", "-c a=b"), ("user", "b"), ("_pq_.two", "2"),
                    ("options", "-c c=d"),
                ])
        }
        let packet = try #require(startup(bytes))
        #expect(packet.major == 3 && packet.minor == 2)
        #expect(packet.parameters.map(\.name) == ["user", "TimeZone", "user"])
        #expect(packet.parameters.map(\.value) == ["a", "", "b"])
        #expect(packet.protocolOptions.map(\.name) == ["_pq_.one", "_pq_.two"])
        #expect(packet.options == "-c c=d")
        #expect(packet["user"] == "b" && packet["TimeZone"] == "" && packet["database"] == nil)
    }

    @Test func requests() {
        if case .complete(.ssl, 8) = parse(Corpus.message { $0.sslRequest() }) {} else { Issue.record("ssl") }
        if case .complete(.gssEncryption, 8) = parse(Corpus.message { $0.gssEncryptionRequest() }) {} else { Issue.record("gss") }
        if case .complete(.directTLS, 0) = parse([0x16]) {} else { Issue.record("tls") }
        if case .complete(.oldProtocol, 10) = parse([0, 0, 0, 10, 0, 2, 0, 0, 1, 2]) {} else { Issue.record("old") }
        for key in [Corpus.key, Corpus.longKey] {
            let bytes = Corpus.message { $0.cancelRequest(key: key) }
            guard case .complete(.cancel(key), bytes.count) = parse(bytes) else {
                Issue.record("cancel")
                continue
            }
        }
    }

    /// Neon's driver sends the startup packet, the password and a query in one burst.
    @Test func bytesAfterThePacketStay() {
        let bytes = Corpus.message {
            $0.startup(parameters: [("user", "u")])
            $0.query("SELECT 1")
        }
        guard case .complete(.startup, let length) = parse(bytes) else {
            Issue.record("not read")
            return
        }
        #expect(bytes[length] == Frontend.query)
    }

    @Test func everyPrefixNeedsMore() {
        for bytes in Corpus.startup where bytes[0] != 0x16 {
            for end in 0..<bytes.count {
                guard case .needMore = parse(Array(bytes[..<end])) else {
                    Issue.record("\(bytes) cut at \(end)")
                    continue
                }
            }
        }
    }

    @Test(arguments: [
        "user\0a\0\0x", "user\0a\0\0\0", "user\0a\0", "user\0a", "user\0", "user", "", "\0\0", "a\0\0b\0c",
    ])
    func layoutIsRefused(_ body: String) {
        #expect(reason(version3(body)) == "invalid startup packet layout: expected terminator as last byte")
    }

    @Test func emptyStartupIsAllowed() throws {
        #expect(try #require(startup(version3("\0"))).parameters.isEmpty)
    }

    @Test(
        arguments: [
            ([0, 0, 0, 7, 0, 3, 0, 0], "0000000700030000"), ([0, 0, 0, 0], "00000000"),
            ([255, 255, 255, 255, 0, 3, 0, 0], "ffffffff00030000"),
            ([0x80, 0, 0, 8], "80000008"), (Array("GET / HTTP/1.1\r\n".utf8), "474554202f204854"),
            ([0, 0, 0, 9, 4, 210, 22, 47], "0000000904d2162f"),
        ] as [([UInt8], String)])
    func headerIsRefused(_ bytes: [UInt8], _ digits: String) {
        #expect(reason(bytes) == "bad packet header: '\(digits)'")
    }

    /// Before more of it is waited for.
    @Test(
        arguments: [([0, 4, 0, 0], 4, 0), ([0, 0, 0, 0], 0, 0), ([4, 210, 0, 1], 1234, 1), ([255, 255, 255, 254], 65535, 65534)]
            as [([UInt8], UInt16, UInt16)])
    func protocolsThatNobodySpeaks(_ version: [UInt8], _ major: UInt16, _ minor: UInt16) {
        guard case .complete(.unknownProtocol(major, minor), 8) = parse([0, 0, 1, 0] + version) else {
            Issue.record("\(version)")
            return
        }
    }

    @Test(arguments: [8, 15, 269, 9_999] as [UInt16])
    func cancelRequestsOfAWrongLengthAreRefusedInSilence(_ length: UInt16) {
        guard case .brokenCancel = parse([0, 0, UInt8(length >> 8), UInt8(length & 255), 4, 210, 22, 46]) else {
            Issue.record("\(length)")
            return
        }
    }

    @Test func limitIsKept() {
        let bytes = version3("user\0u\0\0")
        #expect(reason(bytes, limit: bytes.count) == nil)
        #expect(reason(bytes, limit: bytes.count - 1) != nil)
        // Refused by its length alone: nobody waits for the rest.
        #expect(reason(Array(bytes[..<4]), limit: bytes.count - 1) != nil)
        #expect(reason(bytes, limit: -1) != nil)
    }
}
