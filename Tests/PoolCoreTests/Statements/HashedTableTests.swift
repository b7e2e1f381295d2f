import Testing

@testable import PoolCore

private struct Element: Hashed, Equatable {
    let key: Int
    var value: Int
    let hash: UInt64
}

@Suite struct HashedTableTests {
    private func find(_ key: Int, _ hash: UInt64, _ table: HashedTable<Element>) -> Element? {
        table.index(of: hash, where: { $0.key == key }).map { table[$0] }
    }

    @Test("a table that was never used finds nothing")
    func empty() {
        let table = HashedTable<Element>()
        #expect(table.isEmpty && table.count == 0 && find(1, 1, table) == nil && Array(table.all).isEmpty)
    }

    // Runs of neighbours wrap around the end of the table and lie one in another: removal has to keep each of them reachable.
    @Test(
        "a table does what a dictionary does, however badly the hashes are spread",
        arguments: [UInt64(1), 2, 3, 5, 8, 64, .max], [1, 7] as [UInt64])
    func asDictionary(hashes: UInt64, step: UInt64) {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<20 {
            var table = HashedTable<Element>()
            var model: [Int: Int] = [:]
            for turn in 0..<400 {
                let key = Int.random(in: 0..<(turn < 200 ? 60 : 20), using: &generator)
                let hash = (UInt64(key) % hashes) &* step &- 3
                if let index = table.index(of: hash, where: { $0.key == key }) {
                    #expect(table[index].value == model[key])
                    if Bool.random(using: &generator) {
                        #expect(table.remove(at: index).key == key)
                        model[key] = nil
                    } else {
                        table[index].value = turn
                        model[key] = turn
                    }
                } else {
                    #expect(model[key] == nil)
                    table.insert(Element(key: key, value: turn, hash: hash))
                    model[key] = turn
                }
                #expect(table.count == model.count)
            }
            let all = Dictionary(uniqueKeysWithValues: table.all.map { ($0.key, $0.value) })
            #expect(all == model)
            table.removeAll()
            #expect(table.isEmpty && Array(table.all).isEmpty)
        }
    }
}
