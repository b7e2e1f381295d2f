import Foundation
import Testing

@testable import EventLoop

@Suite struct HeldBytesTests {
    private static func array(_ held: borrowing HeldBytes) -> [UInt8] {
        let bytes = held.bytes
        return bytes.indices.map { bytes[$0] }
    }

    private static func address(_ held: borrowing HeldBytes) -> UInt {
        held.bytes.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) }
    }

    @Test("bytes come back as they were put in, in whatever pieces they come and go")
    func pieces() {
        let pool = ChunkPool(limit: 2)
        var random = SystemRandomNumberGenerator()
        var all = HeldBytes()
        var expected: [UInt8] = []
        for step in 0..<1500 {
            if random.next() % 3 > 0 {
                let size = [0, 1, 13, 400, 512, 513, 5000, 70_000][Int(random.next() % 8)]
                let more = (0..<size).map { UInt8(truncatingIfNeeded: $0 &+ step) }
                _ = all.append(more.span, from: pool)
                expected += more
            } else {
                let used = expected.isEmpty ? 0 : Int(random.next() % UInt64(expected.count + 1))
                all.removeFirst(used, pool)
                expected.removeFirst(used)
            }
            if random.next() % 50 == 0 {
                var taken = all.take()
                let (count, content) = (all.count, Self.array(taken))
                #expect(count == 0 && content == expected)
                if random.next() % 2 == 0 {
                    all = taken.take()
                } else {
                    taken.clear(to: pool)
                    expected = []
                }
            }
            guard all.count == expected.count, all.isEmpty == expected.isEmpty, step % 16 > 0 || Self.array(all) == expected else {
                Issue.record("step \(step): \(all.count) bytes in place of \(expected.count)")
                return
            }
        }
        all.clear(to: pool)
        let isEmpty = all.isEmpty && Self.array(all).isEmpty
        #expect(isEmpty)
    }

    @Test("memory is used again, and there is some for more than the pool has")
    func reuse() {
        let pool = ChunkPool(limit: 1)
        var one = HeldBytes()
        var two = HeldBytes()
        _ = one.append([1].span, from: pool)
        let first = Self.address(one)
        _ = two.append([2].span, from: pool)
        let separate = [Self.array(one), Self.array(two)]
        #expect(separate == [[1], [2]])
        one.clear(to: pool)
        _ = two.append([3].span, from: pool)
        let grown = Self.array(two)
        #expect(grown == [2, 3])
        _ = one.append([4].span, from: pool)
        let (again, content) = (Self.address(one), Self.array(one))
        #expect(again == first && content == [4])
        one.clear(to: pool)
        two.clear(to: pool)
    }

    @Test("a long message lies in memory once, however it grows, and what has left is given back")
    func long() {
        let pool = ChunkPool(limit: 1)
        let piece = (0..<128 * 1024).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        var all = HeldBytes()
        for _ in 0..<400 { _ = all.append(piece.span, from: pool) }
        let count = all.count
        #expect(count == 400 * piece.count)
        let full = Self.resident()
        var isWhole = true
        for step in 0..<400 {
            if step % 50 == 0 {
                let bytes = all.bytes
                for index in 0..<piece.count where bytes[index] != piece[index] { isWhole = false }
            }
            all.removeFirst(piece.count, pool)
            if step == 350 {
                let left = Self.resident()
                #expect(left < full - 40 << 20)
            }
        }
        let isEmpty = all.isEmpty
        #expect(isWhole && isEmpty)
    }

    /// Bytes that the process has in memory.
    private static func resident() -> Int {
        let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        return (Int(text.split(separator: " ").dropFirst().first ?? "") ?? 0) * 4096
    }
}
