import Testing

@testable import PostgresWire

@Suite("Text of any bytes") struct ByteTextTests {
    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes.span, in: 0..<bytes.count) }

    @Test(
        "comes out as it went in",
        arguments: [
            [], [0x61, 0xFF, 0x62], [0xE4], [0xC3, 0xA4], [0xC3], [0xF4, 0x8F, 0xBE, 0x80], [0xF4, 0x8F, 0xBF, 0xBF],
            [0xF4, 0x8F, 0xBD, 0xBF],
            [0xF4, 0x90, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF0, 0x9F, 0x98], [0xF4, 0x8F, 0xBE], [0xC0, 0x80], Array(0x80...0xFF),
            Array("grün 😀 \u{10FF7F}".utf8),
        ] as [[UInt8]])
    func roundTrip(_ bytes: [UInt8]) {
        #expect(text(bytes).messageBytes == bytes)
        var writer = MessageWriter()
        writer.parameterStatus(name: "n", value: text(bytes))
        #expect(Array(writer.bytes.dropFirst(7).dropLast()) == bytes)
    }

    @Test("is the text where it is UTF-8, and is shown as bytes where it is not")
    func shown() {
        #expect(text(Array("grün".utf8)) == "grün" && "grün".printable == "grün")
        #expect(text([0x67, 0xFC]).printable == #"g\xfc"#)
        #expect(text([0x67, 0xFC]) != text([0x67, 0xFD]))
        var writer = MessageWriter()
        writer.dataRow([text([0xFC])])
        #expect(Array(writer.bytes.suffix(4)) == Array(#"\xfc"#.utf8), "tables are read as UTF-8")
    }
}
