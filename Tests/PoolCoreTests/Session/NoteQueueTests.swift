import Testing

@testable import PoolCore

@Suite("the queue of notes")
struct NoteQueueTests {
    @Test("numbers are never given twice, and a note is found by its own only")
    func numbers() {
        var queue = NoteQueue<Int>(from: 1 << 63)
        #expect(queue.isEmpty && queue[1 << 63] == nil)
        let first = queue.append(10)
        let second = queue.append(20)
        #expect(first == 1 << 63 && second == first + 1)
        #expect(queue[first] == 10 && queue[second] == 20 && queue[second + 1] == nil && queue[5] == nil)
        #expect(queue.remove(first) == 10 && queue.remove(first) == nil && queue[first] == nil)
        #expect(queue.remove(second) == 20 && queue.isEmpty)
        #expect(queue.append(30) == second + 1)
    }

    @Test("whatever the order, each note comes out once")
    func anyOrder() {
        var random = SystemRandomNumberGenerator()
        var queue = NoteQueue<UInt64>(from: 7)
        var inside: [UInt64: UInt64] = [:]
        var seen: Set<UInt64> = []
        for step: UInt64 in 0..<20_000 {
            // It fills and empties by turns.
            if inside.isEmpty || UInt64.random(in: 0..<2000, using: &random) > step % 2000 {
                let number = queue.append(step)
                #expect(seen.insert(number).inserted)
                inside[number] = step
            } else {
                let number = Bool.random(using: &random) ? inside.keys.min()! : inside.keys.randomElement(using: &random)!
                #expect(queue[number] == inside[number])
                #expect(queue.remove(number) == inside.removeValue(forKey: number))
                #expect(queue.remove(number) == nil)
            }
            #expect(queue.isEmpty == inside.isEmpty)
        }
    }
}
