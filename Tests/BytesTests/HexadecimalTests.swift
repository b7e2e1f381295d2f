import Bytes
import Testing

@Suite struct HexadecimalTests {
    @Test("each byte has two digits, which give it back in either case")
    func everyByte() {
        for byte in UInt8.min...UInt8.max {
            let text = Hexadecimal.text([byte])
            #expect(text.utf8.count == 2 && UInt8(text, radix: 16) == byte && text == text.lowercased())
            for spelling in [text, text.uppercased()] {
                #expect(spelling.utf8.reduce(UInt8(0)) { $0 << 4 | (Hexadecimal.value(of: $1) ?? 0) } == byte)
            }
        }
        #expect(Hexadecimal.encode([0x00, 0x9A, 0xFF]) == Array("009aff".utf8) && Hexadecimal.text([]).isEmpty)
    }

    @Test("nothing else is a digit")
    func noDigits() {
        let digits = Set("0123456789abcdefABCDEF".utf8)
        for byte in UInt8.min...UInt8.max { #expect((Hexadecimal.value(of: byte) != nil) == digits.contains(byte)) }
    }
}
