import TLS
import Testing

@testable import Authentication

@Suite struct SASLprepTests {
    /// RFC 4013, section 3, and what PostgreSQL makes of them.
    @Test(arguments: [
        ("I\u{AD}X", "IX"), ("user", "user"), ("USER", "USER"), ("\u{AA}", "a"), ("\u{2168}", "IX"),
        ("\u{7}", "\u{7}"), ("\u{627}\u{31}", "\u{627}\u{31}"),
        ("a\u{A0}b\u{3000}\u{200B}c", "a b  c"), ("e\u{301}", "é"), ("\u{FF21}\u{FF3A}", "AZ"), ("\u{FB01}", "fi"),
        ("\u{1100}\u{1161}\u{11A8}", "각"), ("\u{AC01}", "각"), ("\u{958}", "\u{915}\u{93C}"),
        ("\u{627}\u{628}", "\u{627}\u{628}"),
    ])
    func vectors(password: String, prepared: String) {
        #expect(SASLprep.prepare(bytes(password)) == bytes(prepared))
    }

    @Test(arguments: [
        "\u{2168}\u{7}", "\u{2168}\u{7F}", "\u{AD}", "\u{200D}\u{FEFF}", "\u{2168}\u{E000}", "\u{2168}\u{FFFD}", "\u{2168}\u{221}",
        "\u{2168}\u{1F600}", "\u{627}\u{2168}", "\u{2168}\u{627}", "\u{627}a\u{628}", "\u{2168}\u{E0001}", "\u{2168}\u{202E}",
    ])
    func whatCannotBePreparedStaysAsItIs(password: String) {
        #expect(SASLprep.prepare(bytes(password)) == bytes(password))
    }

    @Test(arguments: [[0xff], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0x41, 0xf4, 0x90, 0x80, 0x80]])
    func bytesThatAreNotUTF8StayAsTheyAre(password: [UInt8]) {
        #expect(SASLprep.prepare(password) == password)
    }

    /// Every code point of Unicode 3.2, each normalized alone, against the digest of what Python's `unicodedata` makes of them.
    @Test func normalizationOfEveryCharacter() {
        let (count, digest) = digest { [$0] }
        #expect(count == 232_755)
        #expect(digest == "f35cf835ae3a6a0bfb6c35a8ebcb1666814ab97ab92b02f04ee64aa21312803d")
    }

    /// The same between marks that have to change places, be joined, or be blocked from it.
    @Test func normalizationOfEveryCharacterAmongMarks() {
        let (_, digest) = digest { ["e", $0, "\u{323}", "\u{301}", $0, "\u{3099}", "\u{334}"] }
        #expect(digest == "c127348bf729965946698e76676d27fcb0d9865f71cffa1b15a25901cb4f30f7")
    }

    private func digest(of input: (Unicode.Scalar) -> [Unicode.Scalar]) -> (count: Int, digest: String) {
        var count = 0
        var output: [UInt8] = []
        for value in UInt32(0)...0x10FFFF {
            guard let scalar = Unicode.Scalar(value), !StringprepTables.unassigned.contains(scalar) else { continue }
            count += 1
            for result in NormalizationFormKC.shared.normalize(input(scalar)) { output += UTF8.encode(result)! }
        }
        return (count, hex(Digest.sha256(output)))
    }

    @Test(.timeLimit(.minutes(1))) func manyMarksTakeNoQuadraticTime() {
        let marks = String(repeating: "\u{301}\u{323}", count: 16_000)
        #expect(SASLprep.prepare(bytes("e" + marks)).count == 64_001)
    }
}
