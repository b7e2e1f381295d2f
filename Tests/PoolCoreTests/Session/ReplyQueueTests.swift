import Testing

@testable import PoolCore

@Suite struct ReplyQueueTests {
    private static func entry(_ number: Int) -> ReplyLedger.Owed {
        ReplyLedger.Owed(request: .query, disposition: .forward, note: UInt64(number))
    }

    @Test("any order of changes leaves what an array would hold", arguments: UInt64(1)...20)
    func likeAnArray(seed: UInt64) {
        var random = SeededGenerator(state: seed)
        var queue = ReplyQueue()
        var array: [ReplyLedger.Owed] = []
        for number in 0..<5_000 {
            // Now and then a long pipeline, which the queue has to be rid of later.
            let isFilling = number % 1_000 < 400
            switch random.below(100) {
            case 0..<(isFilling ? 70 : 30):
                queue.append(Self.entry(number))
                array.append(Self.entry(number))
            case 95 where array.count > 1:
                #expect(queue.removeSecond() == array.remove(at: 1))
            case 96:
                queue.removeAll { $0.note % 7 == 0 }
                array.removeAll { $0.note % 7 == 0 }
            case 97 where !array.isEmpty:
                let index = random.below(array.count)
                queue[index].disposition = .swallow
                array[index].disposition = .swallow
            default:
                if !array.isEmpty { #expect(queue.removeFirst() == array.removeFirst()) }
            }
            #expect(queue.elementsEqual(array) && queue.first == array.first && queue.isEmpty == array.isEmpty)
        }
    }

    @Test("a pipeline that is never quite answered does not grow the storage without end")
    func bounded() {
        var queue = ReplyQueue()
        for number in 0..<3 { queue.append(Self.entry(number)) }
        for number in 3..<100_000 {
            queue.append(Self.entry(number))
            #expect(queue.removeFirst().note == UInt64(number - 3))
        }
        #expect(queue.slots.count < 64)
    }

    @Test("what a long pipeline needed is given back")
    func givesBack() {
        var queue = ReplyQueue()
        for number in 0..<10_000 { queue.append(Self.entry(number)) }
        while !queue.isEmpty { queue.removeFirst() }
        #expect(queue.slots.capacity == 0)
    }
}
