import Testing

@testable import PostgresWire

/// None of these has an expected result: they would trap.
@Suite struct HostileBytesTests {
    @Test func everyMessageCutAtEveryByte() {
        for message in Corpus.frontend + Corpus.backend {
            for end in 0...message.count {
                Corpus.walk(Array(message[..<end]))
                // The same with a header that tells the truth, so that the readers see the cut.
                guard end >= 5 else { continue }
                let body = Array(message[5..<end])
                Corpus.readAll(body.span, body: 0..<body.count)
                Corpus.readAll(body.span, body: 0..<message.count)
            }
        }
        for bytes in Corpus.startup {
            for end in 0...bytes.count { _ = StartupRequest.parse(Array(bytes[..<end]).span, limit: 10_000) }
        }
        for text in Corpus.texts {
            for end in 0...text.count {
                _ = DeallocateStatement.parse(text.span, 0..<end)
                _ = DeallocatedNames.read(text.span, 0..<end, escapes: end % 2 == 0)
                _ = try? StartupOptions.parse(String(decoding: text.span, in: 0..<end))
            }
        }
    }

    @Test(arguments: [
        -1..<0, -5 ..< -1, 0..<0, 3..<4, 0..<4, 4..<4, 5..<9, Int.max - 1..<Int.max, Int.min..<Int.max, 0..<Int.max, Int.max..<Int.max,
        Int.min..<Int.min,
    ])
    func bodiesOutsideTheBytes(_ body: Range<Int>) {
        Corpus.readAll([0x53, 0, 0].span, body: body)
        Corpus.readAll([UInt8]().span, body: body)
    }

    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func mutations(_ seed: UInt64) {
        var generator = SeededGenerator(state: seed)
        let valid = Corpus.frontend + Corpus.backend + Corpus.startup + Corpus.texts
        let interesting: [UInt8] = [0, 1, 4, 0x22, 0x2D, 0x3B, 0x3D, 0x5C, 0x7F, 0x80, 0xFF]
        for _ in 0..<1500 {
            var bytes = valid.randomElement(using: &generator)! + valid.randomElement(using: &generator)!
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let index = bytes.indices.randomElement(using: &generator)!
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes[index] = interesting.randomElement(using: &generator)!
                case 2: bytes.insert(interesting.randomElement(using: &generator)!, at: index)
                default: if bytes.count > 1 { bytes.remove(at: index) }
                }
            }
            Corpus.walk(bytes)
            Corpus.readAll(bytes.span, body: 0..<bytes.count)
            _ = StartupRequest.parse(bytes.span, limit: 10_000)
            _ = try? StartupOptions.parse(String(decoding: bytes.span, in: 0..<bytes.count))
        }
    }
}
