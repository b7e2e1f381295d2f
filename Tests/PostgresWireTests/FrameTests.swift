import Testing

@testable import PostgresWire

@Suite struct FrameTests {
    @Test func headerIsRead() {
        #expect(peekFrame([0x5A, 0, 0, 0, 5, 0x49].span, at: 0) == .frame(Frame(type: 0x5A, length: 6)))
        #expect(peekFrame([9, 9, 0x53, 0, 0, 0, 4].span, at: 2) == .frame(Frame(type: 0x53, length: 5)))
        #expect(peekFrame([0x64, 0x01, 0x02, 0x03, 0x04].span, at: 0) == .frame(Frame(type: 0x64, length: 0x0102_0305)))
    }

    @Test func headerMayBeShort() {
        let bytes: [UInt8] = [0x53, 0, 0, 0, 4]
        for end in 0..<5 { #expect(peekFrame(Array(bytes[..<end]).span, at: 0) == .short) }
        for offset in [-1, 1, 4, 5, 6, .max, .max - 4, .min] { #expect(peekFrame(bytes.span, at: offset) == .short) }
    }

    @Test(arguments: [0, 1, 3, 0x8000_0000, 0x8000_0004, 0xFFFF_FFFF] as [UInt32])
    func lengthIsRefused(_ length: UInt32) {
        var writer = MessageWriter()
        writer.bytes.append(0x51)
        writer.word(length)
        #expect(peekFrame(writer.bytes.span, at: 0) == .malformed)
    }

    @Test(arguments: [4, 5, 0x7FFF_FFFF] as [UInt32])
    func lengthAtTheLimits(_ length: UInt32) {
        var writer = MessageWriter()
        writer.bytes.append(0x51)
        writer.word(length)
        #expect(peekFrame(writer.bytes.span, at: 0) == .frame(Frame(type: 0x51, length: Int(length) + 1)))
    }

    @Test func integersStayInside() {
        let bytes: [UInt8] = [0x80, 1, 2, 3, 0xFF]
        #expect(readUInt32(bytes.span, at: 0) == 0x8001_0203)
        #expect(readUInt32(bytes.span, at: 1) == 0x0102_03FF)
        #expect(readInt16(bytes.span, at: 0) == -32767)
        #expect(readUInt16(bytes.span, at: 3) == 0x03FF)
        for offset in [-1, 2, .max, .min] { #expect(readUInt32(bytes.span, at: offset) == nil) }
        for offset in [-1, 4, .max, .min] { #expect(readInt16(bytes.span, at: offset) == nil) }
    }

    @Test func firstNULAtEachPlace() {
        for count in 0..<40 {
            #expect(firstNUL([UInt8](repeating: 0x80, count: count).span, in: 0..<count) == nil)
            for place in 0..<count {
                // 1 next to 0 is where a search by words goes wrong first.
                var bytes = [UInt8](repeating: 1, count: count)
                bytes[place] = 0
                #expect(firstNUL(bytes.span, in: 0..<count) == place)
                #expect(firstNUL(bytes.span, in: place..<count) == place)
                #expect(firstNUL(bytes.span, in: 0..<place) == nil)
                if place > 0 { #expect(firstNUL(bytes.span, in: 1..<count) == place) }
            }
        }
        #expect(firstNUL([0].span, in: -1..<1) == nil)
        #expect(firstNUL([0].span, in: 0..<2) == nil)
    }

    /// A stream gives the same frames however its bytes are cut into two arrivals.
    @Test func everySplitGivesTheSameFrames() throws {
        for stream in [Corpus.frontend, Corpus.backend].map({ Array($0.joined()) }) {
            let whole = try #require(Corpus.walk(stream))
            for split in 0...stream.count {
                let first = try #require(Corpus.walk(Array(stream[..<split])))
                let consumed = first.reduce(0) { $0 + $1.length }
                let second = try #require(Corpus.walk(Array(stream[consumed...])))
                #expect(first + second == whole)
            }
        }
    }

    @Test func everyMessageIsOneFrame() {
        for message in Corpus.frontend + Corpus.backend {
            #expect(Corpus.walk(message) == [Frame(type: message[0], length: message.count)])
        }
    }
}
